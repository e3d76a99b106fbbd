// What a transcript prints, with etcd's log levels: NONE mutes everything but errors, others mute only log lines, which
// this harness never prints.

const LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'NONE'] as const;

export class InteractionOutput {
  text = '';
  #level = 0;

  get quiet(): boolean {
    return LEVELS[this.#level] === 'NONE';
  }

  write(text: string): void {
    if (!this.quiet) this.text += text;
  }

  line(text: string): void {
    this.write(`${text}\n`);
  }

  /** Indents by two what `print` prints. */
  indented<T>(print: () => T): T {
    const outer = this.text;
    this.text = '';
    const result = print();
    const inner = this.text.replace(/\n$/, '');
    this.text = this.text === '' ? outer : `${outer}${inner.replace(/^/gm, '  ')}\n`;
    return result;
  }

  /** Returns etcd's error text when there is no such level. */
  setLevel(name: string): string | undefined {
    const level = LEVELS.indexOf(name.toUpperCase() as (typeof LEVELS)[number]);
    if (level < 0) return `log levels must be either of [${LEVELS.join(' ')}]`;
    this.#level = level;
    return undefined;
  }

  /** Runs `action` at another level. */
  atLevel(name: string, action: () => string | undefined): string | undefined {
    const before = this.#level;
    const problem = this.setLevel(name) ?? action();
    this.#level = before;
    return problem;
  }
}

/**
 * What both sides are compared by: log lines are left out, because how a core words them is its own business, and an
 * entry type is a configuration change whichever of etcd's two encodings it has.
 */
export function normalized(output: string): string {
  const kept = output
    .replaceAll('EntryConfChangeV2', 'EntryConfChange')
    .split('\n')
    .filter((line) => line !== '' && !/^\s*(DEBUG|INFO|WARN|ERROR|FATAL) /.test(line))
    .map((line) => `${line}\n`)
    .join('');
  return kept === '' ? 'ok\n' : kept;
}
