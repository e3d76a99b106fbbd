// What a node keeps over its restarts: its id, the number of its run, and an incarnation that it has not gone beyond.
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SwimError } from '../errors.js';

export interface NodeState {
  readonly id: string;
  readonly boot: number;
  readonly incarnation: number;
}

const FORMAT = 1;

export class StateFile {
  readonly #path: string;
  /** The write that is under way, and the one that waits for it. */
  #writing: Promise<void> | undefined;
  #next: NodeState | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** @throws SwimError SWIM_CORRUPT_STATE or SWIM_STATE_FAILED */
  async read(id: string): Promise<NodeState | undefined> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw this.#failed('read', error);
    }
    const state = parse(text);
    if (state === undefined) {
      const advice = 'restore it, or remove it if no other node of this cluster has this id';
      throw new SwimError('SWIM_CORRUPT_STATE', `${this.#path} is damaged or of another version: ${advice}.`);
    }
    if (state.id !== id) {
      throw new SwimError(
        'SWIM_CORRUPT_STATE',
        `${this.#path} belongs to node ${JSON.stringify(state.id)}, not ${JSON.stringify(id)}.`,
      );
    }
    return state;
  }

  /** Resolves when this state, or a later one, is durable. @throws SwimError SWIM_STATE_FAILED */
  async write(state: NodeState): Promise<void> {
    this.#next = state;
    while (this.#next !== undefined) {
      this.#writing ??= this.#writeNext().finally(() => {
        this.#writing = undefined;
      });
      await this.#writing;
    }
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    await this.#writing?.catch(() => {});
  }

  async #writeNext(): Promise<void> {
    const state = this.#next;
    this.#next = undefined;
    const temporary = `${this.#path}.tmp`;
    try {
      const file = await open(temporary, 'w');
      try {
        await file.writeFile(`${JSON.stringify({ format: FORMAT, ...state })}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.#path);
      await syncDirectory(dirname(this.#path));
    } catch (error) {
      throw this.#failed('written', error);
    }
  }

  #failed(what: string, cause: unknown): SwimError {
    const why = `${this.#path} could not be ${what} (${(cause as Error).message}): see that its directory exists and is writable.`;
    return new SwimError('SWIM_STATE_FAILED', why, { cause });
  }
}

function parse(text: string): NodeState | undefined {
  try {
    const { format, id, boot, incarnation } = JSON.parse(text) as Record<string, unknown>;
    if (format !== FORMAT || typeof id !== 'string' || !isCount(boot) || !isCount(incarnation)) return undefined;
    return { id, boot, incarnation };
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Not every system can: there the rename is as durable as it gets. */
async function syncDirectory(path: string): Promise<void> {
  try {
    const directory = await open(path, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch {}
}
