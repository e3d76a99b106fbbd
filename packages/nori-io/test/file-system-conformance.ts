// What every implementation of FileSystem must do. Call it with a way to make an empty directory on a file system.
import { type FileSystem, IoError } from 'nori-io';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** An empty directory to test in. */
export interface Playground {
  readonly fs: FileSystem;
  readonly dir: string;
  remove(): Promise<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);

export function fileSystemConformance(name: string, make: () => Promise<Playground>): void {
  describe(`${name} as a file system`, () => {
    let ground: Playground;
    let fs: FileSystem;
    let number = 0;
    const fresh = () => `${ground.dir}/file-${++number}`;
    const content = (path: string): string => {
      const file = fs.openSync(path, 'read');
      const buffer = new Uint8Array(file.sizeSync());
      expect(file.readSync(buffer, 0)).toBe(buffer.length);
      file.closeSync();
      return new TextDecoder().decode(buffer);
    };
    const put = async (path: string, text: string): Promise<void> => {
      const file = await fs.open(path, 'create');
      await file.write([bytes(text)], 0);
      await file.close();
    };

    beforeAll(async () => {
      ground = await make();
      fs = ground.fs;
    });
    afterAll(() => ground.remove());

    test('a file is written and read at positions', async () => {
      const path = fresh();
      const file = await fs.open(path, 'create');
      expect(file.path).toBe(path);
      await file.write([bytes('hello'), bytes(''), bytes(' '), bytes('world')], 0);
      file.writeSync(bytes('W'), 6);
      await file.write([], 0);
      await file.write([bytes('')], 100);
      const buffer = new Uint8Array(5);
      expect(await file.read(buffer, 6)).toBe(5);
      expect(new TextDecoder().decode(buffer)).toBe('World');
      expect(await file.read(new Uint8Array(0), 3)).toBe(0);
      expect(await file.read(new Uint8Array(10), 8)).toBe(3);
      expect(file.readSync(new Uint8Array(10), 11)).toBe(0);
      expect(await file.read(new Uint8Array(10), 5000)).toBe(0);
      await file.datasync();
      file.datasyncSync();
      expect(file.sizeSync()).toBe(11);
      await file.close();
    });

    test('a gap, and what truncation adds, reads as zeros', async () => {
      const file = await fs.open(fresh(), 'create');
      await file.write([bytes('end')], 10_000);
      await file.truncate(5);
      await file.truncate(12_000);
      await file.write([bytes('x')], 3);
      const buffer = new Uint8Array(20_000);
      expect(await file.read(buffer, 0)).toBe(12_000);
      expect(buffer.every((byte, index) => byte === (index === 3 ? 120 : 0))).toBe(true);
      await file.close();
    });

    test('thousands of buffers are written in order', async () => {
      const file = await fs.open(fresh(), 'create');
      const buffers = Array.from({ length: 5000 }, (_, index) => Uint8Array.of(index, index >>> 8));
      await file.write(buffers, 1);
      const buffer = new Uint8Array(10_001);
      expect(await file.read(buffer, 0)).toBe(10_001);
      expect(Buffer.compare(buffer.subarray(1), Buffer.concat(buffers))).toBe(0);
      await file.close();
    });

    test('modes tell new files from existing ones', async () => {
      const path = fresh();
      for (const mode of ['read', 'write'] as const) {
        await expect(fs.open(path, mode)).rejects.toMatchObject({ code: 'IO_NOT_FOUND', path });
        expect(() => fs.openSync(path, mode)).toThrow(expect.objectContaining({ code: 'IO_NOT_FOUND' }));
      }
      await put(path, 'there');
      await expect(fs.open(path, 'create')).rejects.toMatchObject({ code: 'IO_EXISTS', path });
      expect(() => fs.openSync(path, 'create')).toThrow(expect.objectContaining({ code: 'IO_EXISTS' }));
      await expect(fs.open(`${path}/below`, 'create')).rejects.toBeInstanceOf(IoError);
      await expect(fs.open(`${ground.dir}/missing/below`, 'create')).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
      await expect(fs.open(ground.dir, 'write')).rejects.toMatchObject({ code: 'IO_WRONG_KIND' });
      const reader = fs.openSync(path, 'read');
      await expect(reader.write([bytes('x')], 0)).rejects.toBeInstanceOf(IoError);
      reader.closeSync();
      expect(content(path)).toBe('there');
    });

    test('a closed file refuses, and closing twice is fine', async () => {
      const file = await fs.open(fresh(), 'create');
      await file.close();
      await file.close();
      file.closeSync();
      expect(() => file.readSync(new Uint8Array(1), 0)).toThrow(expect.objectContaining({ code: 'IO_CLOSED' }));
      expect(() => file.sizeSync()).toThrow(expect.objectContaining({ code: 'IO_CLOSED' }));
      await expect((async () => file.write([bytes('x')], 0))()).rejects.toMatchObject({ code: 'IO_CLOSED' });
    });

    test('names are listed, renamed over, linked and removed', async () => {
      const dir = `${ground.dir}/names/deep`;
      await fs.mkdir(dir);
      await fs.mkdir(dir);
      await put(`${dir}/b`, 'b');
      await put(`${dir}/a`, 'a');
      await fs.mkdir(`${dir}/c`);
      expect(await fs.readdir(dir)).toEqual(['a', 'b', 'c']);
      await fs.rename(`${dir}/a`, `${dir}/b`);
      expect(content(`${dir}/b`)).toBe('a');
      await fs.link(`${dir}/b`, `${dir}/z`);
      await expect(fs.link(`${dir}/b`, `${dir}/z`)).rejects.toMatchObject({ code: 'IO_EXISTS' });
      await fs.unlink(`${dir}/b`);
      expect(content(`${dir}/z`)).toBe('a');
      await fs.syncDir(dir);
      expect(await fs.readdir(dir)).toEqual(['c', 'z']);
      await expect(fs.unlink(`${dir}/b`)).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
      await expect(fs.rename(`${dir}/b`, `${dir}/x`)).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
      await expect(fs.readdir(`${dir}/none`)).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
      await expect(fs.syncDir(`${dir}/none`)).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
    });

    test('an open file outlives its name', async () => {
      const path = fresh();
      await put(path, 'still here');
      const file = fs.openSync(path, 'read');
      await fs.unlink(path);
      const buffer = new Uint8Array(10);
      expect(await file.read(buffer, 0)).toBe(10);
      await file.close();
    });

    test('stat tells kind and size, or undefined', async () => {
      const path = fresh();
      expect(await fs.stat(path)).toBeUndefined();
      await put(path, 'seven..');
      expect(await fs.stat(path)).toEqual({ kind: 'file', sizeBytes: 7 });
      expect(await fs.stat(ground.dir)).toMatchObject({ kind: 'directory' });
      expect(await fs.freeBytes(ground.dir)).toBeGreaterThan(0);
    });

    test('a lock is exclusive, also within the process, until it is released', async () => {
      const path = fresh();
      const lock = await fs.lock(path);
      const refusal = await fs.lock(path).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(IoError);
      expect(refusal).toMatchObject({ code: 'IO_LOCKED', path, holder: { pid: expect.any(Number) } });
      await lock.release();
      await lock.release();
      expect(await fs.stat(path)).toBeUndefined();
      const takers = await Promise.allSettled(Array.from({ length: 10 }, () => fs.lock(path)));
      const won = takers.filter((taker) => taker.status === 'fulfilled');
      expect(won.length).toBe(1);
      await won[0]!.value.release();
      await expect(fs.lock(`${ground.dir}/none/LOCK`)).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
    });
  });
}
