// A process for tests of the lock: takes the lock at argv[2], prints one line of JSON, and stays until it is killed. With
// "busy" as argv[3] it blocks its event loop from then on. It ends by itself after a minute, should a test forget it.
import { nodeFileSystem } from 'nori-io';

const STAY_MS = 60_000;
const [, , path, manner] = process.argv;
const say = (line) => new Promise((resolve) => process.stdout.write(`${JSON.stringify(line)}\n`, resolve));
try {
  await nodeFileSystem.lock(path);
  await say({ held: true, pid: process.pid });
  const end = Date.now() + STAY_MS;
  while (manner === 'busy' && Date.now() < end);
  setTimeout(() => process.exit(), STAY_MS);
} catch (error) {
  await say({ held: false, code: error.code, holder: error.holder, message: error.message });
}
