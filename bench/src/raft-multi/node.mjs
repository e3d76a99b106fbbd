// One node: MultiRaft over TCP, with its log on disk. What is done with it is a method each, with arguments and answers that also go
// between processes.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MultiRaft } from 'nori-raft';
import { TcpTransport } from 'nori-raft/tcp-transport';
import { systemClock as clock, WalStorage } from 'nori-raft/wal-storage';
import { proposeAtRate, proposeInTurns, readByLease } from './callers.mjs';
import { CountingMachine, LargeMachine } from './machines.mjs';

const CLUSTER = 'bench';
const POLL_MS = 5;
const NODES = [1, 2, 3];
const PEERS = new Map(NODES.map((n) => [n, `n${n}`]));

const heapBytes = async () => {
  for (let i = 0; i < 4; i++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

/** The node that is to lead a group: each leads a third. */
const preferredOf = (groupId) => (groupId % NODES.length) + 1;

export class BenchNode {
  elections = 0;
  #rate;

  async open({ number, dir }) {
    this.number = number;
    this.dir = dir;
    const nodeId = `n${number}`;
    const { random } = Math;
    const storage = await WalStorage.open({ dir: join(dir, nodeId), nodeId, clusterId: CLUSTER, clock, random });
    const { incarnation } = storage;
    const listen = '127.0.0.1:0';
    this.transport = new TcpTransport({ nodeId, clusterId: CLUSTER, incarnation, listen, clock, random });
    this.multi = await MultiRaft.open({
      nodeId,
      clock,
      random,
      storage,
      transport: this.transport,
      onEvent: (event) => {
        if (event.type === 'raft.role_changed' && event.role.endsWith('candidate')) this.elections++;
        if (event.type === 'raft.storage_failed' || event.type === 'raft.group_failed') console.error(event);
      },
    });
    return this.transport.address;
  }

  connect({ addresses }) {
    this.transport.setPeers(new Map(addresses));
  }

  /** @param what.led the groups that this node is to lead, or the others */
  async createGroups({ first = 1, count, led, leader }) {
    const creating = [];
    for (let groupId = first; groupId < first + count; groupId++) {
      const preferredLeader = leader ?? preferredOf(groupId);
      if ((preferredLeader === this.number) !== led) continue;
      creating.push(this.#create(groupId, new CountingMachine(NODES), { preferredLeader }));
    }
    await Promise.all(creating);
  }

  async createLargeGroup({ groupId, isFirst, bytes, leader }) {
    this.large = new LargeMachine(NODES, isFirst, bytes, join(this.dir, `snapshot-${this.number}`));
    await this.#create(groupId, this.large, { preferredLeader: leader, bootstrap: isFirst });
  }

  async installed() {
    await this.large.installed;
    return this.large.received;
  }

  #create(groupId, stateMachine, options) {
    const replicaId = this.number;
    return this.multi.createGroup({ groupId, replicaId, stateMachine, peers: PEERS, bootstrap: true, ...options });
  }

  leading() {
    return this.#led().length;
  }

  /** Resolves when this and the other nodes that are alive lead all groups; the wall clock then. */
  async ledBy({ alive, count }) {
    const isLed = ({ role, leader }) =>
      role === 'leader' || (leader !== 0 && leader !== this.number && alive.includes(leader));
    for (;;) {
      let led = 0;
      for (const group of this.multi.groups) if (isLed(group)) led++;
      if (led === count) return Date.now();
      await sleep(POLL_MS);
    }
  }

  /** Proposes once to each group it leads; the wall clock when all are applied. */
  async proposeToAll({ bytes, times = 1 }) {
    const data = new Uint8Array(bytes);
    for (let i = 0; i < times; i++) await Promise.all(this.#led().map((group) => group.propose(data)));
    return Date.now();
  }

  #led() {
    return [...this.multi.groups].filter(({ role }) => role === 'leader');
  }

  async proposeInTurns({ callers, bytes, warmupMs, durationMs }) {
    const groups = this.#led();
    return proposeInTurns({ groups, callers, warmupMs, durationMs, data: new Uint8Array(bytes) });
  }

  startRate({ groupId, perSecond, bytes }) {
    this.#rate = proposeAtRate({ group: this.multi.group(groupId), perSecond, data: new Uint8Array(bytes) });
  }

  markRate() {
    return this.#rate.mark();
  }

  stopRate() {
    return this.#rate.stop();
  }

  readByLease({ distinct, warmupMs, durationMs }) {
    return readByLease({ groups: this.#led(), distinct, warmupMs, durationMs });
  }

  heap() {
    return heapBytes();
  }

  stats() {
    const { user, system } = process.cpuUsage();
    return { ...this.multi.stats(), elections: this.elections, cpuMicros: user + system, nowMs: performance.now() };
  }

  async close() {
    await this.multi.close();
  }
}
