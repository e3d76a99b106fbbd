// A named keyspace of a database: keys of its own, settings of its own, and one log, one order of writes, one snapshot with all others.
import type { Database } from './database.js';
import { KeyedStore } from './keyed-store.js';
import { type Scope, scopes } from './keyspace-list.js';
import type { KeyspaceSettings } from './types.js';

/** Made by `Lsm.openKeyspace` and `Lsm.keyspace`. After it was dropped its methods fail with `LSM_UNKNOWN_KEYSPACE`. */
export class Keyspace extends KeyedStore {
  readonly name: string;
  readonly #scope: Scope;

  /** @internal */
  constructor(database: Database, scope: Scope) {
    super(database, scope);
    this.name = scope.name;
    this.#scope = scope;
    scopes.set(this, scope);
  }

  /** As the database keeps them. */
  get settings(): KeyspaceSettings {
    return this.#scope.settings;
  }
}
