// Prints as Markdown which seeds find which mutants. Run by table.mjs.
import { MUTANTS } from './mutants.js';
import { hunt } from './run-mutant.js';

const cell = (text: string): string => text.split('\n')[0]!.replaceAll('|', '\\|').slice(0, 160);

/** Hunts the mutants whose ids are named, all of them without names. */
export const printTable = async (seedsMax: number, ids: readonly string[]): Promise<void> => {
  const chosen = MUTANTS.filter(({ id }) => ids.length === 0 || ids.includes(id));
  process.stdout.write('| item | mutant | bug | caught by | within seeds |\n|---|---|---|---|---|\n');
  for (const { id, items, what, patches } of chosen) {
    const { result, seeds, violation } = await hunt(patches, { seedsMax });
    const by = result === 'caught' ? cell(violation!) : `**${result}**`;
    process.stdout.write(`| ${items.join(', ')} | \`${id}\` | ${cell(what)} | ${by} | ${seeds} |\n`);
  }
};
