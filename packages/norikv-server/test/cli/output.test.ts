import { expect, test } from 'vitest';
import { CommandFailure, describeFailure, usageFailure } from '../../src/cli/failure.js';
import { bytesCell, bytesField, formatTable, formatVersion } from '../../src/cli/output.js';
import { ConfigError } from '../../src/config/index.js';

test('tables are as wide as their cells, without trailing spaces', () => {
  expect(
    formatTable([
      ['A', 'B'],
      ['long', ''],
      ['x', 'y'],
    ]),
  ).toBe('A     B\nlong\nx     y\n');
});

test('bytes are text in JSON where they are UTF-8, base64 otherwise', () => {
  expect(bytesField('value', new TextEncoder().encode('héllo'))).toEqual({ value: 'héllo' });
  expect(bytesField('value', new Uint8Array())).toEqual({ value: '' });
  expect(bytesField('value', Uint8Array.of(0xff, 0))).toEqual({ valueBase64: '/wA=' });
});

test('cells of tables hold no control characters and end', () => {
  expect(bytesCell(new TextEncoder().encode('a\n\tb'))).toBe('a\\n\\tb');
  expect(bytesCell(new TextEncoder().encode('x'.repeat(100)))).toHaveLength(60);
});

test('versions are written as they are read', () => {
  expect(formatVersion({ term: 1, index: 42 })).toBe('1.42');
});

test('failures become one line and an exit code', () => {
  const coded = Object.assign(new Error('Two\n  lines.'), { code: 'UNAVAILABLE' });
  expect(describeFailure(coded)).toEqual({ exitCode: 1, line: 'norikv: UNAVAILABLE: Two lines.' });
  expect(describeFailure(usageFailure('x'))).toEqual({ exitCode: 2, line: 'norikv: USAGE: x' });
  expect(describeFailure(new CommandFailure('NOT_FOUND', 'x', 3)).exitCode).toBe(3);
  expect(describeFailure(new ConfigError('INVALID_CONFIG', ['a', 'b']))).toEqual({
    exitCode: 2,
    line: 'norikv: INVALID_CONFIG: a; b',
  });
  expect(describeFailure(new Error('odd'))).toEqual({ exitCode: 1, line: 'norikv: INTERNAL: odd' });
});
