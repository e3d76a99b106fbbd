// The keyspaces of an open database by name, and what each means for those who read and write: how its keys are stored, how long its
// entries live.
import { LsmError } from './errors.js';
import { type KeyMap, namedKeys } from './key-map.js';
import type { KeyspaceMeta } from './keyspaces.js';
import type { KeyspaceSettings } from './types.js';

/** One keyspace of an open database. */
export interface Scope {
  /** Empty: the default keyspace. */
  readonly name: string;
  readonly keys: KeyMap;
  /** As the database keeps them; replaced when they change. */
  settings: KeyspaceSettings;
  /** It was dropped, or is being dropped: whoever still has it is refused. */
  isDropped: boolean;
}

/** See the top of the file. */
export class KeyspaceList {
  readonly default: Scope;
  readonly #named = new Map<string, Scope>();

  constructor(defaultKeys: KeyMap, named: Iterable<KeyspaceMeta>) {
    this.default = { name: '', keys: defaultKeys, settings: {}, isDropped: false };
    for (const meta of named) this.set(meta);
  }

  /** Names, sorted. */
  get names(): string[] {
    return [...this.#named.values()].flatMap(({ name, isDropped }) => (isDropped ? [] : [name])).sort();
  }

  get(name: string): Scope | undefined {
    return this.#named.get(name);
  }

  /** @throws LsmError `LSM_UNKNOWN_KEYSPACE` */
  find(keyspace: string | { readonly name: string }): Scope {
    const isNamed = typeof keyspace === 'string';
    const scope = isNamed ? this.#named.get(keyspace) : scopes.get(keyspace);
    if (scope === undefined) throw unknownKeyspace(isNamed ? keyspace : keyspace.name);
    this.assertKnown(scope);
    return scope;
  }

  /** @throws LsmError `LSM_UNKNOWN_KEYSPACE` if the keyspace was dropped, or is of another database */
  assertKnown(scope: Scope): void {
    const isKnown = scope === this.default || this.#named.get(scope.name) === scope;
    if (!isKnown || scope.isDropped) throw unknownKeyspace(scope.name);
  }

  /** Takes note of a keyspace, or of its new settings. */
  set({ id, name, settings }: KeyspaceMeta): Scope {
    const known = this.#named.get(name);
    if (known?.keys.id === id) {
      known.settings = settings;
      return known;
    }
    const scope = { name, keys: namedKeys(id), settings, isDropped: false };
    this.#named.set(name, scope);
    return scope;
  }

  /** Forgets a keyspace that is dropped. */
  forget(scope: Scope): void {
    this.#named.delete(scope.name);
  }
}

/** What callers have of keyspaces, and what it stands for. */
export const scopes = new WeakMap<object, Scope>();

/** The error for whoever names a keyspace that is not there. */
const unknownKeyspace = (name: string): LsmError =>
  new LsmError('LSM_UNKNOWN_KEYSPACE', `There is no keyspace ${JSON.stringify(name)}. openKeyspace creates it.`);
