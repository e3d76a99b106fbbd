// What commands write: results on stdout with back-pressure, tables, and keys and values as JSON.
import { isUtf8 } from 'node:buffer';
import { once } from 'node:events';

/** How results are shown. `plain` is the default: made for shells. */
export type OutputFormat = 'plain' | 'json' | 'table';

/**
 * Decides what happens when nobody reads stdout or stderr any more. At first a command ends, quietly and without
 * failure: in `norikv scan | head` the reader has seen enough.
 */
export const endOnBrokenPipe = (): void => {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
  });
  process.stderr.on('error', () => undefined);
};

/** From now on a broken pipe is ignored: a node goes on when nobody reads what it says. */
export const surviveBrokenPipe = (): void => {
  process.stdout.removeAllListeners('error').on('error', () => undefined);
};

/** Writes to stdout; resolves when more may be written. */
export const writeOut = async (data: string | Uint8Array): Promise<void> => {
  if (!process.stdout.write(data)) await once(process.stdout, 'drain');
};

/** Writes a line of JSON. */
export const writeJson = (value: unknown): Promise<void> => writeOut(`${JSON.stringify(value)}\n`);

/** Lets everything written to stdout reach its reader. */
export const flushOut = (): Promise<void> => new Promise((resolve) => process.stdout.write('', () => resolve()));

/** Columns, each as wide as its widest cell; the first row is the header. */
export const formatTable = (rows: readonly (readonly string[])[]): string => {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  }
  const lines = rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  '));
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
};

/** Bytes as a JSON field: `{ key: 'text' }`, or `{ keyBase64: '…' }` for bytes that are no UTF-8. */
export const bytesField = (name: string, bytes: Uint8Array): Record<string, string> =>
  isUtf8(bytes)
    ? { [name]: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8') }
    : { [`${name}Base64`]: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64') };

/** Bytes as a table cell: text without control characters, others escaped, shortened to `lengthMax`. */
export const bytesCell = (bytes: Uint8Array, lengthMax = 60): string => {
  const text = Object.values(bytesField('', bytes.subarray(0, lengthMax * 4)))[0] ?? '';
  const clean = JSON.stringify(text).slice(1, -1);
  return clean.length > lengthMax ? `${clean.slice(0, lengthMax - 3)}...` : clean;
};

/** A version as the command line takes it: `TERM.INDEX`. */
export const formatVersion = (version: { readonly term: number; readonly index: number }): string =>
  `${version.term}.${version.index}`;
