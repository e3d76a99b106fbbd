// A map that is replicated, and now and then written to a file as a whole: so the log is cut short, and a node that was away
// for long gets a snapshot.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ConfState, Entry, Mark, SnapshotSource, StagedSnapshot, StateMachine } from 'nori-raft';
import type { MapCommand } from '../protocol.js';

interface StoredFile {
  readonly term: number;
  readonly index: number;
  readonly config: ConfState;
  readonly attachment: string;
  readonly values: readonly (readonly [string, string])[];
}

export class StoredMap implements StateMachine<boolean> {
  values = new Map<string, string>();
  mark: Mark;
  #durableIndex: number;
  readonly #path: string;

  constructor(path: string, config: ConfState) {
    this.#path = path;
    this.mark = { term: 1, index: 1, config };
    if (existsSync(path)) {
      const stored = JSON.parse(readFileSync(path, 'utf8')) as StoredFile;
      const attachment = new Uint8Array(Buffer.from(stored.attachment, 'base64'));
      const { term, index } = stored;
      this.mark = { term, index, config: stored.config, attachment: () => attachment };
      this.values = new Map(stored.values);
    }
    this.#durableIndex = this.mark.index;
  }

  apply(entries: readonly Entry[]): boolean[] {
    return entries.map(({ data }) => {
      const command = JSON.parse(new TextDecoder().decode(data)) as MapCommand;
      if (command.f === 'cas' && this.values.get(command.key) !== command.expected) return false;
      this.values.set(command.key, command.value);
      return true;
    });
  }

  applied(mark: Mark): void {
    this.mark = mark;
  }

  durableIndex(): number {
    return this.#durableIndex;
  }

  /** Makes what is applied durable. */
  flush(): void {
    if (this.mark.index > this.#durableIndex) this.#write(this.mark, [...this.values]);
  }

  #write(mark: Mark, values: StoredFile['values']): void {
    const { term, index, config } = mark;
    const attachment = Buffer.from(mark.attachment!()).toString('base64');
    writeDurably(this.#path, JSON.stringify({ term, index, config, attachment, values } satisfies StoredFile));
    this.#durableIndex = index;
  }

  snapshot(): SnapshotSource {
    const content = new TextEncoder().encode(JSON.stringify([...this.values]));
    const read = async function* (offset: number) {
      for (let at = offset; at < content.length; at += 4096) yield content.subarray(at, at + 4096);
    };
    return { ...this.mark, read, release: () => {} };
  }

  async stage(mark: Mark, chunks: AsyncIterable<Uint8Array>): Promise<StagedSnapshot> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk.slice());
    const values = JSON.parse(Buffer.concat(parts).toString()) as [string, string][];
    return {
      install: async () => {
        this.#write(mark, values);
        this.values = new Map(values);
        this.mark = mark;
      },
      discard: async () => {},
    };
  }
}

/** The old content or the new one, whatever happens. */
function writeDurably(path: string, content: string): void {
  const file = openSync(`${path}.new`, 'w');
  writeSync(file, content);
  fsyncSync(file);
  closeSync(file);
  renameSync(`${path}.new`, path);
  const dir = openSync(dirname(path), 'r');
  fsyncSync(dir);
  closeSync(dir);
}
