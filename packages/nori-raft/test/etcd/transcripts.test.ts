// Replays etcd's recorded tests against this core. They are not part of this repository: NORI_ETCD_TESTDATA names a
// folder with subfolders `quorum`, `confchange` and `interaction`, of which every file is replayed. With
// NORI_TRANSCRIPTS_REPORT the table that is printed at the end is written to that file as well.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Directive, parseDirectives } from './data-driven.js';
import { normalized } from './interaction-output.js';
import { InteractionTranscript } from './interaction-transcript.js';
import { membershipTranscript } from './membership-transcript.js';
import { runQuorumDirective } from './quorum-transcript.js';

interface Suite {
  readonly folder: string;
  /** How what is printed is compared with what was recorded. */
  readonly comparison: string;
  readonly start: () => (directive: Directive) => string;
  readonly comparable: (output: string) => string;
}

const EXACT = { comparison: 'byte for byte', comparable: (output: string) => output };

const SUITES: readonly Suite[] = [
  { folder: 'quorum', ...EXACT, start: () => runQuorumDirective },
  { folder: 'confchange', ...EXACT, start: membershipTranscript },
  {
    folder: 'interaction',
    comparison: 'all but log lines',
    comparable: normalized,
    start: () => {
      const transcript = new InteractionTranscript();
      return (directive) => transcript.run(directive);
    },
  },
];

const root = process.env.NORI_ETCD_TESTDATA ?? '';

describe.runIf(root !== '')("etcd's recorded tests", () => {
  const rows: string[] = [];

  for (const { folder, comparison, start, comparable } of SUITES) {
    for (const file of filesIn(join(root, folder))) {
      test(`${folder}/${file} is replayed`, () => {
        const directives = parseDirectives(`${folder}/${file}`, readFileSync(join(root, folder, file), 'utf8'));
        const run = start();
        let replayed = 0;
        try {
          for (const directive of directives) {
            const actual = endedLine(run(directive));
            expect(comparable(actual), directive.position).toBe(comparable(directive.expected));
            replayed++;
          }
          expect(replayed, 'directives').toBeGreaterThan(0);
        } finally {
          const result = replayed === directives.length ? 'same' : `differs at ${directives[replayed]?.position}`;
          rows.push(`| ${folder}/${file} | ${comparison} | ${replayed} of ${directives.length} | ${result} |`);
        }
      });
    }
  }

  test('are there: a folder that is named but holds none is an error', () => {
    expect(SUITES.flatMap(({ folder }) => filesIn(join(root, folder))).length).toBeGreaterThan(0);
  });

  afterAll(() => {
    const table = ['| file | compared | directives | result |', '|---|---|---|---|', ...rows, ''].join('\n');
    console.log(table);
    const report = process.env.NORI_TRANSCRIPTS_REPORT ?? '';
    if (report !== '') writeFileSync(report, table);
  });
});

// Said in the report, since nothing else would show that they did not run.
if (root === '') test.skip("etcd's recorded tests: NORI_ETCD_TESTDATA names no folder that has them", () => {});

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => !/^\.|~$|^#.*#$/.test(name))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function endedLine(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}
