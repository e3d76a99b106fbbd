import { describe, expect, test } from 'vitest';
import { createLogger } from '../../src/adapters/logger.js';
import type { LogFormat, LogLevel } from '../../src/config/index.js';

const collect = (format: LogFormat, terminal: boolean, level: LogLevel = 'info') => {
  const lines: string[] = [];
  const stream = { write: (line: string) => void lines.push(line) };
  return { lines, logger: createLogger({ level, format, nodeId: 'n1', terminal, stream }) };
};

describe('the log', () => {
  test('is one JSON object a line for machines', () => {
    const { lines, logger } = collect('auto', false);
    logger.info({ segments: 3 }, 'Opened');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'info',
      node: 'n1',
      segments: 3,
      message: 'Opened',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    });
  });

  test('is text on a terminal', () => {
    const { lines, logger } = collect('auto', true);
    logger.warn({ bytes: 12, file: 'a b' }, 'Cut the tail');
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} WARN {2}Cut the tail {2}bytes=12 file="a b"\n$/);
  });

  test('shows errors with their stack in both forms', () => {
    const failure = Object.assign(new Error('Broken'), { code: 'X' });
    const json = collect('json', true);
    json.logger.error({ err: failure }, 'Failed');
    expect(JSON.parse(json.lines[0] ?? '').err).toMatchObject({ message: 'Broken', code: 'X' });
    const text = collect('text', false);
    text.logger.error({ err: failure }, 'Failed');
    expect(text.lines[0]).toMatch(/ERROR Failed\n {2}Error: Broken\n/);
  });

  test('leaves out what is below its level', () => {
    const { lines, logger } = collect('json', false, 'warn');
    logger.debug({}, 'a');
    logger.info({}, 'b');
    expect(lines).toEqual([]);
    const silent = collect('json', false, 'silent');
    silent.logger.error({}, 'c');
    expect(silent.lines).toEqual([]);
  });
});
