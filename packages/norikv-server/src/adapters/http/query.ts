// Query strings, strictly: an unknown or repeated parameter is an error that names what is allowed, since a condition
// that is silently dropped is worse than a request refused.
import { NodeError } from '../../domain/node-error.js';

const invalid = (message: string): NodeError => new NodeError('INVALID_ARGUMENT', message);

/**
 * Parses `search` (without `?`).
 *
 * @throws NodeError `INVALID_ARGUMENT`
 */
export const parseQuery = (search: string, allowed: readonly string[]): ReadonlyMap<string, string> => {
  const parameters = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(search)) {
    if (!allowed.includes(name)) {
      const names = allowed.length === 0 ? 'there are none here' : `allowed are ${allowed.join(', ')}`;
      throw invalid(`Unknown parameter '${name}': ${names}`);
    }
    if (parameters.has(name)) throw invalid(`Parameter '${name}' is given twice`);
    parameters.set(name, value);
  }
  return parameters;
};

/** @throws NodeError `INVALID_ARGUMENT` */
export const integerParameter = (name: string, text: string | undefined, absent: number): number => {
  if (text === undefined) return absent;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw invalid(`${name} is '${text}': must be an integer from 0 to 2^53 - 1`);
  }
  return value;
};

/** @throws NodeError `INVALID_ARGUMENT` */
export const choiceParameter = <T extends string>(
  name: string,
  text: string | undefined,
  allowed: readonly T[],
  absent: T,
): T => {
  if (text === undefined) return absent;
  const choice = allowed.find((value) => value === text);
  if (choice === undefined) throw invalid(`${name} is '${text}': allowed are ${allowed.join(', ')}`);
  return choice;
};
