// A shard on its way to another node (docs/formats/shard-snapshot.md): its mark, which says where it stands and what it remembers of
// its clients, and behind it the copy of its keys that the storage gives.
import { ByteWriter } from '../domain/byte-writer.js';
import type { GroupConfig } from '../domain/group-config.js';
import { NodeError } from '../domain/node-error.js';
import type { GroupSnapshot } from '../ports/replicated-log.js';
import type { ReceivedGroup, Storage } from '../ports/storage.js';
import type { Shard } from './shard.js';

const LENGTH_BYTES = 4;

/** The shard as applied now. */
export const takeSnapshot = (shard: Shard, config: GroupConfig, storage: Storage): GroupSnapshot => {
  const { term, index } = shard;
  const writer = new ByteWriter(256);
  shard.encodeMark(writer);
  const mark = writer.view();
  const head = new Uint8Array(LENGTH_BYTES + mark.length);
  new DataView(head.buffer).setUint32(0, mark.length);
  head.set(mark, LENGTH_BYTES);
  const copy = storage.copyGroup(shard.group);
  return {
    term,
    index,
    config,
    async *read(offset) {
      if (offset < head.length) yield head.subarray(offset);
      yield* copy.read(Math.max(0, offset - head.length));
    },
    release: () => copy.release(),
  };
};

/** Receives what {@link takeSnapshot} gave. @throws NodeError `CORRUPTION` if it ends too early */
export const receiveSnapshot = async (
  group: number,
  chunks: AsyncIterable<Uint8Array>,
  storage: Storage,
): Promise<{ readonly mark: Uint8Array; readonly received: ReceivedGroup }> => {
  const iterator = chunks[Symbol.asyncIterator]();
  let head: Uint8Array = new Uint8Array(0);
  const need = async (bytes: number) => {
    while (head.length < bytes) {
      const next = await iterator.next();
      if (next.done === true) throw new NodeError('CORRUPTION', `The snapshot of group ${group} ends within its head.`);
      const joined = new Uint8Array(head.length + next.value.length);
      joined.set(head);
      joined.set(next.value, head.length);
      head = joined;
    }
  };
  await need(LENGTH_BYTES);
  const length = new DataView(head.buffer, head.byteOffset).getUint32(0);
  await need(LENGTH_BYTES + length);
  const mark = head.slice(LENGTH_BYTES, LENGTH_BYTES + length);
  const rest = head.subarray(LENGTH_BYTES + length);
  const received = await storage.receiveGroup(group, following(rest, iterator));
  return { mark, received };
};

async function* following(first: Uint8Array, iterator: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (first.length > 0) yield first;
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
}
