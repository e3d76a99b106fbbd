import { describe, expect, test } from 'vitest';
import {
  parseChoice,
  parseDurationMs,
  parseEndpoints,
  parseInteger,
  parseNumber,
  parseVersion,
} from '../../src/cli/arguments.js';
import { parseMix } from '../../src/cli/bench/plan.js';

describe('what the command line takes', () => {
  test('times in several units', () => {
    const times = ['500', '500ms', '30s', '5m', '2h', '1d', '1.5s'].map((text) => parseDurationMs('--ttl', text));
    expect(times).toEqual([500, 500, 30_000, 300_000, 7_200_000, 86_400_000, 1500]);
  });

  test('versions as term and index', () => {
    expect(parseVersion('--if-version', '1.42')).toEqual({ term: 1, index: 42 });
  });

  test('lists of endpoints', () => {
    expect(parseEndpoints('127.0.0.1:7447, [::1]:7447')).toEqual(['127.0.0.1:7447', '[::1]:7447']);
  });

  test('shares of operations, as weights of any size', () => {
    expect(parseMix('put=50,get=50')).toEqual({ put: 0.5, get: 0.5 });
    expect(parseMix('get=3, put=1')).toEqual({ put: 0.25, get: 0.75 });
    expect(parseMix('put=1')).toEqual({ put: 1, get: 0 });
  });
});

describe('what it refuses, naming the option and what is allowed', () => {
  const cases: [() => unknown, RegExp][] = [
    [() => parseDurationMs('--ttl', '-5'), /^--ttl: "-5" is not allowed; allowed: a time above zero/],
    [() => parseDurationMs('--ttl', '0'), /^--ttl/],
    [() => parseDurationMs('--ttl', '5y'), /^--ttl/],
    [() => parseDurationMs('--ttl', '99999999999999d'), /^--ttl/],
    [() => parseVersion('--if-version', '42'), /^--if-version: "42" .*TERM\.INDEX/],
    [() => parseVersion('--if-version', '1.9007199254740993'), /^--if-version/],
    [() => parseEndpoints(''), /^--endpoints/],
    [() => parseEndpoints('a:1,'), /^--endpoints/],
    [() => parseEndpoints('a:0'), /^--endpoints/],
    [() => parseInteger('--limit', '1e3', 1, 10), /^--limit: "1e3" .*whole number from 1 to 10/],
    [() => parseInteger('--limit', '11', 1, 10), /^--limit/],
    [() => parseNumber('--rate', 'x', 1, 10), /^--rate/],
    [() => parseChoice('-o', 'xml', ['json', 'table']), /^-o: "xml" is not allowed; allowed: json, table$/],
    [() => parseMix('put=0'), /^--mix/],
    [() => parseMix('scan=1'), /^--mix/],
    [() => parseMix('put=50;get=50'), /^--mix/],
  ];
  for (const [at, [attempt, message]] of cases.entries()) {
    test(`case ${at + 1}: ${message.source}`, () => {
      expect(attempt).toThrow(message);
      expect(attempt).toThrow(expect.objectContaining({ exitCode: 2 }));
    });
  }
});
