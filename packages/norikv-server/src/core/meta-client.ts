// Gets commands to the leader of the meta group, wherever that is, and answers other nodes that ask for the same.
import type { Clock } from 'nori-io';
import { ByteReader } from '../domain/byte-reader.js';
import { readText, writeText } from '../domain/byte-text.js';
import { ByteWriter } from '../domain/byte-writer.js';
import { decodeMetaCommand, encodeMetaCommand, type MetaCommand } from '../domain/meta-command.js';
import { type MetaRefusal, type MetaResult, MetaState } from '../domain/meta-state.js';
import { asNodeError, NodeError } from '../domain/node-error.js';
import type { GroupControl } from '../ports/group-control.js';
import { PEER_METHOD, type PeerCalls } from '../ports/peer-calls.js';
import type { ReplicatedLog } from '../ports/replicated-log.js';
import { MetaGroup, MetaProposal } from './meta-group.js';

const CALL_TIMEOUT_MS = 3_000;
const RETRY_DELAY_MS = 200;

/** What a client is made of. */
export interface MetaClientParts {
  readonly clock: Clock;
  readonly meta: MetaGroup;
  /** Undefined: this node has no replica of the meta group yet. */
  readonly control: () => GroupControl | undefined;
  readonly log: () => ReplicatedLog | undefined;
  /** Undefined: there are no other nodes. */
  readonly calls: PeerCalls | undefined;
}

/** What became of a command, and the state after it. */
export interface MetaAnswer {
  readonly result: MetaResult;
  readonly state: MetaState;
}

export class MetaClient {
  readonly #parts: MetaClientParts;

  constructor(parts: MetaClientParts) {
    this.#parts = parts;
  }

  /**
   * Has a command agreed, through whichever node leads; tries until that works or the time is over. Commands that are asked for
   * twice do no harm.
   * @throws NodeError `UNAVAILABLE` when nobody led in time
   */
  async propose(command: MetaCommand, timeoutMs: number): Promise<MetaAnswer> {
    const { clock } = this.#parts;
    const deadlineMs = clock.monotonic() + timeoutMs;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt(command, attempt);
      } catch (error) {
        const failure = asNodeError(error);
        if (clock.monotonic() + RETRY_DELAY_MS > deadlineMs) {
          throw new NodeError('UNAVAILABLE', `The cluster could not agree in time: ${failure.message}`, {
            cause: error,
          });
        }
        await new Promise<void>((resolve) => clock.setTimer(RETRY_DELAY_MS, resolve));
      }
    }
  }

  async #attempt(command: MetaCommand, attempt: number): Promise<MetaAnswer> {
    const control = this.#parts.control();
    if (control?.leads === true) return { result: await this.#proposeHere(command), state: this.#parts.meta.state };
    const { calls } = this.#parts;
    const reachable = calls?.reachable() ?? [];
    if (calls === undefined || reachable.length === 0) {
      throw new NodeError('UNAVAILABLE', 'No node of the cluster can be reached.');
    }
    const leader = control?.leaderNode;
    const target = leader !== undefined && reachable.includes(leader) ? leader : reachable[attempt % reachable.length]!;
    const body = encodeMetaCommand(command);
    try {
      return decodeAnswer(await calls.call(target, PEER_METHOD.proposeMeta, body, CALL_TIMEOUT_MS));
    } catch (error) {
      const hint = error instanceof NodeError ? error.leader?.id : undefined;
      if (hint === undefined || hint === target || !reachable.includes(hint)) throw error;
      return decodeAnswer(await calls.call(hint, PEER_METHOD.proposeMeta, body, CALL_TIMEOUT_MS));
    }
  }

  #proposeHere(command: MetaCommand): Promise<MetaResult> {
    const log = this.#parts.log();
    if (log === undefined) return Promise.reject(new NodeError('UNAVAILABLE', 'The node is starting.'));
    return new Promise((resolve, reject) => {
      log.propose([MetaGroup.proposal(command, new MetaProposal(resolve, reject))]);
    });
  }

  /** The state as another node has applied it. @throws NodeError */
  async fetch(nodeId: string): Promise<MetaState> {
    const { calls } = this.#parts;
    if (calls === undefined) throw new NodeError('UNAVAILABLE', 'There are no other nodes.');
    return MetaState.decode(await calls.call(nodeId, PEER_METHOD.fetchMeta, new Uint8Array(0), CALL_TIMEOUT_MS));
  }

  /** Answers other nodes. @throws NodeError, which travels */
  async handle(method: number, body: Uint8Array): Promise<Uint8Array> {
    const { meta } = this.#parts;
    if (method === PEER_METHOD.fetchMeta) {
      if (meta.state.settings === undefined) throw new NodeError('UNAVAILABLE', 'This node knows nothing yet.');
      return meta.state.encode();
    }
    if (method !== PEER_METHOD.proposeMeta) throw new NodeError('UNIMPLEMENTED', `Peer call ${method} is not known.`);
    const control = this.#parts.control();
    if (control?.leads !== true) {
      const id = control?.leaderNode;
      const leader = id === undefined ? {} : { leader: { id, address: '' } };
      throw new NodeError('NOT_LEADER', 'This node does not lead the meta group.', leader);
    }
    return encodeAnswer({ result: await this.#proposeHere(decodeMetaCommand(body)), state: meta.state });
  }
}

const encodeAnswer = ({ result, state }: MetaAnswer): Uint8Array => {
  const to = new ByteWriter(32 * 1024);
  to.u8(result.ok ? 1 : 0);
  if (!result.ok) {
    writeText(result.code, to);
    writeText(result.why, to);
  }
  to.blob(state.encode());
  return to.view().slice();
};

const decodeAnswer = (bytes: Uint8Array): MetaAnswer => {
  const from = new ByteReader(bytes);
  const ok = from.u8() === 1;
  const result: MetaResult = ok ? { ok } : { ok, code: readText(from) as MetaRefusal, why: readText(from) };
  return { result, state: MetaState.decode(from.blob()) };
};
