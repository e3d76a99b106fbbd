// Load from a process of its own: `norikv bench`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { NORIKV } from './node-process.mjs';
import { cpuSecondsOf } from './process-stats.mjs';

/**
 * Runs `norikv bench` with these flags against a node; returns its report and how busy the node was meanwhile.
 * @param {{ pid: number, rpc: string }} node
 * @param {Record<string, string | number | boolean>} flags `{ 'value-bytes': 1024, preload: true }`
 */
export const generate = async (node, flags) => {
  const args = Object.entries(flags).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : [`--${name}`, String(value)],
  );
  const cpuBefore = cpuSecondsOf(node.pid);
  const startMs = performance.now();
  const child = spawn(process.execPath, [NORIKV, 'bench', '--endpoints', node.rpc, '-o', 'json', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = () => child.kill('SIGKILL');
  process.once('exit', stop);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  const [code] = await once(child, 'close');
  process.off('exit', stop);
  if (code !== 0) throw new Error(`norikv bench ended with exit code ${code}`);
  const elapsedS = (performance.now() - startMs) / 1000;
  const nodeCpuPercent = ((cpuSecondsOf(node.pid) - cpuBefore) / elapsedS) * 100;
  return { ...JSON.parse(text), nodeCpuPercent };
};

/** Refuses reports with failed or empty answers: a figure made of errors is none. */
export const assertClean = (report) => {
  for (const [operation, { errors, misses }] of Object.entries(report.operations)) {
    const failures = Object.entries(errors).map(([code, count]) => `${code} ${count}`);
    if (misses > 0) failures.push(`absent ${misses}`);
    if (failures.length > 0) throw new Error(`${operation} failed: ${failures.join(', ')}`);
  }
};
