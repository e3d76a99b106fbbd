// The seeds that found mutants, by the tables of MUTANTS.md.
import { readFileSync } from 'node:fs';

/** By the ids of mutants. */
export function recordedSeeds(): Map<string, number> {
  const recorded = new Map<string, number>();
  for (const line of readFileSync(new URL('../../MUTANTS.md', import.meta.url), 'utf8').split('\n')) {
    const found = /^\|[^|]*\| `([a-z0-9-]+)` \|.*\| (\d+) \|$/.exec(line);
    if (found !== null && !line.includes('**')) recorded.set(found[1]!, Number(found[2]));
  }
  return recorded;
}
