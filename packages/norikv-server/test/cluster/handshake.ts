// Who has dialled a connection between nodes, by its first message (docs/formats/peer-connection.md).

const MAGIC = 'NORIPEER';
/** Magic, version, length of the body. */
const HEAD_BYTES = MAGIC.length + 1 + 2;

/** Id of the node that dialled; undefined: more bytes are needed; empty: it is no such connection. */
export const dialledBy = (bytes: Buffer): string | undefined => {
  if (bytes.length < HEAD_BYTES) return undefined;
  if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) return '';
  const end = HEAD_BYTES + bytes.readUInt16LE(MAGIC.length + 1);
  if (bytes.length < end) return undefined;
  // The lane, then strings: the cluster, the node that dials.
  const cluster = HEAD_BYTES + 1;
  const from = cluster + 1 + bytes[cluster]!;
  return bytes.toString('utf8', from + 1, from + 1 + bytes[from]!);
};
