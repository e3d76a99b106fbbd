// Versions in headers and queries: `term.index`.
import type { Version } from '../../domain/version.js';

const SHAPE = /^(\d{1,16})\.(\d{1,16})$/;

/** `term.index`. */
export const formatVersion = ({ term, index }: Version): string => `${term}.${index}`;

/** The version that `term.index` names; undefined if it names none. */
export const parseVersion = (text: string): Version | undefined => {
  const parts = SHAPE.exec(text);
  if (parts === null) return undefined;
  const version = { term: Number(parts[1]), index: Number(parts[2]) };
  return Number.isSafeInteger(version.term) && Number.isSafeInteger(version.index) ? version : undefined;
};
