// Loaded into a node process before the product (node --require), in its worker threads too: a disk, a clock and a gossip port that
// fail on command. Commands come from the parent over IPC: {id, disk}, {id, slowMs}, {id, clock: {rate, offsetMs}}, {id, block: ports}.
//
// Disk: "fine"; "stalled": writes and syncs do not begin until it changes; "slow": each sync takes slowMs longer; "full": no write finds
// space; "failing": the next sync fails with EIO.
'use strict';
const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');
const { performance } = require('node:perf_hooks');
const { getEnvironmentData, isMainThread, setEnvironmentData } = require('node:worker_threads');

const MODES = ['fine', 'stalled', 'slow', 'full', 'failing'];
const NAME = 'norikv-test-disk';
if (isMainThread) setEnvironmentData(NAME, new SharedArrayBuffer(8));
/** Of all threads: the mode of the disk, and by how much it is slow. */
const disk = new Int32Array(getEnvironmentData(NAME));
const modeOf = () => MODES[Atomics.load(disk, 0)];
/** How often a held operation looks again. */
const LOOK_MS = 10;
const realTimeout = setTimeout;

// --- the disk

const errorOf = (code, errno, text) => Object.assign(new Error(`${code}: ${text}`), { code, errno, syscall: 'write' });
const noSpace = () => errorOf('ENOSPC', -28, 'no space left on device');
const broken = () => errorOf('EIO', -5, 'i/o error');
/** Standard streams are no files. */
const isFile = (fd) => typeof fd === 'number' && fd > 2;

/** Calls `go` once the disk does something. */
const whenMoving = (go) => {
  if (modeOf() !== 'stalled') go();
  else realTimeout(() => whenMoving(go), LOOK_MS);
};

const failFull = (error) => (modeOf() === 'full' ? error() : undefined);
const failSync = () => {
  if (modeOf() !== 'failing') return undefined;
  Atomics.store(disk, 0, 0);
  return broken();
};

for (const name of ['write', 'writev']) {
  const real = fs[name];
  fs[name] = (fd, ...rest) => {
    if (!isFile(fd)) return real(fd, ...rest);
    whenMoving(() => {
      const error = failFull(noSpace);
      if (error === undefined) real(fd, ...rest);
      else rest.at(-1)(error, 0);
    });
  };
}
for (const name of ['fdatasync', 'fsync']) {
  const real = fs[name];
  fs[name] = (fd, done) => {
    const go = () => {
      const error = failSync();
      if (error === undefined) real(fd, done);
      else done(error);
    };
    whenMoving(() => (modeOf() === 'slow' ? realTimeout(go, Atomics.load(disk, 1)) : go()));
  };
}
for (const name of ['writeSync', 'writevSync']) {
  const real = fs[name];
  fs[name] = (fd, ...rest) => {
    // This thread cannot be woken up by its parent when it waits here: what is written so is never held.
    const error = isFile(fd) ? failFull(noSpace) : undefined;
    if (error !== undefined) throw error;
    return real(fd, ...rest);
  };
}
const realStatfs = fs.promises.statfs;
fs.promises.statfs = async (...given) => {
  const found = await realStatfs(...given);
  if (modeOf() === 'full') found.bavail = 0;
  return found;
};

// --- the clock

const realNow = Date.now;
const realMonotonic = performance.now.bind(performance);
let rate = 1;
/** Where the clocks stood when the rate was set, in real and in shown time. */
let origin = { wall: realNow(), monotonic: realMonotonic(), shownWall: realNow(), shownMonotonic: realMonotonic() };

const shownWall = () => Math.floor(origin.shownWall + (realNow() - origin.wall) * rate);
const shownMonotonic = () => origin.shownMonotonic + (realMonotonic() - origin.monotonic) * rate;

const setClock = ({ rate: newRate = rate, jumpMs = 0 }) => {
  const [wall, monotonic] = [realNow(), realMonotonic()];
  origin = { wall, monotonic, shownWall: shownWall() + jumpMs, shownMonotonic: shownMonotonic() };
  rate = newRate;
};

if (isMainThread) {
  setClock(JSON.parse(process.env.NORI_TEST_CLOCK ?? '{}'));
  Date.now = shownWall;
  performance.now = shownMonotonic;
  for (const name of ['setTimeout', 'setInterval']) {
    const real = globalThis[name];
    globalThis[name] = Object.assign((fn, delayMs, ...rest) => real(fn, delayMs / rate, ...rest), real);
  }
}

// --- gossip

/** Ports to which nothing gets through. */
let blocked = new Set();

const realSend = dgram.Socket.prototype.send;
dgram.Socket.prototype.send = function send(...given) {
  const numbers = given.filter((one) => typeof one === 'number');
  if (!blocked.has(numbers.at(-1))) return realSend.apply(this, given);
  const done = given.at(-1);
  if (typeof done === 'function') setImmediate(done, null, 0);
};
const realConnect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function connect(...given) {
  const options = Array.isArray(given[0]) ? given[0][0] : given[0];
  const port = typeof options === 'object' ? options?.port : options;
  if (!blocked.has(Number(port))) return realConnect.apply(this, given);
  setImmediate(() => this.destroy(errorOf('ECONNREFUSED', -111, 'cut off, as it was told to be')));
  return this;
};

// --- commands

if (isMainThread && process.send !== undefined) {
  // Ends with its parent.
  process.on('disconnect', () => process.exit());
  process.on('message', ({ id, disk: mode, slowMs, clock, block }) => {
    if (slowMs !== undefined) Atomics.store(disk, 1, slowMs);
    if (mode !== undefined) Atomics.store(disk, 0, MODES.indexOf(mode));
    if (clock !== undefined) setClock(clock);
    if (block !== undefined) blocked = new Set(block);
    process.send({ id }, () => {});
  });
  process.channel.unref();
}
