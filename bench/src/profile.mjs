// The functions that take the most time of their own in CPU profiles, by thread.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const SHOWN = 15;

/** Own time of each function in a profile, milliseconds, the largest first. */
const ownTimes = ({ nodes, samples, timeDeltas }) => {
  const byId = new Map(nodes.map((node) => [node.id, node.callFrame]));
  const times = new Map();
  for (let i = 0; i < samples.length; i++) {
    const { functionName, url, lineNumber } = byId.get(samples[i]);
    const where = url === '' ? '' : ` ${basename(url)}:${lineNumber + 1}`;
    const name = `${functionName || '(anonymous)'}${where}`;
    times.set(name, (times.get(name) ?? 0) + Math.max(0, timeDeltas[i]) / 1000);
  }
  return [...times].toSorted((a, b) => b[1] - a[1]);
};

const IDLE = '(idle)';

/** Reads the `.cpuprofile` files in `dir`, one for each thread, and says where their time went, as text. */
export const describeProfiles = (dir) =>
  readdirSync(dir)
    .filter((name) => name.endsWith('.cpuprofile'))
    .toSorted()
    .map((name) => {
      const times = ownTimes(JSON.parse(readFileSync(join(dir, name), 'utf8')));
      const busyMs = times.reduce((sum, [what, ms]) => sum + (what === IDLE ? 0 : ms), 0);
      const lines = times
        .filter(([what]) => what !== IDLE)
        .slice(0, SHOWN)
        .map(([what, ms]) => `${((100 * ms) / busyMs).toFixed(1).padStart(6)} %  ${what}`);
      // CPU.<date>.<time>.<process>.<thread>.<number>.cpuprofile
      const thread = name.split('.')[4];
      return `${thread === '0' ? 'main thread' : `worker ${thread}`}: ${(busyMs / 1000).toFixed(2)} s busy\n${lines.join('\n')}\n`;
    })
    .join('\n');
