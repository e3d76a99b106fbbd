// A member in a process of its own. Its options come as JSON on the command line; the parent calls its methods over IPC and is sent its
// events. Runs from dist.
import { Swim } from '../../dist/index.js';

const bytes = (text) => new TextEncoder().encode(text);
const key = (text) => Uint8Array.from(Buffer.from(text, 'hex'));
const { keys, ...options } = JSON.parse(process.argv[2]);
const swim = await Swim.start({ ...options, ...(keys && { keys: keys.map(key) }) });

const calls = {
  join: (seeds) => swim.join(seeds),
  leave: () => swim.leave(),
  close: () => swim.close(),
  states: () => Object.fromEntries(swim.view().others.map(({ id, state }) => [id, state])),
  view: () => swim.view(),
  stats: () => swim.stats(),
  broadcast: (text) => swim.broadcast(bytes(text)),
  setMetadata: (text) => swim.setMetadata(bytes(text)),
  rotateKey: (step, hex) => swim.rotateKey(step, key(hex)),
  /** Holds up the event loop. */
  block: (forMs) => {
    const end = performance.now() + forMs;
    while (performance.now() < end);
  },
  cpu: () => process.cpuUsage(),
};

process.on('message', async ({ number, call, args }) => {
  try {
    process.send({ number, result: await calls[call](...args) });
  } catch (error) {
    process.send({ number, error: { code: error.code, message: error.message } });
  }
});
process.on('disconnect', () => process.exit());

process.send({ address: swim.address });
for await (const event of swim.events()) {
  process.send({
    event: { ...event, ...(event.data && { data: new TextDecoder().decode(event.data) }) },
    atMs: Date.now(),
  });
}
process.exit();
