// Fields of unary requests as the node wants them: bigints become numbers, enums names, each refused with its field's
// name if it is out of range. Keys, values and times to live are checked by the node.
import {
  Consistency,
  LIMITS,
  type WriteIdentity as ProtocolIdentity,
  type Version as ProtocolVersion,
} from 'norikv-protocol';
import { toHex } from '../../domain/hex.js';
import { NodeError } from '../../domain/node-error.js';
import type { Version } from '../../domain/version.js';
import type { ReadConsistency, WriteIdentity } from '../../ports/kv.js';

const INTEGER_MAX = BigInt(LIMITS.integerMax);

/** @throws NodeError `INVALID_ARGUMENT` */
export const toInteger = (field: string, value: bigint, min = 0): number => {
  if (value < BigInt(min) || value > INTEGER_MAX) {
    throw new NodeError('INVALID_ARGUMENT', `${field} is ${value}: must be an integer from ${min} to 2^53 - 1`);
  }
  return Number(value);
};

/** @throws NodeError `INVALID_ARGUMENT` */
export const toConsistency = (value: Consistency): ReadConsistency => {
  switch (value) {
    case Consistency.UNSPECIFIED:
    case Consistency.LEASE:
      return 'lease';
    case Consistency.LINEARIZABLE:
      return 'linearizable';
    case Consistency.STALE_OK:
      return 'stale_ok';
    default:
      throw new NodeError(
        'INVALID_ARGUMENT',
        `consistency is ${value}: allowed are 0 (default), 1 (lease), 2 (linearizable), 3 (stale_ok)`,
      );
  }
};

/** @throws NodeError `INVALID_ARGUMENT` */
export const toIfVersion = (version: ProtocolVersion | undefined): Version | undefined =>
  version && {
    term: toInteger('if_version.term', version.term),
    index: toInteger('if_version.index', version.index),
  };

/** @throws NodeError `INVALID_ARGUMENT` */
export const toIdentity = (identity: ProtocolIdentity | undefined): WriteIdentity | undefined => {
  if (identity === undefined) return undefined;
  if (identity.clientId.length !== LIMITS.clientIdBytes) {
    throw new NodeError(
      'INVALID_ARGUMENT',
      `identity.client_id has ${identity.clientId.length} bytes: must be ${LIMITS.clientIdBytes}`,
    );
  }
  return {
    clientId: toHex(identity.clientId),
    sequence: toInteger('identity.sequence', identity.sequence, 1),
    floor: toInteger('identity.floor', identity.floor),
    ageMs: toInteger('identity.age_ms', identity.ageMs),
  };
};

/** A version as the protocol's message. */
export const fromVersion = (version: Version): { term: bigint; index: bigint } => ({
  term: BigInt(version.term),
  index: BigInt(version.index),
});
