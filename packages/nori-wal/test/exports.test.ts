import * as wal from 'nori-wal';
import { expect, test } from 'vitest';

test('the package exports exactly this', () => {
  expect(Object.keys(wal).sort()).toEqual(['Wal', 'WalError', 'readLog', 'salvageLog']);
});
