// What the node accepts. Every refusal names the field, the limit and what was given.
import { LIMITS } from 'norikv-protocol';
import { NodeError } from '../domain/node-error.js';
import type { WriteIdentity, WriteOperation } from '../domain/operation.js';

const invalid = (message: string) => new NodeError('INVALID_ARGUMENT', message);

/** @returns why the key cannot be one, or undefined */
export const keyProblem = (key: Uint8Array): NodeError | undefined => {
  if (key.length === 0) return invalid('The key is empty; keys have 1 to 1024 bytes.');
  if (key.length > LIMITS.keyBytesMax) {
    return invalid(`The key has ${key.length} bytes; the limit is ${LIMITS.keyBytesMax}.`);
  }
  return undefined;
};

/** @returns why the operation cannot be done, or undefined */
export const operationProblem = (operation: WriteOperation): NodeError | undefined => {
  const problem = keyProblem(operation.key);
  if (problem !== undefined) return problem;
  const { value, ttlMs, ifVersion } = operation;
  if (value.length > LIMITS.valueBytesMax) {
    return invalid(`The value has ${value.length} bytes; the limit is ${LIMITS.valueBytesMax}.`);
  }
  if (ttlMs !== 0 && !(Number.isInteger(ttlMs) && ttlMs > 0 && ttlMs <= TTL_MS_MAX)) {
    return invalid(
      `The time to live is ${ttlMs} ms; it must be a whole number from 1 to ${TTL_MS_MAX}, or 0 for none.`,
    );
  }
  if (ifVersion !== undefined && !(isCount(ifVersion.term) && isCount(ifVersion.index))) {
    return invalid('The expected version must have a term and an index that are whole numbers below 2^53.');
  }
  if (operation.ifAbsent && ifVersion !== undefined) {
    return invalid('A put may be conditional on absence or on a version, not on both.');
  }
  return undefined;
};

/** @returns why the identity cannot be one, or undefined */
export const identityProblem = (identity: WriteIdentity): NodeError | undefined => {
  if (identity.clientId.length !== 2 * LIMITS.clientIdBytes) return invalid('The client id must have 16 bytes.');
  if (!isCount(identity.sequence) || identity.sequence === 0) {
    return invalid('The sequence must be a whole number from 1 to 2^53 - 1.');
  }
  if (!isCount(identity.floor) || identity.floor > identity.sequence) {
    return invalid(`The floor must be a whole number not above the sequence ${identity.sequence}.`);
  }
  if (!isCount(identity.ageMs)) return invalid('The age must be a whole number of milliseconds.');
  return undefined;
};

/** A thousand years: beyond it an expiry would not be a date. */
const TTL_MS_MAX = 31_536_000_000_000;
const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
