// Processes of servers: started, watched, and gone at the end whatever happens. What they say on stderr is kept for the error message.
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const WORDS_MAX = 2000;
const POLL_MS = 100;
/** A loaded machine elects and connects slowly. */
const PATIENCE_MS = 60_000;

const running = new Set();

/** Kills all servers and generators. */
export const stopServers = () => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
};

process.once('exit', stopServers);

/**
 * Starts a program that ends with this one.
 * @returns `{ name, child, pid, lastWords(), hasEnded(), end(signal) }`
 */
export const startProcess = (name, command, args, options = {}) => {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let words = '';
  let isOver = false;
  running.add(child);
  child.stderr.setEncoding('utf8').on('data', (text) => {
    words = (words + text).slice(-WORDS_MAX);
  });
  const over = new Promise((resolve) => {
    child.once('close', resolve).once('error', (error) => {
      words += error.message;
      resolve();
    });
  }).then(() => {
    isOver = true;
    running.delete(child);
  });
  return {
    name,
    child,
    pid: child.pid,
    over,
    lastWords: () => words.trim(),
    hasEnded: () => isOver,
    end: async (signal = 'SIGKILL') => {
      if (!isOver) child.kill(signal);
      await over;
    },
  };
};

/** Refuses figures of servers of which one has ended by itself. */
export const assertAlive = (servers) => {
  for (const server of servers) {
    if (server.hasEnded())
      throw new Error(`${server.name} ended by itself: ${server.lastWords() || 'it said nothing'}`);
  }
};

/** Waits until `holds` says so; answers that fail count as no. */
export const until = async (what, servers, holds) => {
  const endMs = performance.now() + PATIENCE_MS;
  for (;;) {
    assertAlive(servers);
    if (await Promise.resolve(holds()).catch(() => false)) return;
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await sleep(POLL_MS);
  }
};

const isFreeForUdp = (port) =>
  new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => resolve(false));
    socket.bind(port, '127.0.0.1', () => socket.close(() => resolve(true)));
  });

/** `count` different ports of the loopback that are free for TCP and UDP. */
export const freePorts = async (count) => {
  const servers = [];
  const ports = [];
  while (ports.length < count) {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
    if (await isFreeForUdp(server.address().port)) ports.push(server.address().port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
};
