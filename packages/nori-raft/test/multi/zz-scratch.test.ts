import { MemoryStorage, type Entry, type HardState } from 'nori-raft';
import { Rng, VirtualClock } from 'nori-testkit';
import { expect, test } from 'vitest';
import { MultiRaft } from '../../src/multi/multi-raft.js';
import type { GroupWrite, Lane, Mark, NewGroup, NodeId, PeerReceiver, PeerTransport, RaftStorage, SnapshotSource, StagedSnapshot, StateMachine, StoredGroup } from '../../src/multi/ports.js';

class Storage implements RaftStorage {
  storedGroups: StoredGroup[] = [];
  logs = new Map<number, MemoryStorage & { hardState: HardState }>();
  constructor(readonly clock: VirtualClock) {}
  log(groupId: number) { const s = this.logs.get(groupId)!; return Object.assign(s, {}) as never as ReturnType<RaftStorage['log']>; }
  async write(writes: readonly GroupWrite[]) {
    await new Promise<void>((r) => this.clock.setTimer(0.5, r));
    for (const w of writes) { const s = this.logs.get(w.groupId); if (!s) continue; if (w.snapshot) s.applySnapshot({ ...w.snapshot, config: s.initialState().config, data: new Uint8Array() }); s.append(w.entries as Entry[]); if (w.hardState) s.setHardState(w.hardState); }
  }
  async createGroup({ groupId, replicaId, bootstrap }: NewGroup) {
    const s = new MemoryStorage(bootstrap ? { voters: [1] } : undefined);
    Object.defineProperty(s, 'hardState', { get() { return s.initialState().hardState; } });
    this.logs.set(groupId, s as never); this.storedGroups.push({ groupId, replicaId, removed: false });
  }
  async removeGroup(groupId: number) { this.logs.delete(groupId); }
  compact(groupId: number, index: number) { this.logs.get(groupId)!.compact(index); }
  stalledMs() { return 0; }
  async close() {}
}
class Net {
  receivers = new Map<NodeId, PeerReceiver>();
  cut = new Set<NodeId>();
  constructor(readonly clock: VirtualClock) {}
  transport(nodeId: NodeId): PeerTransport {
    return { nodeId, start: async (r) => { this.receivers.set(nodeId, r); }, send: (to: NodeId, lane: Lane, frame: Uint8Array) => { if (this.cut.has(to) || this.cut.has(nodeId)) return false; this.clock.setTimer(0.2, () => this.receivers.get(to)?.onFrame(nodeId, lane, frame)); return true; }, queuedBytes: () => 0, close: async () => { this.receivers.delete(nodeId); } };
  }
}
class MapMachine implements StateMachine<number> {
  sum = 0; mark: Mark;
  constructor(mark: Mark) { this.mark = mark; }
  apply(entries: readonly Entry[]) { return entries.map((e) => (this.sum += e.data[0]!)); }
  applied(mark: Mark) { this.mark = mark; }
  durableIndex() { return this.mark.index; }
  snapshot(): SnapshotSource { const sum = this.sum; return { ...this.mark, async *read(offset: number) { if (offset === 0) yield new TextEncoder().encode(String(sum)); }, release() {} }; }
  async stage(mark: Mark, chunks: AsyncIterable<Uint8Array>): Promise<StagedSnapshot> { let text = ''; for await (const c of chunks) text += new TextDecoder().decode(c); return { install: async () => { this.sum = Number(text); this.mark = mark; }, discard: async () => {} }; }
}
test('three nodes, many groups', async () => {
  const clock = new VirtualClock(); const net = new Net(clock); const rng = new Rng(5);
  const config = { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const peers = new Map([[1, 'n1'], [2, 'n2'], [3, 'n3']]);
  const nodes: MultiRaft[] = []; const machines: MapMachine[][] = [];
  for (const i of [1, 2, 3]) {
    const m = await MultiRaft.open({ nodeId: `n${i}`, clock, storage: new Storage(clock), transport: net.transport(`n${i}`), random: () => rng.next(), onEvent: (e) => { if (e.type !== 'raft.role_changed' && e.type !== 'raft.group_created') console.log(i, e); } });
    nodes.push(m); machines.push([]);
    for (let g = 0; g < 10; g++) { const sm = new MapMachine({ term: 1, index: 1, config }); machines[i - 1]!.push(sm); await m.createGroup({ groupId: g, replicaId: i, stateMachine: sm, peers, bootstrap: true, preferredLeader: (g % 3) + 1 }); }
  }
  await clock.advanceAsync(1000);
  console.log(nodes.map((n) => n.stats()));
  const results: unknown[] = [];
  for (let g = 0; g < 10; g++) { const leader = nodes[g % 3]!.group(g)!; expect(leader.role).toBe('leader'); for (let k = 0; k < 5; k++) void leader.propose(Uint8Array.of(k)).then((r) => results.push(r)); void nodes[(g + 1) % 3]!.group(g)!.read().then((i) => results.push(['read', i])); }
  await clock.advanceAsync(200);
  expect(results).toHaveLength(60);
  expect(machines.flat().map((m) => m.sum)).toEqual(Array(30).fill(10));
  expect(nodes[0]!.group(0)!.leaseRead(() => machines[0]![0]!.sum)).toEqual({ value: 10 });
  // node 3 dies
  net.cut.add('n3');
  await clock.advanceAsync(3000);
  console.log(nodes.map((n) => n.stats().leading));
  for (let k = 0; k < 100; k++) { const l = [nodes[0]!, nodes[1]!].map((n) => n.group(2)!).find((g) => g.role === 'leader')!; void l.propose(Uint8Array.of(1)).catch((e) => console.log(e)); }
  await clock.advanceAsync(3000);
  net.cut.clear();
  await clock.advanceAsync(8000);
  console.log(nodes.map((n) => n.stats()), machines.map((m) => m.map((x) => x.sum)));
  expect(machines.map((m) => m[2]!.sum)).toEqual([110, 110, 110]);
  for (const n of nodes) await n.close();
});
