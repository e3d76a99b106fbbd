// nori-lsm dump: all entries of a range, one a line.
import type { KeyedStore } from '../keyed-store.js';
import type { Cursor, CursorOptions } from '../types.js';
import type { Arguments, Command } from './command.js';
import { encodingOf, read, show, type TextEncoding } from './encoding.js';
import { EXIT, usageFailure } from './failure.js';
import { openToRead } from './open.js';
import { writeOut } from './output.js';

const CHUNK_LENGTH = 64 * 1024;

export const dump: Command = {
  usage:
    'DIR [--keyspace NAME] [--prefix P] [--gte K] [--lt K] [--limit N] [--reverse] [--keys] [--encoding E] [--json]',
  summary: 'Prints entries, one a line: key, tab, value',
  help: [
    ['--keyspace NAME', 'of this keyspace; default: of the default one'],
    ['--prefix P', 'only keys that begin so'],
    ['--gte K, --lt K', 'only keys from K on; only keys before K'],
    ['--limit N', 'at most N entries'],
    ['--reverse', 'from the largest key to the smallest'],
    ['--keys', 'keys alone'],
    ['--encoding E', 'of what is printed, and of P and K: utf8 (default), hex or base64'],
    ['', 'utf8: \\t \\n \\r \\\\, and \\xHH for other control characters and what is no UTF-8'],
    ['--json', 'an object a line: key and value in base64, and expiresAtMs if there is one'],
  ],
  options: {
    keyspace: { type: 'string' },
    prefix: { type: 'string' },
    gte: { type: 'string' },
    lt: { type: 'string' },
    limit: { type: 'string' },
    reverse: { type: 'boolean' },
    keys: { type: 'boolean' },
    encoding: { type: 'string' },
    json: { type: 'boolean' },
  },
  positionals: ['DIR'],
  async run(args) {
    const limit = limitOf(args.text('limit'));
    const encoding = encodingOf(args.text('encoding'));
    const range = rangeOf(args, encoding);
    const lineOf = args.has('json') ? jsonLine(args.has('keys')) : textLine(args.has('keys'), encoding);
    const db = await openToRead(args.positionals[0]!);
    try {
      const keyspace = args.text('keyspace');
      await print(keyspace === undefined ? db : db.keyspace(keyspace), range, limit, lineOf);
    } finally {
      await db.close();
    }
    return EXIT.done;
  },
};

const print = async (
  store: KeyedStore,
  range: CursorOptions,
  limit: number,
  lineOf: (cursor: Cursor) => string,
): Promise<void> => {
  const cursor = store.cursor(range);
  try {
    let text = '';
    for (let left = limit; left > 0 && cursor.valid; left--, cursor.next()) {
      text += lineOf(cursor);
      if (text.length < CHUNK_LENGTH) continue;
      await writeOut(text);
      text = '';
    }
    await writeOut(text);
  } finally {
    cursor.close();
  }
};

const rangeOf = (args: Arguments, encoding: TextEncoding): CursorOptions => {
  const bytes = (name: string) => {
    const text = args.text(name);
    return text === undefined ? undefined : read(text, encoding);
  };
  return { prefix: bytes('prefix'), gte: bytes('gte'), lt: bytes('lt'), reverse: args.has('reverse') };
};

const limitOf = (text: string | undefined): number => {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw usageFailure(`--limit must be a whole number, not ${text}`);
};

const textLine =
  (keysOnly: boolean, encoding: TextEncoding) =>
  ({ key, value }: Cursor): string =>
    keysOnly ? `${show(key, encoding)}\n` : `${show(key, encoding)}\t${show(value, encoding)}\n`;

const jsonLine =
  (keysOnly: boolean) =>
  (cursor: Cursor): string => {
    const key = show(cursor.key, 'base64');
    if (keysOnly) return `${JSON.stringify({ key })}\n`;
    const expiry = cursor.expiresAtMs === 0 ? {} : { expiresAtMs: cursor.expiresAtMs };
    return `${JSON.stringify({ key, value: show(cursor.value, 'base64'), ...expiry })}\n`;
  };
