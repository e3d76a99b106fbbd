// One core under a test's hand: time is moved, messages are given to it, and what it wants done is looked at.
import {
  type CoreAction,
  type CoreInput,
  type MembershipEvent,
  type Message,
  type ProtocolOptions,
  resolveProtocol,
  SwimCore,
} from 'nori-swim';
import { Rng } from 'nori-testkit';

export type Send = Extract<CoreAction, { type: 'send' }>;

/** A record of a member that is alive. */
export function record(id: string, options: { incarnation?: number; zone?: string; boot?: number } = {}) {
  const { incarnation = 1, zone = '', boot = 100 } = options;
  const alive = {
    type: 'alive',
    id,
    address: addressOf(id),
    boot,
    incarnation,
    zone,
    metadata: new Uint8Array(),
    versionMin: 1,
    versionMax: 1,
  } as const;
  return { alive, state: 'alive', ageMs: 0 } as const;
}

/** Ids are letters: `a` is at 10.0.0.97. */
export function addressOf(id: string): string {
  return `10.0.0.${id.charCodeAt(0)}:7449`;
}

export class Harness {
  readonly core: SwimCore;
  readonly protocol: ProtocolOptions;
  nowMs = 0;
  readonly actions: CoreAction[] = [];
  readonly #rng: Rng;

  /** The node `a`, which knows `others`. */
  constructor(
    others: readonly (string | ReturnType<typeof record>)[],
    protocol: Partial<ProtocolOptions> = {},
    self: { zone?: string; incarnation?: number } = {},
  ) {
    this.#rng = new Rng(5);
    this.protocol = resolveProtocol({ healIntervalMs: 86_400_000, pushPullIntervalMs: 86_400_000, ...protocol });
    const known = others.map((other) => (typeof other === 'string' ? record(other) : other));
    const me = { id: 'a', address: addressOf('a'), boot: 500, incarnation: 1, ...self };
    this.core = new SwimCore(me, this.protocol, 0, () => this.#rng.next(), known);
  }

  /** Steps it and returns what it wants done. */
  step(input: CoreInput): CoreAction[] {
    const actions = this.core.step(input, this.nowMs, () => this.#rng.next());
    this.actions.push(...actions);
    return actions;
  }

  packet(from: string, ...messages: Message[]): CoreAction[] {
    return this.step({ type: 'packet', from: addressOf(from), messages });
  }

  /** Lets time pass, with every wake in time; returns what it wanted done. */
  run(forMs: number): CoreAction[] {
    const endMs = this.nowMs + forMs;
    const actions: CoreAction[] = [];
    while (this.core.nextWakeMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.core.nextWakeMs);
      actions.push(...this.step({ type: 'tick' }));
    }
    this.nowMs = endMs;
    return actions;
  }

  /** Runs until it has just pinged `id` for a probe of its own, answering those of others; returns the ping. */
  untilPing(id: string): Extract<Message, { type: 'ping' }> {
    for (let i = 0; i < 1_000; i++) {
      const pings = ofType(this.#answering([id]), 'ping');
      const found = pings.find(({ target }) => target === id);
      if (found !== undefined) return found;
    }
    throw new Error(`${id} is not probed.`);
  }

  /** Runs on, answering all probes but those of `silent`. */
  runAnswering(forMs: number, silent: readonly string[] = []): CoreAction[] {
    const endMs = this.nowMs + forMs;
    const actions: CoreAction[] = [];
    while (this.core.nextWakeMs <= endMs) actions.push(...this.#answering(silent));
    this.nowMs = endMs;
    return actions;
  }

  /** One wake, and the answers to the probes that it made. */
  #answering(silent: readonly string[]): CoreAction[] {
    this.nowMs = Math.max(this.nowMs, this.core.nextWakeMs);
    const actions = this.step({ type: 'tick' });
    for (const { seq, target: from, boot, incarnation } of ofType(actions, 'ping')) {
      if (!silent.includes(from))
        actions.push(...this.packet(from, { type: 'ack', seq, from, boot, incarnation, via: '' }));
    }
    return actions;
  }

  state(id: string): string | undefined {
    return this.core.entry(id)?.state;
  }
}

export function sends(actions: readonly CoreAction[]): Send[] {
  return actions.filter((action): action is Send => action.type === 'send');
}

export function messages(actions: readonly CoreAction[]): Message[] {
  return sends(actions).flatMap((action) => action.messages);
}

export function ofType<T extends Message['type']>(
  actions: readonly CoreAction[],
  type: T,
): Extract<Message, { type: T }>[] {
  return messages(actions).filter((message): message is Extract<Message, { type: T }> => message.type === type);
}

export function events(actions: readonly CoreAction[]): MembershipEvent[] {
  return actions.flatMap((action) => (action.type === 'event' ? [action.event] : []));
}

/** Addresses that something of a type was sent to. */
export function receivers(actions: readonly CoreAction[], type: Message['type']): string[] {
  return sends(actions)
    .filter((action) => action.messages.some((message) => message.type === type))
    .map(({ to }) => to);
}
