// Prints the tables of the README, on this machine: `node bench/tables.mjs [table …]` after a build. Tables: detection, spread, load,
// lifeguard, cost. All but `cost` are of virtual time and the same everywhere; seeds are fixed.
import { execFileSync, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { resolveProtocol, SwimCore } from '../dist/index.js';
import { measureDetection, measureLoad, measureSpread, Simulation, tryLifeguard } from '../dist/sim.js';

const LAN = { probeIntervalMs: 1_000, probeTimeoutMs: 500 };
const seconds = (ms) => `${(ms / 1_000).toFixed(1)} s`;
const row = (cells) => console.log(`| ${cells.join(' | ')} |`);
const head = (cells) => {
  row(cells);
  row(cells.map(() => '---'));
};

function detection() {
  head([
    'members',
    'runs',
    'first notices: mean',
    'all know: mean',
    'p50',
    'p99',
    'max',
    'all know with the LAN constants of memberlist: mean',
  ]);
  for (const [nodes, runs] of [
    [3, 1_000],
    [5, 1_000],
    [10, 1_000],
    [100, 100],
    [1_000, 10],
  ]) {
    const { first, everywhere } = measureDetection({ nodes, runs, seed: 1 });
    const lan = measureDetection({ nodes, runs: Math.ceil(runs / 5), seed: 1, protocol: LAN });
    const { mean, p50, p99, max } = everywhere;
    row([nodes, runs, seconds(first.mean), ...[mean, p50, p99, max].map(seconds), seconds(lan.everywhere.mean)]);
  }
}

function spread() {
  head([
    'members',
    'runs',
    'all have heard: p50',
    'p99',
    'max',
    'transmissions by one member, at most',
    'runs in which gossip missed somebody',
  ]);
  for (const [nodes, runs] of [
    [3, 500],
    [10, 500],
    [100, 100],
    [1_000, 10],
  ]) {
    const { p50, p99, max, retransmissionsMax, incomplete } = measureSpread({ nodes, runs, seed: 1 });
    row([nodes, runs, ...[p50, p99, max].map((ms) => `${ms.toFixed(0)} ms`), retransmissionsMax, incomplete]);
  }
}

function load() {
  head([
    'members',
    'datagrams a second and member',
    'bytes (encrypted)',
    'exchanges over TCP a minute',
    'the same at 10 % loss',
  ]);
  for (const nodes of [3, 10, 100, 1_000]) {
    const forSeconds = nodes > 100 ? 30 : 300;
    const idle = measureLoad({ nodes, seed: 1, seconds: forSeconds });
    const lossy = measureLoad({ nodes, seed: 1, seconds: forSeconds, network: { lossRate: 0.1 } });
    const cells = [idle.datagrams.toFixed(2), idle.bytes.toFixed(0), (60 * idle.streams).toFixed(1)];
    row([nodes, ...cells, `${lossy.datagrams.toFixed(1)} datagrams`]);
  }
}

function lifeguard() {
  const rows = [
    ['SWIM: nothing', 0, 0, 0],
    ['local health', 1, 0, 0],
    ['suspicion', 0, 1, 0],
    ['buddy', 0, 0, 1],
    ['Lifeguard: all three', 1, 1, 1],
    ['Lifeguard, pauses noticed, suspects asked again', 1, 1, 1, 1],
  ];
  const counts = [1, 2, 4, 8, 16, 32];
  head(['on', ...counts.map((slow) => `${slow} slow`)]);
  for (const [name, health, suspicion, buddy, rest] of rows) {
    const lifeguard = { localHealth: !!health, suspicion: !!suspicion, buddy: !!buddy };
    const parts = { ...lifeguard, pauseDetection: !!rest, recheckSuspects: !!rest };
    const cells = counts.map((slow) => {
      let [all, atHealthy] = [0, 0];
      for (let seed = 1; seed <= 3; seed++) {
        const held = { heldUpMs: [500, 16_000], freeMs: [1, 1_000] };
        const result = tryLifeguard({ nodes: 100, slow, seconds: 120, seed, parts, ...held });
        all += result.falsePositives;
        atHealthy += result.atHealthy;
      }
      return `${all} / ${atHealthy}`;
    });
    row([name, ...cells]);
  }
}

/** CPU of this process, in milliseconds. */
const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

/** Bytes of heap that a member takes: a core that knows ten thousand beside one that knows nobody. */
function bytesPerMember(count = 10_000) {
  const options = resolveProtocol({ membersMax: 100_000 });
  const alive = (i) => ({
    type: 'alive',
    id: `member-number-${i}`,
    address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}:7449`,
    boot: 1,
    incarnation: 1,
    zone: 'zone-1',
    metadata: new Uint8Array(32),
    versionMin: 1,
    versionMax: 1,
  });
  const self = { id: 'self', address: '10.255.0.1:7449', boot: 1, incarnation: 1 };
  const used = () => {
    globalThis.gc();
    globalThis.gc();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const core = new SwimCore(self, options, 0, () => 0.5);
  const before = used();
  const asked = core.step({ type: 'join', ticket: 1, to: '10.0.0.1:7449' }, 0, Math.random);
  const { exchange } = asked.find(({ type }) => type === 'request');
  {
    const records = Array.from({ length: count }, (_, i) => ({ alive: alive(i), state: 'alive', ageMs: 0 }));
    core.step({ type: 'reply', exchange, message: { type: 'push-pull-reply', records } }, 0, Math.random);
  }
  // A probe, so that there is a round of probes.
  core.step({ type: 'tick' }, 500, Math.random);
  const bytes = (used() - before) / count;
  if (core.activeCount !== count + 1) throw new Error('Not all are members.');
  return bytes;
}

/** Share of a core that each of `count` idle processes takes. */
async function idleCpu(count, forSeconds) {
  const script = fileURLToPath(new URL('../test/helpers/member.mjs', import.meta.url));
  const members = [];
  for (let i = 0; i < count; i++) {
    const child = fork(script, [JSON.stringify({ id: `n${i}`, bind: '127.0.0.1:0', keys: ['07'.repeat(32)] })]);
    const calls = new Map();
    const address = await new Promise((resolve) => {
      child.on('message', (message) => {
        if (message.address) resolve(message.address);
        else if (message.number) calls.get(message.number)(message.result);
      });
    });
    let number = 0;
    const call = (name, ...args) =>
      new Promise((resolve) => {
        calls.set(++number, resolve);
        child.send({ number, call: name, args });
      });
    members.push({ child, address, call });
    if (i > 0) await call('join', [members[0].address]);
  }
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  await sleep(5_000);
  const usage = async () => Promise.all(members.map(({ call }) => call('cpu')));
  const before = await usage();
  await sleep(1_000 * forSeconds);
  const after = await usage();
  for (const { child } of members) child.kill();
  return after.map(({ user, system }, i) => (user + system - before[i].user - before[i].system) / 1e6 / forSeconds);
}

async function cost() {
  head(['what', 'measured', 'target']);
  const shares = await idleCpu(3, 60);
  row([
    'CPU of an idle member of three, encrypted',
    `${(100 * Math.max(...shares)).toFixed(2)} % of a core`,
    'under 0.5 %',
  ]);
  row(['heap of a member, with 32 bytes of metadata', `${bytesPerMember().toFixed(0)} B`, 'under 2 KiB']);
  const sim = new Simulation({ seed: 1, nodes: 1_000 });
  sim.run(5_000);
  const before = cpuMs();
  sim.run(60_000);
  row([
    '1,000 simulated members, virtual time over CPU time',
    `${(60_000 / (cpuMs() - before)).toFixed(0)} times`,
    'over 20 times',
  ]);
}

const tables = { detection, spread, load, lifeguard, cost };
const wanted = process.argv.slice(2);
if (wanted.includes('cost') && globalThis.gc === undefined) {
  const again = [fileURLToPath(import.meta.url), ...wanted];
  process.stdout.write(
    execFileSync(process.execPath, ['--expose-gc', ...again], { stdio: ['ignore', 'pipe', 'inherit'] }),
  );
} else {
  for (const name of wanted.length > 0 ? wanted : Object.keys(tables).filter((each) => each !== 'cost')) {
    console.log(`\n${name}\n`);
    await tables[name]();
  }
}
