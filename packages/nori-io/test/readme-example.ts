import { type FileSystem, nodeFileSystem } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';

async function save(fs: FileSystem, dir: string, text: string): Promise<void> {
  const file = await fs.open(`${dir}/note.tmp`, 'create');
  await file.write([new TextEncoder().encode(text)], 0);
  await file.datasync(); // leave this out, and the crash below finds an empty note
  await file.close();
  await fs.rename(`${dir}/note.tmp`, `${dir}/note`);
  await fs.syncDir(dir);
}

export async function example(dir: string): Promise<number> {
  await save(nodeFileSystem, dir, 'on the real disk');
  const disk = new MemoryFileSystem();
  await save(disk, '/', 'hello');
  const afterPowerFailure = disk.crash({ next: Math.random });
  return afterPowerFailure.openSync('/note', 'read').sizeSync();
}
