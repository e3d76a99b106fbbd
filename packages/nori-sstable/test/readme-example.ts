import { nodeFileSystem as fs } from 'nori-io';
import { BlockCache, SSTableReader, SSTableWriter } from 'nori-sstable';

export async function example(path: string): Promise<string> {
  const bytes = (text: string) => new TextEncoder().encode(text);
  await using writer = await SSTableWriter.create({ fs, path });
  writer.add(bytes('user:1'), 7, 1, 0, bytes('alice')); // key, seq, kind (1 put, 2 tombstone), expiresAtMs, value
  writer.add(bytes('user:2'), 5, 1, 0, bytes('bob'));
  await writer.finish();

  await using table = await SSTableReader.open({ fs, path, cache: new BlockCache({ bytesMax: 64 * 1024 * 1024 }) });
  const names = [];
  const cursor = table.cursor();
  for (cursor.seek(bytes('user:')); cursor.valid; cursor.next()) names.push(new TextDecoder().decode(cursor.value));
  return `${names.join(', ')}; newest of user:1 is ${table.get(bytes('user:1'))?.seq}`;
}
