// What `--cpu-prof` does.
import { describeProfiles } from '../profile.mjs';
import { temporaryPath } from './children.mjs';

/** Measures once with nori under Node's profiler; tells the functions that took the time. */
export const profileOfNori = async (measurement, plan) => {
  const dir = temporaryPath('profiles');
  await measurement.measure('nori', { ...plan, execArgvOf: () => ['--cpu-prof', `--cpu-prof-dir=${dir}`] });
  return describeProfiles(dir);
};
