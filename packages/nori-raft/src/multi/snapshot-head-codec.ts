// The head of a snapshot (index, term, configuration) inside of frames; layout in docs/formats/raft-frame.md.
import { RaftError } from '../errors.js';
import type { ConfState } from '../types.js';
import { type ByteReader, badFrame } from './byte-reader.js';
import { type ByteWriter, varintSize } from './byte-writer.js';
import type { SnapshotHead } from './frame-format.js';

const AUTO_LEAVE = 1;

/** @throws RaftError RAFT_MISUSE when ids do not ascend from 1 */
export function snapshotHeadSize({ index, term, config }: SnapshotHead): number {
  let size = varintSize(index) + varintSize(term) + 1;
  for (const ids of listsOf(config)) size += idsSize(ids);
  return size;
}

export function writeSnapshotHead(out: ByteWriter, { index, term, config }: SnapshotHead): void {
  out.varint(index);
  out.varint(term);
  out.u8(config.autoLeave ? AUTO_LEAVE : 0);
  for (const ids of listsOf(config)) {
    out.varint(ids.length);
    let before = 0;
    for (const id of ids) {
      out.varint(id - before);
      before = id;
    }
  }
}

export function readSnapshotHead(reader: ByteReader): SnapshotHead {
  const index = reader.varint();
  const term = reader.varint();
  const autoLeave = reader.flags(AUTO_LEAVE) !== 0;
  const voters = readIds(reader);
  const votersOutgoing = readIds(reader);
  const learners = readIds(reader);
  const learnersNext = readIds(reader);
  return { index, term, config: { voters, votersOutgoing, learners, learnersNext, autoLeave } };
}

function listsOf(config: ConfState): readonly (readonly number[])[] {
  return [config.voters, config.votersOutgoing, config.learners, config.learnersNext];
}

function idsSize(ids: readonly number[]): number {
  let size = varintSize(ids.length);
  let before = 0;
  for (const id of ids) {
    if (!(id > before)) throw new RaftError('RAFT_MISUSE', 'The replica ids of a configuration must ascend from 1.');
    size += varintSize(id - before);
    before = id;
  }
  return size;
}

function readIds(reader: ByteReader): number[] {
  const count = reader.count(Infinity, 1);
  const ids: number[] = [];
  let id = 0;
  for (let i = 0; i < count; i++) {
    const { at } = reader;
    const difference = reader.varint();
    id += difference;
    if (difference === 0 || id > Number.MAX_SAFE_INTEGER) throw badFrame(at, 'replica ids do not ascend');
    ids.push(id);
  }
  return ids;
}
