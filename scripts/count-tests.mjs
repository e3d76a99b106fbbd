// Counts what this run tested, from the reports that `npm test` left in .reports, and prints one line:
// `N passed, N failed`, with `, N skipped` when there are any. A failed check counts as a failed test, and so does a
// test file that could not be loaded. Exit code 1 if anything failed or nothing was tested.
//
//   node scripts/count-tests.mjs <exit code of npm test>
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/**
 * @param report vitest's JSON report, undefined if there is none
 * @param checks .reports/checks.json, undefined if there is none
 * @param exitCode of the run; what failed without being counted (an unhandled error, say) counts as one failure
 */
export function count(report, checks, exitCode) {
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  for (const file of report?.testResults ?? []) {
    let failedHere = 0;
    for (const { status } of file.assertionResults) {
      if (status === 'passed') passed++;
      else if (status === 'failed') failedHere++;
      else skipped++;
    }
    failed += failedHere === 0 && file.status === 'failed' ? 1 : failedHere;
  }
  failed += (checks ?? []).filter(({ outcome }) => outcome === 'failed').length;
  if (failed === 0 && (passed === 0 || exitCode !== 0)) failed = 1;
  return { passed, failed, skipped };
}

function read(name) {
  try {
    return JSON.parse(readFileSync(new URL(`../.reports/${name}.json`, import.meta.url), 'utf8'));
  } catch {
    return undefined;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { passed, failed, skipped } = count(read('vitest'), read('checks'), Number(process.argv[2] ?? 0));
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  process.exitCode = failed > 0 ? 1 : 0;
}
