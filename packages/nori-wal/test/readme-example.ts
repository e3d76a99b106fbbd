import { Wal } from 'nori-wal';

export async function example(dir: string): Promise<string[]> {
  const wal = await Wal.open({ dir });
  const encoder = new TextEncoder();
  const first = await wal.append(encoder.encode('alice pays bob 5')); // durable now
  await wal.appendBatch([encoder.encode('bob pays carol 3'), encoder.encode('carol pays alice 1')]); // all or none

  const found: string[] = [];
  for await (const { data } of wal.readFrom(first)) found.push(new TextDecoder().decode(data));
  await wal.close();
  return found;
}
