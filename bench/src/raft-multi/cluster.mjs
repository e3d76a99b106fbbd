// Three nodes, in this process or each in one of its own, behind the same methods.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { BenchNode } from './node.mjs';

const NODE_PROCESS = fileURLToPath(new URL('./node-process.mjs', import.meta.url));
const POLL_MS = 20;
/** Elections, and what compaction leaves behind, are over by then. */
const REST_MS = 2000;

class LocalNode {
  #node = new BenchNode();

  call(method, argument) {
    return this.#node[method](argument);
  }

  /** As near to the end of a process as one comes in it: nothing is sent any more, the connections end. */
  kill() {
    return this.#node.close();
  }
}

class ProcessNode {
  #child = fork(NODE_PROCESS, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  #waiting = new Map();
  #next = 0;

  constructor() {
    this.#child.on('message', ({ id, result, error }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(result);
      else reject(new Error(error));
    });
    this.#child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('a node has ended'));
    });
  }

  call(method, argument) {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, method, argument });
    });
  }

  async kill() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}

/** @param form `one` process or `three` */
export const openCluster = async (form, dir) => {
  const nodes = [1, 2, 3].map(() => (form === 'three' ? new ProcessNode() : new LocalNode()));
  const addresses = [];
  for (const [i, node] of nodes.entries()) {
    addresses.push([`n${i + 1}`, await node.call('open', { number: i + 1, dir })]);
  }
  const cluster = new Cluster(form, nodes);
  await cluster.all('connect', { addresses });
  return cluster;
};

class Cluster {
  constructor(form, nodes) {
    this.form = form;
    this.nodes = nodes;
  }

  /** In one process they share what is measured of the process. */
  get nodesPerProcess() {
    return this.form === 'one' ? this.nodes.length : 1;
  }

  node(number) {
    return this.nodes[number - 1];
  }

  all(method, argument) {
    return Promise.all(this.nodes.map((node) => node.call(method, argument)));
  }

  /** Who is to follow exists first, so that who is to lead is elected at once. */
  async createGroups(what) {
    await this.all('createGroups', { ...what, led: false });
    await this.all('createGroups', { ...what, led: true });
    await this.awaitLeaders(what);
  }

  /** Waits until groups are led, each where it is to be. */
  async awaitLeaders({ count, leader }) {
    const wanted = [1, 2, 3].map((n) =>
      leader === undefined ? Math.floor((count + 3 - n + 1) / 3) : n === leader ? count : 0,
    );
    for (;;) {
      const leading = await this.all('leading');
      if (leading.reduce((sum, n) => sum + n, 0) === count && leading.every((n, i) => Math.abs(n - wanted[i]) <= 1))
        break;
      await sleep(POLL_MS);
    }
    await sleep(REST_MS);
  }

  async close() {
    await Promise.all(this.nodes.map((node) => node.kill()));
  }
}
