import { expect, test } from 'vitest';
// @ts-expect-error a script without declarations
import { count } from '../scripts/count-tests.mjs';

const file = (status: string, ...statuses: string[]) => ({
  status,
  assertionResults: statuses.map((each) => ({ status: each })),
});

test('tests are counted by their outcome', () => {
  const report = {
    testResults: [file('passed', 'passed', 'passed', 'skipped'), file('failed', 'passed', 'failed', 'failed', 'todo')],
  };
  expect(count(report, [], 1)).toEqual({ passed: 3, failed: 2, skipped: 2 });
});

test('a file that could not be loaded counts as one failure', () => {
  expect(count({ testResults: [file('failed'), file('passed', 'passed')] }, [], 1)).toMatchObject({ failed: 1 });
});

test('a failed check counts as a failure, a passed one not at all', () => {
  const checks = [{ outcome: 'passed' }, { outcome: 'failed' }, { outcome: 'skipped' }];
  expect(count({ testResults: [file('passed', 'passed')] }, checks, 1)).toEqual({ passed: 1, failed: 1, skipped: 0 });
});

test('a run that tested nothing, or left no report, has failed', () => {
  expect(count(undefined, undefined, 0)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  expect(count({ testResults: [] }, [], 0)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});

test('a run that failed although no test did counts as one failure', () => {
  expect(count({ testResults: [file('passed', 'passed')] }, [], 1)).toEqual({ passed: 1, failed: 1, skipped: 0 });
});
