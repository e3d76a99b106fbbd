// CPU time and memory of another process, from /proc. On systems without it the figures are NaN.
import { readFileSync } from 'node:fs';

/** Clock ticks a second in /proc: USER_HZ, 100 on every Linux that Node runs on. */
const TICKS_PER_S = 100;

const read = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** User and system time of all threads so far, seconds. */
export const cpuSecondsOf = (pid) => {
  const text = read(`/proc/${pid}/stat`);
  // The second field is the program's name in brackets, which may hold spaces.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
};

/** The most memory the process ever had resident, MiB. */
export const peakResidentMibOf = (pid) =>
  Number(/^VmHWM:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? Number.NaN) / 1024;

/** The memory the process has resident now, MiB. */
export const residentMibOf = (pid) =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? Number.NaN) / 1024;
