// The log on disk, with a ballast to give up when a write finds no space. What is under way is then stored at once in the space that the
// ballast had; nothing new is taken until the ballast is there again. Without one, what is under way waits for space.
import { type GroupWrite, type NewGroup, RaftError, type RaftStorage } from 'nori-raft';
import type { WalStorage } from 'nori-raft/wal-storage';
import type { Ballast } from '../ballast.js';

/** The part of the ballast's space that may be written to; the rest is for closing, and for the tables. */
const SHARE = 1 / 2;

export class GuardedStorage implements RaftStorage {
  readonly #wal: WalStorage;
  readonly #ballast: Ballast;
  /** The last write found no space. */
  #failed: RaftError | undefined;
  #refusal: RaftError | undefined;
  #writtenSince = 0;
  /** Called when {@link GuardedStorage.refusal} comes or goes. */
  onRefusal: () => void = () => {};

  constructor(wal: WalStorage, ballast: Ballast) {
    this.#wal = wal;
    this.#ballast = ballast;
    ballast.onReturned = () => this.#review();
  }

  get storedGroups() {
    return this.#wal.storedGroups;
  }

  get refusal(): RaftError | undefined {
    return this.#refusal;
  }

  log(groupId: number) {
    return this.#wal.log(groupId);
  }

  write(writes: readonly GroupWrite[]): Promise<void> {
    if (this.#refusal === undefined) return this.#wal.write(writes).catch((error) => this.#again(error, writes));
    return this.#writeOfReserve(writes);
  }

  async #again(error: unknown, writes: readonly GroupWrite[]): Promise<void> {
    if (!isFull(error)) throw error;
    if (!(await this.#full(error))) throw error;
    return this.#writeOfReserve(writes);
  }

  async #writeOfReserve(writes: readonly GroupWrite[]): Promise<void> {
    const bytes = bytesOf(writes);
    if (this.#ballast.isGivenUp && this.#writtenSince + bytes > this.#ballast.bytes * SHARE)
      throw this.#refusal ?? full();
    try {
      await this.#wal.write(writes);
    } catch (error) {
      if (isFull(error)) this.#failed = error;
      throw error;
    }
    this.#writtenSince += bytes;
    this.#failed = undefined;
    this.#review();
  }

  /** There is no space, here or in the tables beside it. Resolves with whether some could be made. */
  giveUp(): Promise<boolean> {
    return this.#full(undefined);
  }

  #full(error: RaftError | undefined): Promise<boolean> {
    if (error !== undefined) this.#failed = error;
    const gaveUp = this.#ballast.giveUp();
    this.#review();
    return gaveUp;
  }

  #review(): void {
    if (!this.#ballast.isGivenUp) this.#writtenSince = 0;
    const isRefusing = this.#failed !== undefined || this.#ballast.isGivenUp;
    if (isRefusing === (this.#refusal !== undefined)) return;
    this.#refusal = isRefusing ? (this.#failed ?? full()) : undefined;
    this.onRefusal();
  }

  async createGroup(group: NewGroup): Promise<void> {
    try {
      await this.#wal.createGroup(group);
    } catch (error) {
      if (!isFull(error) || !(await this.#ballast.giveUp())) throw error;
      this.#review();
      await this.#wal.createGroup(group);
    }
  }

  removeGroup(groupId: number): Promise<void> {
    return this.#wal.removeGroup(groupId);
  }

  compact(groupId: number, index: number): void {
    this.#wal.compact(groupId, index);
  }

  stalledMs(): number {
    return this.#wal.stalledMs();
  }

  stats() {
    return this.#wal.stats();
  }

  get cut() {
    return this.#wal.cut;
  }

  async close(): Promise<void> {
    await this.#ballast.close();
    await this.#wal.close();
  }
}

const isFull = (error: unknown): error is RaftError => error instanceof RaftError && error.code === 'RAFT_NO_SPACE';

const full = (): RaftError =>
  new RaftError('RAFT_NO_SPACE', 'The disk is full, and the space that was put aside is in use. Free some space.');

const bytesOf = (writes: readonly GroupWrite[]): number => {
  let bytes = 0;
  for (const { entries } of writes) for (const { data } of entries) bytes += data.length + 16;
  return bytes;
};
