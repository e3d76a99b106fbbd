// Interface only, for now.
import type { RaftOptions } from './options.js';
import type {
  AppendToken,
  ConfChange,
  ConfState,
  DropReason,
  Entry,
  EntryId,
  Message,
  RaftStatus,
  Ready,
  Role,
} from './types.js';

export declare class RaftCore {
  constructor(options: RaftOptions);
  readonly id: number;
  get term(): number;
  get role(): Role;
  /** 0: unknown. */
  get leader(): number;
  get commitIndex(): number;
  get appliedIndex(): number;
  get lastIndex(): number;
  /** One tick of the caller's timer has passed. `nowMs` never goes back; it matters for leases only. */
  tick(nowMs: number): void;
  /** A message has arrived. Bad ones are dropped and counted; the reason is returned. */
  step(message: Message, nowMs: number): DropReason | undefined;
  /** @throws RaftError RAFT_NOT_LEADER, RAFT_PROPOSAL_DROPPED, RAFT_TRANSFER_IN_PROGRESS, RAFT_ENTRY_TOO_LARGE */
  propose(data: Uint8Array): EntryId;
  /** Several entries with one append; the id of the last. All or none. */
  proposeMany(data: readonly Uint8Array[]): EntryId;
  proposeConfChange(change: ConfChange): EntryId;
  /** Call it for each committed entry of type conf-change, in order. Returns the configuration that holds now. */
  applyConfChange(entry: Entry): ConfState;
  /** Asks for a linearizable read point; the answer comes as a ReadState (or in readsFailed), never both, maybe never (if a message is lost). Throws RAFT_NOT_LEADER when no leader is known. */
  readIndex(): number;
  /** Index to wait for before a read that needs no round trip, or undefined when there is no valid lease at `nowMs`. After the read check `nowMs < leaseExpiresAtMs` again. */
  leaseRead(nowMs: number): number | undefined;
  /** 0: no lease. */
  get leaseExpiresAtMs(): number;
  transferLeader(to: number): void;
  campaign(nowMs: number): void;
  forgetLeader(): void;
  reportUnreachable(id: number): void;
  reportSnapshot(id: number, ok: boolean): void;
  hasReady(): boolean;
  ready(): Ready;
  appendDone(token: AppendToken): void;
  applyDone(index: number): void;
  status(): RaftStatus;
  config(): ConfState;
}
