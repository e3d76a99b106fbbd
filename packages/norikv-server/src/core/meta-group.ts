// The meta group on this node: applies its log to the state that the cluster has agreed on, and keeps that state in a file of its own,
// which is replaced after each change. The log is needed only behind what the file holds.
import { ByteReader } from '../domain/byte-reader.js';
import { ByteWriter } from '../domain/byte-writer.js';
import { decodeGroupConfig, encodeGroupConfig, type GroupConfig } from '../domain/group-config.js';
import { decodeMetaCommand, encodeMetaCommand, type MetaCommand } from '../domain/meta-command.js';
import { type MetaResult, MetaState } from '../domain/meta-state.js';
import { NodeError } from '../domain/node-error.js';
import { META_GROUP } from '../domain/placement.js';
import type { MetaFile } from '../ports/meta-file.js';
import type { EntryPosition, GroupPosition, GroupSnapshot, Proposal, StagedGroup } from '../ports/replicated-log.js';

const FORMAT = 1;
const STATE_BYTES_MAX = 64 * 1024 * 1024;

type Place = GroupPosition & { readonly config: GroupConfig };

/** A command of this node on its way. */
export class MetaProposal {
  constructor(
    readonly resolve: (result: MetaResult) => void,
    readonly reject: (error: NodeError) => void,
  ) {}
}

/** The state machine of group 0. */
export class MetaGroup {
  readonly #file: MetaFile;
  readonly #listeners = new Set<() => void>();
  #state = new MetaState();
  /** As another node has told it, until this one has applied as much. */
  #lent: MetaState | undefined;
  #place: Place | undefined;
  #savedIndex = 0;
  #dirty = false;
  #saving: Promise<void> | undefined;

  private constructor(file: MetaFile) {
    this.#file = file;
  }

  /** Takes up what the file has. @throws StartupError, RangeError if it cannot be understood */
  static async open(file: MetaFile): Promise<MetaGroup> {
    const group = new MetaGroup(file);
    const bytes = await file.load();
    if (bytes !== undefined) group.#take(bytes);
    return group;
  }

  /** As applied here, or lent. Do not change it. */
  get state(): MetaState {
    return this.#lent ?? this.#state;
  }

  /** Calls `listener` after each change of the state; returns the way to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A state that another node has told: it stands for this node's own until that has come as far. */
  lend(state: MetaState): void {
    if (state.epoch <= this.state.epoch) return;
    this.#lent = state;
    this.#tell();
  }

  /** A command as the log takes it. */
  static proposal(command: MetaCommand, context: MetaProposal): Proposal {
    return { group: META_GROUP, data: encodeMetaCommand(command), context };
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  // --- the state machine

  position(): GroupPosition | undefined {
    return this.#place;
  }

  apply({ index }: EntryPosition, data: Uint8Array): MetaResult {
    const { epoch } = this.#state;
    const result = this.#state.apply(decodeMetaCommand(data), index);
    if (this.#state.epoch !== epoch) this.#changed();
    return result;
  }

  #changed(): void {
    if (this.#lent !== undefined && this.#lent.epoch <= this.#state.epoch) this.#lent = undefined;
    this.#tell();
  }

  moved(place: Place): void {
    this.#place = { term: place.term, index: place.index, config: place.config };
    this.#save();
  }

  durableIndex(): number {
    return this.#savedIndex;
  }

  snapshot(place: Place): GroupSnapshot {
    const { term, index, config } = place;
    const bytes = this.#encode(place);
    return {
      term,
      index,
      config,
      async *read(offset) {
        if (offset < bytes.length) yield bytes.subarray(offset);
      },
      release: () => {},
    };
  }

  async stage(chunks: AsyncIterable<Uint8Array>): Promise<StagedGroup> {
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of chunks) {
      length += chunk.length;
      if (length > STATE_BYTES_MAX) throw new NodeError('CORRUPTION', 'A snapshot of the meta group is too large.');
      parts.push(chunk.slice());
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    decode(bytes);
    return {
      install: async () => {
        await this.#saving;
        await this.#file.save(bytes);
        this.#take(bytes);
        this.#changed();
      },
      discard: async () => {},
    };
  }

  // --- the file

  #encode({ term, index, config }: Place): Uint8Array {
    const to = new ByteWriter(32 * 1024);
    to.u8(FORMAT);
    to.varint(term);
    to.varint(index);
    encodeGroupConfig(config, to);
    to.blob(this.#state.encode());
    return to.view().slice();
  }

  #take(bytes: Uint8Array): void {
    const { place, state } = decode(bytes);
    this.#place = place;
    this.#state = state;
    this.#savedIndex = place.index;
  }

  /** One save is under way at a time; what changes meanwhile is in the next one. */
  #save(): void {
    this.#dirty = true;
    this.#saving ??= this.#saveAll().finally(() => {
      this.#saving = undefined;
    });
  }

  async #saveAll(): Promise<void> {
    // All that one turn applies goes together.
    await undefined;
    while (this.#dirty && this.#place !== undefined) {
      this.#dirty = false;
      const { index } = this.#place;
      try {
        await this.#file.save(this.#encode(this.#place));
        this.#savedIndex = Math.max(this.#savedIndex, index);
      } catch {
        // Nothing is lost: the log keeps what the file lacks, and the next change tries again.
        return;
      }
    }
  }

  /** Resolves when the file holds what is applied, or could not be written. */
  async close(): Promise<void> {
    await this.#saving;
  }
}

const decode = (bytes: Uint8Array): { readonly place: Place; readonly state: MetaState } => {
  const from = new ByteReader(bytes);
  const format = from.u8();
  if (format !== FORMAT) throw new RangeError(`meta group format ${format} is not known`);
  const place = { term: from.varint(), index: from.varint(), config: decodeGroupConfig(from) };
  return { place, state: MetaState.decode(from.blob()) };
};
