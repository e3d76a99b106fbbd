// Prints as Markdown which seeds find which mutants, a table for each simulation. Run by table.mjs.
import type { Simulator } from './build.js';
import { MULTI_MUTANTS } from './multi-mutants.js';
import type { Mutant } from './mutant.js';
import { MUTANTS } from './mutants.js';
import { hunt } from './run-mutant.js';

const LISTS: Readonly<Record<Simulator, readonly Mutant[]>> = { core: MUTANTS, multi: MULTI_MUTANTS };

const cell = (text: string): string => text.split('\n')[0]!.replaceAll('|', '\\|').slice(0, 160);

/** Hunts the mutants whose ids are named, all of a simulation that is named, or, without names, all. */
export const printTable = async (seedsMax: number, names: readonly string[]): Promise<void> => {
  for (const simulator of ['core', 'multi'] as const) {
    const isChosen = ({ id }: Mutant) => names.length === 0 || names.includes(simulator) || names.includes(id);
    const chosen = LISTS[simulator].filter(isChosen);
    if (chosen.length === 0) continue;
    process.stdout.write('| item | mutant | bug | caught by | within seeds |\n|---|---|---|---|---|\n');
    for (const { id, items, what, patches } of chosen) {
      const { result, seeds, violation } = await hunt(patches, { seedsMax, simulator });
      const by = result === 'caught' ? cell(violation!) : `**${result}**`;
      process.stdout.write(`| ${items.join(', ')} | \`${id}\` | ${cell(what)} | ${by} | ${seeds} |\n`);
    }
  }
};
