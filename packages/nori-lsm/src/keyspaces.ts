// What the manifest knows of keyspaces: named sets of keys of one database, with settings of their own (docs/formats/manifest.md, "Keys").
import { type Compression, codecFor } from 'nori-io';
import { LsmError } from './errors.js';
import { KEYSPACE_ID_MAX } from './key-map.js';
import type { TableSettings } from './task.js';
import type { KeyspaceSettings } from './types.js';

const NAME_BYTES_MAX = 255;

/** One keyspace. */
export interface KeyspaceMeta {
  /** From 1 on; never used twice. */
  readonly id: number;
  readonly name: string;
  readonly settings: KeyspaceSettings;
}

/** @throws LsmError `LSM_INVALID_ARGUMENT` */
export const checkKeyspaceName = (name: string): string => {
  const bytes = typeof name === 'string' ? new TextEncoder().encode(name).length : 0;
  if (bytes >= 1 && bytes <= NAME_BYTES_MAX) return name;
  throw new LsmError(
    'LSM_INVALID_ARGUMENT',
    `The name of a keyspace must be a string of 1 to ${NAME_BYTES_MAX} bytes of UTF-8, not ${JSON.stringify(name)}.`,
  );
};

/** @throws LsmError `LSM_INVALID_OPTIONS` naming the setting and what is allowed */
export const checkKeyspaceSettings = (settings: KeyspaceSettings): KeyspaceSettings => {
  const { compression, blockBytes, bloomBitsPerKey, ttlMs } = settings;
  if (compression !== undefined) checkCompression(compression);
  checkInteger('blockBytes', blockBytes, 64, 16 * 1024 * 1024);
  checkInteger('bloomBitsPerKey', bloomBitsPerKey, 0, 64);
  checkInteger('ttlMs', ttlMs, 1, Number.MAX_SAFE_INTEGER);
  return {
    ...(compression === undefined ? {} : { compression }),
    ...(blockBytes === undefined ? {} : { blockBytes }),
    ...(bloomBitsPerKey === undefined ? {} : { bloomBitsPerKey }),
    ...(ttlMs === undefined ? {} : { ttlMs }),
  };
};

/** How tables of keyspaces are written whose settings make others than `base`. */
export const keyspaceTables = (
  keyspaces: Iterable<KeyspaceMeta>,
  base: TableSettings,
): (readonly [id: number, tables: TableSettings])[] =>
  Array.from(keyspaces).flatMap(({ id, settings }) => {
    const blockBytes = settings.blockBytes ?? base.blockBytes;
    const bloomBitsPerKey = settings.bloomBitsPerKey ?? base.bloomBitsPerKey;
    const compression = settings.compression ?? base.compression ?? 'none';
    const isBase =
      blockBytes === base.blockBytes &&
      bloomBitsPerKey === base.bloomBitsPerKey &&
      compression === (base.compression ?? 'none');
    return isBase ? [] : [[id, { blockBytes, bloomBitsPerKey, compression }] as const];
  });

/** The number of the next keyspace. @throws LsmError `LSM_INVALID_ARGUMENT` if there is none left */
export const nextKeyspaceId = (last: number): number => {
  if (last < KEYSPACE_ID_MAX) return last + 1;
  const message = `A database can have had ${KEYSPACE_ID_MAX} keyspaces in its life, and this one has. Copy it into a new one.`;
  throw new LsmError('LSM_INVALID_ARGUMENT', message);
};

const checkCompression = (compression: Compression): void => {
  try {
    codecFor(compression);
  } catch (cause) {
    const message = `compression ${compression} cannot be used: ${(cause as Error).message}`;
    throw new LsmError('LSM_INVALID_OPTIONS', message, { cause });
  }
};

const checkInteger = (name: string, value: number | undefined, min: number, max: number): void => {
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return;
  throw new LsmError('LSM_INVALID_OPTIONS', `${name} must be an integer from ${min} to ${max}, not ${value}.`);
};
