// All groups of a node as the log drives them: the meta group goes to its own state machine, shards to their store.
import type { GroupConfig } from '../domain/group-config.js';
import type { MetaResult } from '../domain/meta-state.js';
import { asNodeError, type NodeError } from '../domain/node-error.js';
import { META_GROUP } from '../domain/placement.js';
import type {
  EntryPosition,
  GroupPosition,
  GroupSnapshot,
  StagedGroup,
  StateMachine,
} from '../ports/replicated-log.js';
import { type MetaGroup, MetaProposal } from './meta-group.js';

export class GroupMachines implements StateMachine {
  readonly #meta: MetaGroup;
  readonly #store: StateMachine;

  constructor(meta: MetaGroup, store: StateMachine) {
    this.#meta = meta;
    this.#store = store;
  }

  position(group: number): GroupPosition | undefined {
    return group === META_GROUP ? this.#meta.position() : this.#store.position(group);
  }

  activeGroups(): Iterable<number> {
    return [META_GROUP, ...this.#store.activeGroups()];
  }

  apply(entry: EntryPosition, data: Uint8Array): unknown {
    return entry.group === META_GROUP ? this.#meta.apply(entry, data) : this.#store.apply(entry, data);
  }

  moved(group: number, position: GroupPosition & { readonly config: GroupConfig }): void {
    if (group === META_GROUP) this.#meta.moved(position);
    else this.#store.moved(group, position);
  }

  snapshot(group: number, position: GroupPosition & { readonly config: GroupConfig }): GroupSnapshot {
    return group === META_GROUP ? this.#meta.snapshot(position) : this.#store.snapshot(group, position);
  }

  stage(group: number, chunks: AsyncIterable<Uint8Array>): Promise<StagedGroup> {
    return group === META_GROUP ? this.#meta.stage(chunks) : this.#store.stage(group, chunks);
  }

  durableIndex(group: number): number {
    return group === META_GROUP ? this.#meta.durableIndex() : this.#store.durableIndex(group);
  }

  applied(context: unknown, result: unknown): void {
    if (context instanceof MetaProposal) context.resolve(result as MetaResult);
    else this.#store.applied(context, result);
  }

  refused(context: unknown, error: NodeError): void {
    if (context instanceof MetaProposal) context.reject(asNodeError(error));
    else this.#store.refused(context, error);
  }

  refusalChanged(): void {
    this.#store.refusalChanged();
  }

  idle(): void {
    this.#store.idle();
  }

  stopped(error: NodeError): void {
    this.#store.stopped(error);
  }

  writable(): Promise<void> | undefined {
    return this.#store.writable();
  }
}
