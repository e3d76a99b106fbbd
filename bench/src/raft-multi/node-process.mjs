// A node in a process of its own: does what its parent asks for, and ends with it.
import { BenchNode } from './node.mjs';

const node = new BenchNode();

process.on('message', async ({ id, method, argument }) => {
  try {
    process.send({ id, result: await node[method](argument) });
  } catch (error) {
    process.send({ id, error: error.stack });
  }
});
process.on('disconnect', () => process.exit());
