// Changes the text of the product while it is loaded. Says so in the node's log.
import { writeSync } from 'node:fs';
import { BUGS } from './bugs.mjs';

let name;

export const initialize = (bug) => {
  if (BUGS[bug] === undefined) throw new Error(`There is no bug ${bug}.`);
  name = bug;
};

export const load = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context);
  if (!url.includes('/dist/') || loaded.format !== 'module') return loaded;
  const [from, to] = BUGS[name];
  const source = String(loaded.source);
  const changed = source.replace(from, to);
  if (changed === source) return loaded;
  writeSync(2, `${url} has a mistake now: ${name}\n`);
  return { ...loaded, source: changed };
};
