// The one error class of this package. Failures of the file system itself pass through as nori-io's `IoError`.

/** Every code an {@link SSTableError} can have. */
export const SSTABLE_ERROR_CODES = [
  'SSTABLE_CORRUPT_BLOCK',
  'SSTABLE_CORRUPT_FOOTER',
  'SSTABLE_CORRUPT_INDEX',
  'SSTABLE_CORRUPT_FILTER',
  'SSTABLE_CORRUPT_PROPERTIES',
  'SSTABLE_NOT_A_TABLE',
  'SSTABLE_UNSUPPORTED_VERSION',
  'SSTABLE_UNSUPPORTED_COMPRESSION',
  'SSTABLE_OUT_OF_ORDER',
  'SSTABLE_LIMIT_EXCEEDED',
  'SSTABLE_INVALID_OPTION',
  'SSTABLE_CLOSED',
] as const;

/** See the table in the README for what each one means and what to do. */
export type SSTableErrorCode = (typeof SSTABLE_ERROR_CODES)[number];

/** Thrown by everything in nori-sstable. */
export class SSTableError extends Error {
  override readonly name = 'SSTableError';
  readonly code: SSTableErrorCode;
  /** Path of the table. */
  readonly file: string | undefined;
  /** Byte offset in the file at which the damaged part begins. */
  readonly offset: number | undefined;

  constructor(
    code: SSTableErrorCode,
    message: string,
    details: { readonly file?: string; readonly offset?: number; readonly cause?: unknown } = {},
  ) {
    const place =
      details.file === undefined
        ? ''
        : ` (file ${details.file}${details.offset === undefined ? '' : `, offset ${details.offset}`})`;
    super(message + place, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.file = details.file;
    this.offset = details.offset;
  }
}
