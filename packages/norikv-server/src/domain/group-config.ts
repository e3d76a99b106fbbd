// Who replicates a group, as its log has agreed: voters and learners by replica id. Part of each group's mark.
import type { ByteReader } from './byte-reader.js';
import type { ByteWriter } from './byte-writer.js';

/** The replicas of a group; two halves of voters while it changes from one set to another. */
export interface GroupConfig {
  readonly voters: readonly number[];
  readonly votersOutgoing: readonly number[];
  readonly learners: readonly number[];
  /** Voters of the outgoing half that become learners when it ends. */
  readonly learnersNext: readonly number[];
  /** The leader leaves the joint configuration by itself. */
  readonly autoLeave: boolean;
}

/** The configuration of a new group. */
export const votersOnly = (voters: readonly number[]): GroupConfig => ({
  voters,
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
});

/** Appends a configuration (docs/formats/shard-mark.md). */
export const encodeGroupConfig = (config: GroupConfig, to: ByteWriter): void => {
  to.u8(config.autoLeave ? 1 : 0);
  for (const ids of [config.voters, config.votersOutgoing, config.learners, config.learnersNext]) {
    to.varint(ids.length);
    for (const id of ids) to.varint(id);
  }
};

/** @throws RangeError if the bytes are no configuration. */
export const decodeGroupConfig = (from: ByteReader): GroupConfig => {
  const flags = from.u8();
  if (flags > 1) throw new RangeError(`configuration flags ${flags} are not known`);
  return {
    voters: decodeIds(from),
    votersOutgoing: decodeIds(from),
    learners: decodeIds(from),
    learnersNext: decodeIds(from),
    autoLeave: flags === 1,
  };
};

const decodeIds = (from: ByteReader): number[] => {
  const count = from.varint();
  if (count > from.remaining) throw new RangeError('a configuration claims more replicas than it has bytes');
  return Array.from({ length: count }, () => from.varint());
};
