// The large load: uniform random puts over a key space many times larger than memory for it, then gets of what was written.
// While it runs, the event loop of the process that writes is watched.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { watchEventLoop } from '../event-loop.mjs';
import { peakResidentMibOf } from '../process-stats.mjs';
import { KEY_BYTES, uniform, VALUE_BYTES, valueBytesOf, writeKey } from './data.mjs';
import { tableBytesOf } from './disk.mjs';
import { openStore } from './stores.mjs';
import { check, secondsSince } from './workloads.mjs';

const BATCH = 1000;
const REST_MS = 3000;
const REST_POLL_MS = 250;
const REST_TIMEOUT_MS = 600_000;

/** Bytes this process has handed to the system to write, the log included; NaN where /proc is not. */
const bytesHandedOver = () => {
  try {
    return Number(/^wchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
  } catch {
    return Number.NaN;
  }
};

/** Waits until nothing has changed on disk for a while. */
const comeToRest = async (store, dir) => {
  const startMs = performance.now();
  let sinceMs = startMs;
  let before = '';
  while (performance.now() - sinceMs < REST_MS) {
    if (performance.now() - startMs > REST_TIMEOUT_MS) throw new Error('the store does not come to rest');
    await sleep(REST_POLL_MS);
    const now = `${tableBytesOf(dir)} ${store.tableBytesWritten()}`;
    if (now !== before || store.isBusy()) sinceMs = performance.now();
    before = now;
  }
  return (sinceMs - startMs) / 1000;
};

/** Puts `puts` values, each to a key drawn from `keySpace`; `written[key]` is the number of its last put, from 1. */
const putUniformly = async (store, { puts, keySpace }, written) => {
  const keys = Array.from({ length: BATCH }, () => Buffer.allocUnsafeSlow(KEY_BYTES));
  const values = Array.from({ length: BATCH }, () => Buffer.allocUnsafeSlow(VALUE_BYTES));
  for (let put = 0; put < puts; ) {
    const count = Math.min(BATCH, puts - put);
    for (let i = 0; i < count; i++) {
      const index = uniform(put, keySpace);
      written[index] = ++put;
      writeKey(keys[i], index);
      values[i].set(valueBytesOf(index));
      values[i].writeUInt32LE(put, 0);
    }
    await store.putBatch(keys, values, 0, count);
  }
};

/** Gets of written keys, uniformly; each must find what was put last. */
const getUniformly = (store, gets, keySpace, written, stream) => {
  const key = Buffer.allocUnsafeSlow(KEY_BYTES);
  let wrong = 0;
  for (let get = 0, turn = 0; get < gets; turn++) {
    const index = uniform(turn, keySpace, stream);
    if (written[index] === 0) continue;
    writeKey(key, index);
    const value = store.getSync(key);
    if (
      value?.length !== VALUE_BYTES ||
      (value[0] | (value[1] << 8) | (value[2] << 16) | (value[3] << 24)) !== written[index]
    )
      wrong++;
    get++;
  }
  check(wrong === 0, `${wrong} of ${gets} gets did not find the last value put`);
};

/** @param {{ store: string, dir: string, puts: number, keySpace: number, gets: number }} job */
export const load = async (job) => {
  const { store: name, dir, puts, keySpace, gets } = job;
  const written = new Uint32Array(keySpace);
  const store = await openStore(name, dir);
  await sleep(200);
  const cpuBefore = process.cpuUsage();
  const endWatch = watchEventLoop();
  const startMs = performance.now();
  await putUniformly(store, job, written);
  const putSeconds = secondsSince(startMs);
  const loop = endWatch();
  const { user, system } = process.cpuUsage(cpuBefore);
  const peakRssMib = peakResidentMibOf(process.pid);
  const tableBytesAtEnd = tableBytesOf(dir);

  await store.flush();
  const restSeconds = await comeToRest(store, dir);
  const userBytes = puts * (KEY_BYTES + VALUE_BYTES);
  const writeAmplification = store.tableBytesWritten() / userBytes;
  const handedOverAmplification = bytesHandedOver() / userBytes;
  const tableBytesAtRest = tableBytesOf(dir);

  getUniformly(store, gets / 5, keySpace, written, 1);
  const getStartMs = performance.now();
  getUniformly(store, gets, keySpace, written, 2);
  const getsPerSecond = gets / secondsSince(getStartMs);

  const stats = store.stats();
  const compactStartMs = performance.now();
  await store.compact();
  const compactSeconds = secondsSince(compactStartMs);
  await comeToRest(store, dir);
  const tableBytesSettled = tableBytesOf(dir);
  await store.close();
  return {
    putsPerSecond: puts / putSeconds,
    getsPerSecond,
    writeAmplification,
    handedOverAmplification,
    spaceRatio: tableBytesAtRest / tableBytesSettled,
    tableBytesAtEnd,
    tableBytesAtRest,
    tableBytesSettled,
    restSeconds,
    compactSeconds,
    loop,
    loopP999: loop.p999,
    loopMax: loop.max,
    cpuSeconds: (user + system) / 1e6,
    cpuPercent: (user + system) / 1e4 / putSeconds,
    peakRssMib,
    stats,
  };
};
