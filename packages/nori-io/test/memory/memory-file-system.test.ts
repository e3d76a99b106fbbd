import { MEMORY_PAGE_BYTES, MemoryFileSystem, type MemoryOperation } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { fileSystemConformance } from '../file-system-conformance.js';

const SEED = seedFromEnv();
const nothingSurvives = { next: () => 0 };
const everythingSurvives = { next: () => 0.99 };
const bytes = (text: string) => new TextEncoder().encode(text);

fileSystemConformance('MemoryFileSystem', async () => {
  const fs = new MemoryFileSystem();
  await fs.mkdir('/ground');
  return { fs, dir: '/ground', remove: async () => undefined };
});

function content(fs: MemoryFileSystem, path: string): string {
  const file = fs.openSync(path, 'read');
  const buffer = new Uint8Array(file.sizeSync());
  file.readSync(buffer, 0);
  file.closeSync();
  return new TextDecoder().decode(buffer);
}

/** A file with durable content under a durable name. */
async function durableFile(fs: MemoryFileSystem, path: string, data: Uint8Array) {
  const file = await fs.open(path, 'create');
  await file.write([data], 0);
  await file.datasync();
  await fs.syncDir('/');
  return file;
}

describe('a crash', () => {
  test('loses what was not synced, and keeps it at best', async () => {
    const fs = new MemoryFileSystem();
    const file = await durableFile(fs, '/a', bytes('durable'));
    await file.write([bytes('DURABLE and more')], 0);
    expect(content(fs.crash(nothingSurvives), '/a')).toBe('durable');
    expect(content(fs.crash(everythingSurvives), '/a')).toBe('DURABLE and more');
    expect(content(fs, '/a')).toBe('DURABLE and more');
    await file.datasync();
    expect(content(fs.crash(nothingSurvives), '/a')).toBe('DURABLE and more');
  });

  test('loses names whose directory was not synced, even of synced files', async () => {
    const fs = new MemoryFileSystem();
    const file = await fs.open('/a', 'create');
    await file.write([bytes('content')], 0);
    await file.datasync();
    expect(await fs.crash(nothingSurvives).readdir('/')).toEqual([]);
    expect(content(fs.crash(everythingSurvives), '/a')).toBe('content');
    await fs.syncDir('/');
    expect(content(fs.crash(nothingSurvives), '/a')).toBe('content');
    await fs.mkdir('/x/y');
    expect((await fs.crash(nothingSurvives).stat('/x'))?.kind).toBeUndefined();
    await fs.syncDir('/');
    expect((await fs.crash(nothingSurvives).stat('/x'))?.kind).toBe('directory');
    expect(await fs.crash(nothingSurvives).stat('/x/y')).toBeUndefined();
  });

  test('keeps a name without the content that was never synced', async () => {
    const fs = new MemoryFileSystem();
    const file = await fs.open('/a', 'create');
    await file.write([bytes('content')], 0);
    await fs.syncDir('/');
    expect(content(fs.crash(nothingSurvives), '/a')).toBe('');
  });

  test('leaves a rename done or not done, and a removed file back or gone', async () => {
    const fs = new MemoryFileSystem();
    await durableFile(fs, '/current', bytes('old'));
    await durableFile(fs, '/gone', bytes('gone'));
    const file = await fs.open('/next', 'create');
    await file.write([bytes('new')], 0);
    await file.datasync();
    await fs.rename('/next', '/current');
    await fs.unlink('/gone');
    const seen = new Set<string>();
    const rng = new Rng(SEED);
    for (let round = 0; round < 200; round++) {
      const found = fs.crash(rng);
      seen.add(content(found, '/current'));
      seen.add((await found.stat('/gone')) ? 'there' : 'removed');
    }
    expect([...seen].sort()).toEqual(['new', 'old', 'removed', 'there']);
    await fs.syncDir('/');
    expect(content(fs.crash(nothingSurvives), '/current')).toBe('new');
    expect(await fs.crash(nothingSurvives).readdir('/')).toEqual(['current']);
  });

  test('tears a write of many pages anywhere, also within a page, and never invents bytes', async () => {
    const fs = new MemoryFileSystem();
    const pages = 6;
    const size = pages * MEMORY_PAGE_BYTES;
    const file = await durableFile(fs, '/a', new Uint8Array(size).fill(1));
    await file.write([new Uint8Array(size + MEMORY_PAGE_BYTES).fill(2)], 0);
    const rng = new Rng(SEED);
    const patterns = new Set<string>();
    let tornPages = 0;
    let grown = 0;
    for (let round = 0; round < 300; round++) {
      const found = fs.crash(rng).openSync('/a', 'read');
      const buffer = new Uint8Array(found.sizeSync());
      found.readSync(buffer, 0);
      expect([size, size + MEMORY_PAGE_BYTES]).toContain(buffer.length);
      if (buffer.length > size) grown += 1;
      let pattern = '';
      for (let page = 0; page < pages; page++) {
        const values = new Set(buffer.subarray(page * MEMORY_PAGE_BYTES, (page + 1) * MEMORY_PAGE_BYTES));
        for (const value of values) expect([1, 2]).toContain(value);
        if (values.size > 1) tornPages += 1;
        pattern += [...values].join('+');
      }
      patterns.add(pattern);
    }
    expect(patterns.size).toBeGreaterThan(20);
    expect(tornPages).toBeGreaterThan(0);
    expect(grown).toBeGreaterThan(0);
  });

  test('undoes or keeps a truncation', async () => {
    const fs = new MemoryFileSystem();
    const file = await durableFile(fs, '/a', bytes('0123456789'));
    await file.truncate(4);
    expect(content(fs, '/a')).toBe('0123');
    expect(content(fs.crash(nothingSurvives), '/a')).toBe('0123456789');
    expect(content(fs.crash(everythingSurvives), '/a')).toBe('0123');
    await file.datasync();
    expect(content(fs.crash(nothingSurvives), '/a')).toBe('0123');
  });

  test('is the same for the same seed', async () => {
    const fs = new MemoryFileSystem();
    const file = await durableFile(fs, '/a', new Uint8Array(50_000).fill(1));
    await file.write([new Uint8Array(90_000).fill(2)], 100);
    for (let seed = 0; seed < 20; seed++) {
      expect(content(fs.crash(new Rng(seed)), '/a')).toBe(content(fs.crash(new Rng(seed)), '/a'));
    }
  });

  test('leaves one file under its two names', async () => {
    const fs = new MemoryFileSystem();
    const file = await durableFile(fs, '/a', new Uint8Array(20_000));
    await fs.link('/a', '/b');
    await fs.syncDir('/');
    await file.write([new Uint8Array(20_000).fill(7)], 0);
    const found = fs.crash(new Rng(SEED));
    expect(content(found, '/a')).toBe(content(found, '/b'));
    const changed = found.openSync('/a', 'write');
    changed.writeSync(bytes('x'), 0);
    expect(content(found, '/b')[0]).toBe('x');
  });
});

describe('the fingerprint of a crash', () => {
  /** All there is to see of a file system, as text. */
  async function everything(fs: MemoryFileSystem): Promise<string> {
    const names = await fs.readdir('/');
    const seen: string[] = [];
    for (const name of names) {
      const isFile = (await fs.stat(`/${name}`))!.kind === 'file';
      seen.push(`${name}:${isFile ? content(fs, `/${name}`) : 'directory'}`);
    }
    return seen.join('|');
  }

  test(`is the same for the same outcome and another for another (seed ${SEED})`, async () => {
    const fs = new MemoryFileSystem();
    await durableFile(fs, '/current', bytes('old'));
    await durableFile(fs, '/gone', bytes('gone'));
    const big = await durableFile(fs, '/big', new Uint8Array(5 * MEMORY_PAGE_BYTES).fill(48));
    await big.write([new Uint8Array(4 * MEMORY_PAGE_BYTES).fill(49)], 2 * MEMORY_PAGE_BYTES);
    const next = await fs.open('/next', 'create');
    await next.write([bytes('new')], 0);
    await next.datasync();
    await fs.rename('/next', '/current');
    await fs.unlink('/gone');
    await fs.mkdir('/made');
    const rng = new Rng(SEED);
    const seen = new Map<string, string>();
    const outcomes = new Set<string>();
    for (let round = 0; round < 1500; round++) {
      const found = fs.crash(rng);
      const outcome = await everything(found);
      expect(found.crashFingerprint).toMatch(/^[0-9a-f]{16}$/);
      expect(seen.get(outcome) ?? found.crashFingerprint).toBe(found.crashFingerprint);
      seen.set(outcome, found.crashFingerprint!);
      outcomes.add(found.crashFingerprint!);
    }
    expect(outcomes.size).toBe(seen.size);
    expect(seen.size).toBeGreaterThan(100);
  });

  test('is constant where nothing was unsynced, and absent without a crash', async () => {
    const fs = new MemoryFileSystem();
    await durableFile(fs, '/a', new Uint8Array(50_000));
    const rng = new Rng(SEED);
    const seen = new Set(Array.from({ length: 50 }, () => fs.crash(rng).crashFingerprint));
    expect(seen.size).toBe(1);
    expect(fs.crashFingerprint).toBeUndefined();
    expect(fs.kill().crashFingerprint).toBeUndefined();
  });
});

test('a kill keeps everything, but what was not durable still is not', async () => {
  const fs = new MemoryFileSystem();
  const file = await durableFile(fs, '/a', bytes('durable'));
  await file.write([bytes('DURABLE')], 0);
  await (await fs.open('/b', 'create')).close();
  await fs.lock('/LOCK');
  const found = fs.kill();
  expect(content(found, '/a')).toBe('DURABLE');
  expect(await found.readdir('/')).toEqual(['LOCK', 'a', 'b']);
  await (await found.lock('/LOCK')).release();
  expect(content(found.crash(nothingSurvives), '/a')).toBe('durable');
  expect(await found.crash(nothingSurvives).readdir('/')).toEqual(['a']);
  const reopened = found.openSync('/a', 'write');
  reopened.datasyncSync();
  await found.syncDir('/');
  expect(content(found.crash(nothingSurvives), '/a')).toBe('DURABLE');
  expect(content(fs.crash(nothingSurvives), '/a')).toBe('durable');
});

describe('the hook', () => {
  test('is called before each change, and sees the moment before it', async () => {
    const fs = new MemoryFileSystem();
    const seen: MemoryOperation[] = [];
    const sizes: number[] = [];
    fs.onOperation = (operation) => {
      seen.push(operation);
      if (operation.kind === 'write') sizes.push(content(fs.kill(), '/dir/a').length);
    };
    await fs.mkdir('/dir');
    const file = await fs.open('/dir/../dir/a', 'create');
    await file.write([bytes('ab'), bytes('cd')], 7);
    file.writeSync(bytes('x'), 0);
    await file.truncate(3);
    await file.datasync();
    await fs.rename('/dir/a', '/dir/b');
    await fs.link('/dir/b', '/dir/c');
    await fs.unlink('/dir/c');
    await fs.syncDir('/dir');
    await (await fs.lock('/dir/LOCK')).release();
    expect(seen.map(({ kind, path, offset, length }) => [kind, path, offset, length])).toEqual([
      ['mkdir', '/dir', 0, 0],
      ['create', '/dir/a', 0, 0],
      ['write', '/dir/a', 7, 4],
      ['write', '/dir/a', 0, 1],
      ['truncate', '/dir/a', 3, 0],
      ['datasync', '/dir/a', 0, 0],
      ['rename', '/dir/b', 0, 0],
      ['link', '/dir/c', 0, 0],
      ['unlink', '/dir/c', 0, 0],
      ['sync-dir', '/dir', 0, 0],
      ['lock', '/dir/LOCK', 0, 0],
      ['unlock', '/dir/LOCK', 0, 0],
    ]);
    expect(seen.map(({ index }) => index)).toEqual(seen.map((_, index) => index));
    expect(sizes).toEqual([0, 11]);
    expect(fs.stats()).toMatchObject({ mutations: 12, bytesWritten: 5, operations: { write: 2, read: 0 } });
  });

  test('can refuse an operation, and hold one back', async () => {
    const fs = new MemoryFileSystem();
    const file = await fs.open('/a', 'create');
    fs.onOperation = () => {
      throw new Error('cut');
    };
    await expect(file.write([bytes('x')], 0)).rejects.toThrow('cut');
    expect(() => file.writeSync(bytes('x'), 0)).toThrow('cut');
    let release = (): void => undefined;
    fs.onOperation = () => new Promise<void>((resolve) => (release = resolve));
    const held = file.write([bytes('held')], 0);
    expect(content(fs, '/a')).toBe('');
    release();
    await held;
    expect(content(fs, '/a')).toBe('held');
  });
});

describe('injected errors', () => {
  test('strike by kind, path, and count', async () => {
    const fs = new MemoryFileSystem();
    const [a, b] = [await fs.open('/a', 'create'), await fs.open('/b', 'create')];
    const fault = fs.inject({ on: ['write', 'read'], path: /b$/, after: 1, times: 2, code: 'IO_PERMISSION' });
    for (let round = 0; round < 4; round++) await a.write([bytes('x')], 0);
    await b.write([bytes('x')], 0);
    await expect(b.write([bytes('y')], 0)).rejects.toMatchObject({ code: 'IO_PERMISSION', path: '/b' });
    await expect(b.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: 'IO_PERMISSION' });
    expect(fault.hits).toBe(2);
    expect(content(fs, '/b')).toBe('x');
    const lasting = fs.inject({ on: 'unlink', times: Number.POSITIVE_INFINITY });
    for (let round = 0; round < 3; round++) await expect(fs.unlink('/a')).rejects.toMatchObject({ code: 'IO_FAILED' });
    lasting.remove();
    await fs.unlink('/a');
  });

  test('may do a part of a write', async () => {
    const fs = new MemoryFileSystem();
    const file = await fs.open('/a', 'create');
    fs.inject({ on: 'write', code: 'IO_NO_SPACE', writtenFraction: 0.5 });
    await expect(file.write([bytes('abc'), bytes('defgh')], 0)).rejects.toMatchObject({ code: 'IO_NO_SPACE' });
    expect(content(fs, '/a')).toBe('abcd');
  });

  test('in a sync lose the bytes, although later syncs succeed, until they are written again', async () => {
    const fs = new MemoryFileSystem();
    const file = await durableFile(fs, '/a', bytes('old'));
    await file.write([bytes('new')], 0);
    fs.inject({ on: 'datasync' });
    await expect(file.datasync()).rejects.toMatchObject({ code: 'IO_FAILED' });
    await file.datasync();
    expect(content(fs, '/a')).toBe('new');
    expect(content(fs.crash(everythingSurvives), '/a')).toBe('old');
    await file.write([bytes('new')], 0);
    await file.datasync();
    expect(content(fs.crash(nothingSurvives), '/a')).toBe('new');
  });
});

test('a full disk takes what fits, refuses the rest, and gives space back', async () => {
  const fs = new MemoryFileSystem({ capacityBytes: 3 * MEMORY_PAGE_BYTES });
  const file = await fs.open('/a', 'create');
  await file.write([new Uint8Array(100)], 0);
  expect(await fs.freeBytes('/')).toBe(2 * MEMORY_PAGE_BYTES);
  await expect(file.write([new Uint8Array(50), new Uint8Array(20_000)], 100)).rejects.toMatchObject({
    code: 'IO_NO_SPACE',
  });
  expect(file.sizeSync()).toBe(3 * MEMORY_PAGE_BYTES);
  await file.write([new Uint8Array(100)], 50);
  const other = await fs.open('/b', 'create');
  await expect(other.write([bytes('x')], 0)).rejects.toMatchObject({ code: 'IO_NO_SPACE' });
  await fs.unlink('/a');
  await expect(other.write([bytes('x')], 0)).rejects.toMatchObject({ code: 'IO_NO_SPACE' });
  await file.close();
  await other.write([bytes('x')], 0);
  fs.capacityBytes = Number.POSITIVE_INFINITY;
  await other.write([new Uint8Array(100_000)], 0);
});
