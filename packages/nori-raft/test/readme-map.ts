// node map.mjs 1, node map.mjs 2, node map.mjs 3; then curl -L -X PUT -d red localhost:9001/color; curl -L localhost:9002/color
import { createServer } from 'node:http';
import { type Entry, type Mark, MultiRaft, type StateMachine } from 'nori-raft';
import { TcpTransport } from 'nori-raft/tcp-transport';
import { systemClock, WalStorage } from 'nori-raft/wal-storage';

const NODES = [1, 2, 3];
const self = Number(process.argv[2]);
const [nodeId, clock, random] = [`n${self}`, systemClock, Math.random];
const peers = new Map(NODES.map((n) => [n, `n${n}`]));

/** A map in memory: after a restart it is made again from the log, which therefore is never cut short. */
class ReplicatedMap implements StateMachine<void> {
  entries = new Map<string, string>();
  mark: Mark = { term: 1, index: 1, config: { voters: NODES, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false } };

  apply(entries: readonly Entry[]) {
    return entries.map(({ data }) => {
      const [key, value] = JSON.parse(new TextDecoder().decode(data));
      this.entries.set(key, value);
    });
  }
  applied(mark: Mark) {
    this.mark = mark;
  }
  durableIndex() {
    return 1;
  }
  snapshot() {
    const content = new TextEncoder().encode(JSON.stringify([...this.entries]));
    const read = async function* (offset: number) {
      yield content.subarray(offset);
    };
    return { ...this.mark, read, release: () => {} };
  }
  async stage(mark: Mark, chunks: AsyncIterable<Uint8Array>) {
    let text = '';
    for await (const chunk of chunks) text += Buffer.from(chunk).toString('latin1');
    const install = async () => {
      this.entries = new Map(JSON.parse(Buffer.from(text, 'latin1').toString()));
      this.mark = mark;
    };
    return { install, discard: async () => {} };
  }
}

const transport = new TcpTransport({ nodeId, clusterId: 'map', listen: `127.0.0.1:${7000 + self}`, clock, random });
transport.setPeers(new Map(NODES.map((n) => [`n${n}`, `127.0.0.1:${7000 + n}`])));
const storage = await WalStorage.open({ dir: `./data/${nodeId}`, nodeId, clusterId: 'map', random });
const raft = await MultiRaft.open({ nodeId, clock, random, storage, transport });
const map = new ReplicatedMap();
const group = await raft.createGroup({ groupId: 1, replicaId: self, stateMachine: map, peers, bootstrap: true });

createServer(async (request, response) => {
  const key = request.url!.slice(1);
  try {
    if (request.method === 'PUT') {
      let value = '';
      for await (const chunk of request) value += chunk;
      const { index } = await group.propose(Buffer.from(JSON.stringify([key, value])));
      response.end(`${index}\n`);
    } else {
      await group.read(); // linearizable, at any node
      response.end(`${map.entries.get(key)}\n`);
    }
  } catch (error) {
    const { code, leader, message } = error as { code?: string; leader?: number; message: string };
    if (code === 'RAFT_NOT_LEADER' && leader) response.writeHead(307, { location: `http://127.0.0.1:${9000 + leader}${request.url}` });
    else response.writeHead(503);
    response.end(`${message}\n`);
  }
}).listen(9000 + self, '127.0.0.1', () => console.log(`${nodeId} at http://127.0.0.1:${9000 + self}`));
