// What this machine does without NoriKV: the least that a round trip and a durable write can cost here, and how busy the
// machine was before anything was measured. Without them, figures of two machines, or of a busy one, mislead.
import { fork } from 'node:child_process';
import { closeSync, fdatasyncSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const DATA = fileURLToPath(new URL('../data/', import.meta.url));
const ANSWER_BYTES = 1100;
const REQUEST_BYTES = 40;
const ROUND_TRIPS = 10_000;
const ROUND_TRIPS_WARMUP = 2000;
const SYNCS = 300;
const BUSY_SAMPLE_MS = 2000;

const medianOf = (samples) => samples.toSorted((a, b) => a - b)[samples.length >> 1];

/** Median time of an append of 1 KiB and its fdatasync, milliseconds, on the disk that is measured. */
const syncMs = (dir) => {
  mkdirSync(dir, { recursive: true });
  const path = join(dir, `norikv-baseline-${process.pid}`);
  const file = openSync(path, 'w');
  const block = Buffer.alloc(1024, 1);
  const samples = [];
  try {
    for (let at = 0; at < SYNCS; at++) {
      const startMs = performance.now();
      writeSync(file, block);
      fdatasyncSync(file);
      samples.push(performance.now() - startMs);
    }
  } finally {
    closeSync(file);
    rmSync(path, { force: true });
  }
  return medianOf(samples);
};

/** Median round trip of 40 bytes out and 1,100 back over TCP to another process, milliseconds. */
const roundTripMs = () =>
  new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['echo']);
    child.once('error', reject);
    child.once('message', (port) => {
      const socket = net.connect(port, '127.0.0.1').setNoDelay(true);
      const request = Buffer.alloc(REQUEST_BYTES);
      const samples = [];
      let received = 0;
      let done = 0;
      let startMs = 0;
      const ask = () => {
        startMs = performance.now();
        socket.write(request);
      };
      socket.once('error', reject).once('connect', ask);
      socket.on('data', (chunk) => {
        received += chunk.length;
        if (received < ANSWER_BYTES) return;
        received = 0;
        if (done++ >= ROUND_TRIPS_WARMUP) samples.push(performance.now() - startMs);
        if (samples.length < ROUND_TRIPS) return ask();
        socket.destroy();
        child.kill();
        resolve(medianOf(samples));
      });
    });
  });

const serveEcho = () => {
  const answer = Buffer.alloc(ANSWER_BYTES);
  const server = net.createServer((socket) => {
    socket.setNoDelay(true).on('error', () => undefined);
    socket.on('data', () => socket.write(answer));
  });
  server.listen(0, '127.0.0.1', () => process.send(server.address().port));
};

/** Share of all cores that is in use over two seconds, percent. Not the load average: that remembers the build before. */
const busyPercent = async () => {
  const sample = () => {
    let idle = 0;
    let total = 0;
    for (const { times } of os.cpus()) {
      idle += times.idle;
      total += times.user + times.nice + times.sys + times.irq + times.idle;
    }
    return { idle, total };
  };
  const before = sample();
  await sleep(BUSY_SAMPLE_MS);
  const after = sample();
  return 100 * (1 - (after.idle - before.idle) / Math.max(1, after.total - before.total));
};

/**
 * Measures all of it; takes a few seconds.
 * @param {{ dir?: string, withNetwork?: boolean }} [what] `dir`: a directory on the disk that is measured
 */
export const measureBaseline = async ({ dir = DATA, withNetwork = true } = {}) => ({
  busyPercent: await busyPercent(),
  ...(withNetwork && { roundTripMs: await roundTripMs() }),
  syncMs: syncMs(dir),
});

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === 'echo') serveEcho();
