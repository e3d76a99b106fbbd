// A mistake for the tests to find (node --import): of the writes of a shard every so many are acknowledged and not carried out. All
// nodes drop the same, so that replicas agree with each other.
import { MultiRaft } from 'nori-raft';

const EVERY = 40;
const COMMANDS_MAX = 64;

const { createGroup: real } = MultiRaft.prototype;
MultiRaft.prototype.createGroup = function createGroup(options) {
  const { stateMachine } = options;
  const { apply } = stateMachine;
  // Shards only: the meta group has to work.
  if (options.groupId > 0) {
    stateMachine.apply = (entries) => {
      const kept = entries.filter(({ index }) => index % EVERY !== 0);
      const wait = apply.call(stateMachine, kept);
      const merge = (results) => {
        const left = [...results];
        return entries.map((entry) => (entry.index % EVERY === 0 ? acknowledged(entry) : left.shift()));
      };
      return wait instanceof Promise ? wait.then(merge) : merge(wait);
    };
  }
  return real.call(this, options);
};

const acknowledged = ({ term, index }) =>
  new Array(COMMANDS_MAX).fill({
    status: 'done',
    term,
    index,
    existed: [true],
    failedOperation: 0,
    timeMs: Date.now(),
  });
