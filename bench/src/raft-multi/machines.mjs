// State machines for the benchmark. They keep nothing, so that what is measured is Raft.
import { open, rm } from 'node:fs/promises';

const CHUNK = new Uint8Array(256 * 1024).fill(7);
/** So much is written before it is synced: a gibibyte in the page cache would hold up everyone else's syncs. */
const SYNC_BYTES = 2 ** 20;
const noConfig = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };

/** Counts what it applies. What is applied counts as durable at once, so the log is compacted behind it. */
export class CountingMachine {
  constructor(voters, isFirst = true) {
    this.mark = isFirst
      ? { term: 1, index: 1, config: { ...noConfig, voters } }
      : { term: 0, index: 0, config: noConfig };
    this.applied_ = 0;
  }

  apply(entries) {
    const results = [];
    for (let i = 0; i < entries.length; i++) results.push(++this.applied_);
    return results;
  }

  applied(mark) {
    this.mark = mark;
  }

  durableIndex() {
    return this.mark.index;
  }

  snapshot() {
    return { ...this.mark, read: async function* () {}, release: () => {} };
  }

  async stage(mark, chunks) {
    for await (const _ of chunks);
    const install = async () => {
      this.mark = mark;
    };
    return { install, discard: async () => {} };
  }
}

/** Its snapshot has `bytes` bytes, made up as they are read. Who receives it writes it to a file and syncs that. */
export class LargeMachine extends CountingMachine {
  constructor(voters, isFirst, bytes, path) {
    super(voters, isFirst);
    this.bytes = bytes;
    this.path = path;
    this.received = 0;
    this.installed = new Promise((resolve) => {
      this.tellInstalled = resolve;
    });
  }

  snapshot() {
    const { bytes } = this;
    const read = async function* (offset) {
      for (let at = offset; at < bytes; ) {
        const chunk = CHUNK.subarray(0, Math.min(CHUNK.length, bytes - at));
        at += chunk.length;
        yield chunk;
      }
    };
    return { ...this.mark, read, release: () => {} };
  }

  async stage(mark, chunks) {
    const file = await open(this.path, 'w');
    let received = 0;
    let syncedAt = 0;
    try {
      for await (const chunk of chunks) {
        await file.write(chunk);
        received += chunk.length;
        if (received - syncedAt < SYNC_BYTES) continue;
        await file.datasync();
        syncedAt = received;
      }
      await file.datasync();
    } finally {
      await file.close();
    }
    const install = async () => {
      this.mark = mark;
      this.received = received;
      this.tellInstalled();
    };
    return { install, discard: () => rm(this.path, { force: true }) };
  }
}
