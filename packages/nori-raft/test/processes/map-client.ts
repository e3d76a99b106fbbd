// A client of the replicated map: one call at a time, tried until it is answered or hope is given up. What it saw goes to a
// history that the checker of nori-testkit judges.
import { OutcomeSession } from 'nori-raft';
import { FAILED, type Operation, type RegisterInput, type RegisterOutput, type Rng, UNKNOWN } from 'nori-testkit';
import { NUMBERS, type ProcessCluster } from './process-cluster.js';
import type { MapCommand } from './protocol.js';

export type MapOperation = Operation<RegisterInput, RegisterOutput>;

/** How long one attempt may take. */
const ATTEMPT_MS = 500;

/** Errors that say: it did not happen, and may work elsewhere or later. */
const WORTH_ANOTHER_TRY: ReadonlySet<string> = new Set([
  'RAFT_NOT_LEADER',
  'RAFT_BUSY',
  'RAFT_NO_SPACE',
  'RAFT_OUTCOME_UNKNOWN',
  'RAFT_PROPOSAL_DROPPED',
  'RAFT_PROPOSAL_LOST',
  'RAFT_STORAGE_FAILED',
  'RAFT_TIMEOUT',
  'RAFT_TRANSFER_IN_PROGRESS',
]);

let values = 0;
/** A value that nobody has written. */
export const freshValue = (): string => `v${++values}`;

export class MapClient {
  readonly history: MapOperation[] = [];
  /** How long a call is tried. */
  patienceMs = 8000;
  readonly #cluster: ProcessCluster;
  readonly #rng: Rng;
  readonly #process: number;
  readonly #sessions = new Map<number, OutcomeSession>();
  /** Who seems to lead, by group. */
  readonly #leaders = new Map<number, number>();

  constructor(cluster: ProcessCluster, rng: Rng, process: number) {
    this.#cluster = cluster;
    this.#rng = rng;
    this.#process = process;
  }

  /**
   * Resolves with whether it was written, or undefined if that is unknown.
   * @param at whom to ask; default: who leads
   */
  async write(group: number, command: MapCommand, at?: number): Promise<boolean | undefined> {
    const input: RegisterInput = command.f === 'put' ? command : { ...command, expected: command.expected };
    const request = this.#session(group).request(new Uint8Array(1));
    const callAt = performance.now();
    let output: boolean | typeof UNKNOWN = UNKNOWN;
    for (;;) {
      const { clientId, ...identity } = request.identity(Date.now(), performance.now());
      const wire = { ...identity, clientId: Buffer.from(clientId).toString('hex') };
      const timeoutMs = ATTEMPT_MS;
      const node = at ?? this.#leaderOf(group);
      const write = { f: 'write', group, identity: wire, command, timeoutMs } as const;
      const reply = await this.#cluster.node(node)?.request(write, ATTEMPT_MS);
      if (reply !== undefined && 'value' in reply) {
        const outcome = reply.value;
        if (outcome.status === 'applied') output = outcome.result;
        else if (outcome.status !== 'unknown') throw new Error(`A write was answered "${outcome.status}".`);
        break;
      }
      if (performance.now() - callAt > this.patienceMs) break;
      await this.#lookElsewhere(group, node, reply?.failure);
    }
    request.resolve();
    this.#record(input, output, callAt);
    return output === UNKNOWN ? undefined : output;
  }

  /** @param at whom to ask; default: who leads, or anybody */
  async read(group: number, key: string, how: 'lease' | 'index', at?: number): Promise<string | null | undefined> {
    const callAt = performance.now();
    for (;;) {
      const asked = at ?? (how === 'lease' || this.#rng.chance(0.5) ? this.#leaderOf(group) : this.#rng.pick(NUMBERS));
      const read = { f: 'read', group, key, how, timeoutMs: ATTEMPT_MS } as const;
      const reply = await this.#cluster.node(asked)?.request(read, ATTEMPT_MS);
      if (reply !== undefined && 'value' in reply) {
        this.#record({ f: 'get', key }, reply.value ?? undefined, callAt);
        return reply.value;
      }
      if (performance.now() - callAt > this.patienceMs) break;
      await this.#lookElsewhere(group, asked, reply?.failure);
    }
    this.#record({ f: 'get', key }, FAILED, callAt);
    return undefined;
  }

  async #lookElsewhere(group: number, asked: number, failure?: { code: string; message: string; leader: number }) {
    if (failure !== undefined && !WORTH_ANOTHER_TRY.has(failure.code)) {
      throw new Error(`A node answered ${failure.code}: ${failure.message}`);
    }
    const leader = failure?.leader ?? 0;
    this.#leaders.set(group, leader !== 0 && leader !== asked ? leader : this.#rng.pick(NUMBERS));
    await pause(this.#rng.range(5, 40));
  }

  #leaderOf(group: number): number {
    return this.#leaders.get(group) ?? (group % 3) + 1;
  }

  #session(group: number): OutcomeSession {
    let session = this.#sessions.get(group);
    if (session === undefined) this.#sessions.set(group, (session = new OutcomeSession(this.#rng.bytes(16))));
    return session;
  }

  #record(input: RegisterInput, output: MapOperation['output'], callAt: number): void {
    this.history.push({ process: this.#process, input, output, callAt, returnAt: performance.now() });
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
