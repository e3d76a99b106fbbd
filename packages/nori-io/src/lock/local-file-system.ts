// Which file systems one kernel at a time can mount. On these a lock of another boot is a lock of the past: the disk could
// not be here if that kernel still used it.
import fs from 'node:fs';

/** `f_type` of statfs(2). */
const LOCAL_TYPES: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x01021994, // tmpfs
  0x858458f6, // ramfs
  0x794c7630, // overlayfs
  0x2fc12fc1, // zfs
  0xf2f52010, // f2fs
  0xca451a4e, // bcachefs
  0x3153464a, // jfs
  0x52654973, // reiserfs
  0x3434, // nilfs
  0x24051905, // ubifs
]);

/** False for network and user-space file systems (NFS, CIFS, FUSE, virtiofs, 9p, …), for unknown ones, and off Linux. */
export async function isLocal(directory: string): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  const { type } = await fs.promises.statfs(directory);
  return LOCAL_TYPES.has(type >>> 0);
}
