import { expect, test } from 'vitest';
import * as surface from '../src/index.js';

test('the package exports these values and no others', () => {
  expect(Object.keys(surface).sort()).toEqual(['NoriClient', 'NoriError']);
});
