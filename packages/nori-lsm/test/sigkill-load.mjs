// What the process of sigkill.test.ts writes, a program and a library in one:
//
//   node sigkill-load.mjs <directory> <operations already there> <seed>
//
// opens a database of the built package, writes batch after batch with mixed durability and prints a line for each that was
// acknowledged: its number and the letter of its durability. It ends when it is killed.
import { writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const DURABILITIES = ['sync', 'batch', 'os', 'none'];
export const COUNTER = '~counter';
const KEYS = 500;
const IN_FLIGHT_MAX = 64;
const STDOUT = 1;

/** Well-mixed 32 bits for any two numbers. */
const mix = (a, b) => {
  let x = Math.imul(a + 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
  return (x ^ (x >>> 15)) >>> 0;
};

/** Batch `number`, the same in every process. */
export const batchAt = (number) => {
  const operations = [{ type: 'put', key: COUNTER, value: String(number) }];
  for (let i = mix(number, 0) % 4; i > 0; i--) {
    const key = `key ${mix(number, i) % KEYS}`;
    const bytes = mix(number, i + 100) % 900;
    if (mix(number, i + 200) % 4 === 0) operations.push({ type: 'delete', key });
    else operations.push({ type: 'put', key, value: `${number}.`.padEnd(bytes, '.') });
  }
  return operations;
};

/** Writes all of a short line to a pipe, which may be full for a while. */
const print = (line) => {
  for (;;) {
    try {
      writeSync(STDOUT, line);
      return;
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
};

const writeUntilKilled = async (dir, first, seed) => {
  const { Lsm } = await import('../dist/index.js');
  const db = await Lsm.open({
    dir,
    memtableBytes: 64 * 1024,
    tableBytes: 64 * 1024,
    levelBytesBase: 128 * 1024,
    l0Trigger: 3,
    l0Stop: 6,
    walSegmentBytesMax: 128 * 1024,
  });
  let inFlight = 0;
  for (let number = first + 1; ; number++) {
    const durability = DURABILITIES[mix(seed, number) % DURABILITIES.length] ?? 'batch';
    inFlight++;
    const done = db.batch(batchAt(number), { durability }).then(() => {
      inFlight--;
      // In one piece and at once: an acknowledgement that is on its way when the process dies counts as none.
      print(`${number} ${durability[0]}\n`);
    });
    if (inFlight >= IN_FLIGHT_MAX || mix(seed, number + 1) % 16 === 0) await done;
  }
};

const [, program, dir, first, seed] = process.argv;
if (program !== undefined && import.meta.url === pathToFileURL(program).href) {
  await writeUntilKilled(String(dir), Number(first), Number(seed));
}
