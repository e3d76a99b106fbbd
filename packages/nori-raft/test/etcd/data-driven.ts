// Reads the text format of etcd's recorded tests (Go package cockroachdb/datadriven):
//
//   # a comment
//   command key=value key=(a, b) flag
//   input, any number of lines
//   ----
//   expected output, up to an empty line
//
// Output that has empty lines stands between two pairs of `----`. A command line goes on after a backslash at its end.

/** `flag` has no values, `key=` has one empty one. */
interface Argument {
  readonly key: string;
  readonly values: readonly string[];
}

/** One command with what it must print. */
export interface Directive {
  /** `file:line` of the command. */
  readonly position: string;
  readonly command: string;
  readonly args: readonly Argument[];
  readonly input: string;
  /** Ends with a newline unless it is empty. */
  readonly expected: string;
}

/** @throws Error naming the line that is unreadable */
export function parseDirectives(file: string, text: string): Directive[] {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  if (lines.at(-1) === '') lines.pop();
  const directives: Directive[] = [];
  let at = 0;
  while (at < lines.length) {
    const position = `${file}:${at + 1}`;
    let line = lines[at++]!.trim();
    if (line.startsWith('#')) continue;
    while (line.endsWith('\\') && at < lines.length) line = `${line.slice(0, -1)} ${lines[at++]!.trim()}`;
    if (line === '') continue;
    const { command, args } = parseCommand(line, position);
    if (command === 'subtest') continue;
    const input: string[] = [];
    while (at < lines.length && lines[at] !== '----') input.push(lines[at++]!);
    at++;
    const expected: string[] = [];
    if (lines[at] === '----') {
      at++;
      while (at < lines.length && !(lines[at] === '----' && lines[at + 1] === '----')) expected.push(lines[at++]!);
      at += 2;
    } else {
      while (at < lines.length && lines[at]!.trim() !== '') expected.push(lines[at++]!);
    }
    directives.push({
      position,
      command,
      args,
      input: input.join('\n').trim(),
      expected: expected.map((one) => `${one}\n`).join(''),
    });
  }
  return directives;
}

function parseCommand(line: string, position: string): { command: string; args: Argument[] } {
  const args: Argument[] = [];
  let at = 0;
  const until = (stops: string): string => {
    const from = at;
    while (at < line.length && !stops.includes(line[at]!)) at++;
    return line.slice(from, at);
  };
  const skipSpace = (): void => {
    while (line[at] === ' ' || line[at] === '\t') at++;
  };
  const command = until(' ');
  for (skipSpace(); at < line.length; skipSpace()) {
    const key = until(' =');
    if (key === '') throw new Error(`${position}: unreadable at column ${at + 1}: ${line}`);
    if (line[at] !== '=') {
      args.push({ key, values: [] });
      continue;
    }
    at++;
    if (line[at] !== '(') {
      args.push({ key, values: [until(' ')] });
      continue;
    }
    at++;
    const values: string[] = [];
    for (let depth = 1, value = ''; depth > 0; at++) {
      const char = line[at];
      if (char === undefined) throw new Error(`${position}: a parenthesis is not closed: ${line}`);
      if (char === '(') depth++;
      if (char === ')') depth--;
      if (depth === 0 || (depth === 1 && char === ',')) {
        values.push(value.trimStart());
        value = '';
      } else {
        value += char;
      }
    }
    args.push({ key, values });
  }
  return { command, args };
}

/** A non-negative decimal integer, as Go's ParseUint reads it. @throws Error */
export function parseId(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new Error(`strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return value;
}

/** A truth value, as Go's ParseBool reads it. @throws Error */
export function parseBoolean(text: string): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
  throw new Error(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}
