// node map.mjs 1, node map.mjs 2, node map.mjs 3; then
// curl -L -X PUT -d red localhost:9001/color; curl -L localhost:9002/color
import { createServer } from 'node:http';
import { MultiRaft } from 'nori-raft';
import { TcpTransport } from 'nori-raft/tcp-transport';
import { systemClock as clock, WalStorage } from 'nori-raft/wal-storage';

const [peerPort, httpPort] = [7000, 9000];
const numbers = [1, 2, 3];
const self = Number(process.argv[2]);
const nodeId = `n${self}`;
const random = Math.random;
const config = { voters: numbers, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };

/** A StateMachine, a map in memory: after a restart it is made again from the log, which therefore is never cut short. */
class ReplicatedMap {
  values = new Map();
  mark = { term: 1, index: 1, config };

  apply(entries) {
    return entries.map(({ data }) => {
      const [key, value] = JSON.parse(new TextDecoder().decode(data));
      const isNew = !this.values.has(key);
      this.values.set(key, value);
      return isNew;
    });
  }
  applied(mark) {
    this.mark = mark;
  }
  durableIndex() {
    return 1;
  }
  snapshot() {
    const content = new TextEncoder().encode(JSON.stringify([...this.values]));
    const read = async function* (offset) {
      yield content.subarray(offset);
    };
    return { ...this.mark, read, release: () => {} };
  }
  async stage(mark, chunks) {
    const parts = [];
    for await (const chunk of chunks) parts.push(chunk.slice());
    const install = async () => {
      this.values = new Map(JSON.parse(Buffer.concat(parts).toString()));
      this.mark = mark;
    };
    return { install, discard: async () => {} };
  }
}

const storage = await WalStorage.open({ dir: `./data/${nodeId}`, nodeId, clusterId: 'map', random });
const { incarnation } = storage;
const listen = `127.0.0.1:${peerPort + self}`;
const transport = new TcpTransport({ nodeId, clusterId: 'map', incarnation, listen, clock, random });
transport.setPeers(new Map(numbers.map((n) => [`n${n}`, `127.0.0.1:${peerPort + n}`])));
const raft = await MultiRaft.open({ nodeId, clock, random, storage, transport });
const map = new ReplicatedMap();
const peers = new Map(numbers.map((n) => [n, `n${n}`]));
const group = await raft.createGroup({ groupId: 1, replicaId: self, stateMachine: map, peers, bootstrap: true });

createServer(async (request, response) => {
  const key = request.url;
  try {
    if (request.method === 'PUT') {
      let value = '';
      for await (const chunk of request) value += chunk;
      const { index, result } = await group.propose(Buffer.from(JSON.stringify([key, value])));
      response.end(`${result ? 'created' : 'changed'} at ${index}\n`);
    } else {
      await group.read(); // linearizable, at any node
      response.end(`${map.values.get(key)}\n`);
    }
  } catch (error) {
    const { code, leader, message } = error;
    const elsewhere = code === 'RAFT_NOT_LEADER' && leader ? `http://127.0.0.1:${httpPort + leader}${key}` : undefined;
    response.writeHead(elsewhere ? 307 : 503, elsewhere ? { location: elsewhere } : {});
    response.end(`${message}\n`);
  }
}).listen(httpPort + self, '127.0.0.1', () => console.log(`${nodeId} at http://127.0.0.1:${httpPort + self}`));
