// What a measurement was made on and with: figures mean nothing without it.
import { execFileSync } from 'node:child_process';
import os from 'node:os';

const git = (...args) => {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return '';
  }
};

/** Processor, memory, kernel, Node, commit; `+` behind the commit: with changes that are not committed. */
export const describeMachine = () => {
  const processors = os.cpus();
  const commit = git('rev-parse', '--short', 'HEAD');
  return {
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()}`,
    node: process.version,
    commit:
      commit === '' ? 'unknown' : `${commit}${git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '+'}`,
    date: new Date().toISOString().slice(0, 10),
  };
};
