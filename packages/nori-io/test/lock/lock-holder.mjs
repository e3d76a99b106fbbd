// A process for tests of the lock: takes the lock at argv[2], prints one line of JSON, and stays until it is killed. With
// "busy" as argv[3] it blocks its event loop from then on; with "once" it releases the lock and ends.
import { nodeFileSystem } from 'nori-io';

const [, , path, manner] = process.argv;
const say = (line) => new Promise((resolve) => process.stdout.write(`${JSON.stringify(line)}\n`, resolve));
try {
  const lock = await nodeFileSystem.lock(path);
  await say({ held: true, pid: process.pid });
  if (manner === 'once') await lock.release();
  else process.stdin.resume();
  if (manner === 'busy') for (;;);
} catch (error) {
  await say({ held: false, code: error.code, holder: error.holder, message: error.message });
}
