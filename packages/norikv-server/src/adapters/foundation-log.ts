// The log of nodes from before there was replication (docs/formats/log-entry.md, record kind 1): read once, when such a data directory
// is opened by a version that replicates. What the tables do not hold yet is applied, the tables are made durable, and the log is
// removed: from then on the shards stand in the tables, and the replicated log begins behind them.
import type { Clock, FileSystem } from 'nori-io';
import type { Meter } from 'nori-observe';
import { Wal } from 'nori-wal';
import { ByteReader } from '../domain/byte-reader.js';
import { ByteWriter } from '../domain/byte-writer.js';
import { type GroupConfig, votersOnly } from '../domain/group-config.js';
import { NodeError } from '../domain/node-error.js';
import { GROUP_COUNT_MAX } from '../domain/placement.js';
import type { EntryPosition, StateMachine } from '../ports/replicated-log.js';

/** Where the log is. */
export interface FoundationLogOptions {
  readonly dir: string;
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly meter: Meter;
}

const RECORD_ENTRIES = 1;
/** The only replica that there was, in every group. */
const ALONE: GroupConfig = votersOnly([1]);

/** Whether there is such a log. */
export const hasFoundationLog = async ({ dir, fs }: FoundationLogOptions): Promise<boolean> =>
  (await fs.stat(dir)) !== undefined && (await fs.readdir(dir)).length > 0;

/**
 * Applies what the log holds beyond what is applied. Returns how many entries that were.
 * @throws NodeError `CORRUPTION`, and what nori-wal throws
 */
export const replayFoundationLog = async (options: FoundationLogOptions, machine: StateMachine): Promise<number> => {
  const wal = await Wal.open({ ...options, lock: false });
  try {
    let replayed = 0;
    for await (const { position, data } of wal.readFrom(wal.start)) {
      for (const { entry, data: entryData } of readTurn(data, position)) {
        const last = machine.position(entry.group)?.index ?? 0;
        if (entry.index <= last) continue;
        if (entry.index !== last + 1) throw gap(entry, last, position);
        const wait = machine.writable();
        if (wait !== undefined) await wait;
        replay(machine, entry, entryData, position);
        machine.moved(entry.group, { term: entry.term, index: entry.index, config: ALONE });
        replayed++;
      }
    }
    return replayed;
  } finally {
    await wal.close();
  }
};

/** Removes the log; what it held is durable elsewhere. */
export const removeFoundationLog = async ({ dir, fs }: FoundationLogOptions): Promise<void> => {
  for (const name of (await fs.readdir(dir)).sort()) await fs.unlink(`${dir}/${name}`);
  await fs.syncDir(dir);
};

interface TurnEntry {
  readonly entry: EntryPosition;
  /** As the replicated log would carry it: the entry's time, then its body. */
  readonly data: Uint8Array;
}

function* readTurn(record: Uint8Array, position: number): Generator<TurnEntry> {
  const reader = new ByteReader(record);
  const heads: (EntryPosition & { readonly timeMs: number; readonly length: number })[] = [];
  try {
    const kind = reader.u8();
    if (kind !== RECORD_ENTRIES) throw new RangeError(`record kind ${kind} is not known`);
    const count = reader.varint();
    for (let i = 0; i < count; i++) {
      heads.push({
        group: reader.varint(),
        term: reader.varint(),
        index: reader.varint(),
        timeMs: reader.varint(),
        length: reader.varint(),
      });
    }
  } catch (error) {
    throw damaged(position, error);
  }
  for (const { length, timeMs, ...entry } of heads) {
    if (entry.group >= GROUP_COUNT_MAX || length > reader.remaining) {
      throw damaged(position, new RangeError(`the entry of group ${entry.group} does not fit its record`));
    }
    const data = new ByteWriter(length + 8);
    data.varint(timeMs);
    data.bytes(reader.bytes(length));
    yield { entry, data: data.view() };
  }
}

const replay = (machine: StateMachine, entry: EntryPosition, data: Uint8Array, position: number): void => {
  try {
    machine.apply(entry, data);
  } catch (error) {
    if (error instanceof RangeError) throw damaged(position, error);
    throw error;
  }
};

const damaged = (position: number, cause: unknown): NodeError =>
  new NodeError(
    'CORRUPTION',
    `The log record at position ${position} has a valid checksum but cannot be understood: ${(cause as Error).message}. It was written by another version, or by a defect; do not delete it.`,
    { cause },
  );

const gap = (entry: EntryPosition, last: number, position: number): NodeError =>
  new NodeError(
    'CORRUPTION',
    `The log misses entries ${last + 1} to ${entry.index - 1} of group ${entry.group} before position ${position}. Restore the missing segments.`,
  );
