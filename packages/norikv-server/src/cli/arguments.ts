// Reads what stands on the command line. Every refusal names the option, what was given, and what is allowed.
import { parseAddress } from '../config/address.js';
import { usageFailure } from './failure.js';

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `HOST:PORT,…`. */
export const parseEndpoints = (text: string): string[] => {
  const endpoints = text.split(',').map((item) => item.trim());
  for (const endpoint of endpoints) {
    const address = parseAddress(endpoint);
    if (address === undefined || address.port === 0) {
      throw usageFailure(`--endpoints: ${JSON.stringify(text)} is not allowed; allowed: HOST:PORT,HOST:PORT,...`);
    }
  }
  return endpoints;
};

/** A whole number of an option. */
export const parseInteger = (option: string, text: string, min: number, max: number): number => {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw usageFailure(
    `${option}: ${JSON.stringify(text)} is not allowed; allowed: a whole number from ${min} to ${max}`,
  );
};

/** A number of an option. */
export const parseNumber = (option: string, text: string, min: number, max: number): number => {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw usageFailure(`${option}: ${JSON.stringify(text)} is not allowed; allowed: a number from ${min} to ${max}`);
};

/** One of several words. */
export const parseChoice = <T extends string>(option: string, text: string, choices: readonly T[]): T => {
  const choice = choices.find((candidate) => candidate === text);
  if (choice !== undefined) return choice;
  throw usageFailure(`${option}: ${JSON.stringify(text)} is not allowed; allowed: ${choices.join(', ')}`);
};

/** `500`, `500ms`, `30s`, `5m`, `2h`, `1d`: milliseconds, at least 1. */
export const parseDurationMs = (option: string, text: string): number => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  const durationMs =
    match === null ? Number.NaN : Number(match[1]) * UNITS_MS[(match[2] ?? 'ms') as keyof typeof UNITS_MS];
  if (durationMs >= 1 && durationMs <= Number.MAX_SAFE_INTEGER) return Math.round(durationMs);
  throw usageFailure(
    `${option}: ${JSON.stringify(text)} is not allowed; allowed: a time above zero such as 500ms, 30s, 5m, 2h, 1d ` +
      '(a bare number: milliseconds)',
  );
};

/** `TERM.INDEX`. */
export const parseVersion = (option: string, text: string): { term: number; index: number } => {
  const match = /^(\d{1,16})\.(\d{1,16})$/.exec(text);
  const term = Number(match?.[1] ?? Number.NaN);
  const index = Number(match?.[2] ?? Number.NaN);
  if (Number.isSafeInteger(term) && Number.isSafeInteger(index)) return { term, index };
  throw usageFailure(`${option}: ${JSON.stringify(text)} is not allowed; allowed: TERM.INDEX, for example 1.42`);
};
