/**
 * The seed of a randomised test: the environment variable `name` when it is set (to run a failure again), else a fresh
 * one. Print it when the test fails.
 * @throws RangeError when the variable is not an integer from 0 to 2^53 - 1
 */
export function seedFromEnv(name = 'NORI_SEED'): number {
  const text = process.env[name];
  if (text === undefined || text === '') return Math.floor(Math.random() * 2 ** 32);
  const seed = Number(text);
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`${name} must be an integer from 0 to 2^53 - 1, not ${JSON.stringify(text)}.`);
  }
  return seed;
}
