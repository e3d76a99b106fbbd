// Records that are not what they should be: any bytes are judged, and what contradicts itself is refused.
import { MemoryFileSystem } from 'nori-io/memory';
import { RaftError } from 'nori-raft';
import { Rng, seedFromEnv } from 'nori-testkit';
import { Wal } from 'nori-wal';
import { describe, expect, test } from 'vitest';
import { HeadWriter, IS_CREATED, IS_REMOVED, recordParts } from '../../src/wal-storage/record-format.js';
import { decodeRecord } from '../../src/wal-storage/record-reader.js';
import { DIR, entriesOf, entry, openStorage, segmentFiles, writeOf } from './helpers.js';

const SEED = seedFromEnv();
const ROUNDS = Number(process.env.NORI_ROUNDS ?? 3000);
const IDENTITY = { nodeId: 'n1', clusterId: '', incarnation: '00112233445566778899aabbccddeeff' };
const HARD = { term: 3, vote: 1, commit: 4 };
const START = { term: 2, index: 4 };

type Build = (writer: HeadWriter) => Uint8Array;

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

const write: Build = (writer) => {
  const entries = [...entriesOf(5, 6, 2), { ...entry(7, 3), type: 'conf-change' as const }];
  writer.beginWrite(3);
  writer.change(0, START, HARD, entries);
  writer.change(1000, undefined, undefined, entriesOf(1, 1, 9, 5));
  writer.change(2, undefined, HARD, []);
  return joined(recordParts(writer.take(), [entries, entriesOf(1, 1, 9, 5)], 3 * 3 + 5));
};

const checkpoint: Build = (writer) => {
  const entries = entriesOf(5, 6, 2);
  writer.beginCheckpoint(IDENTITY, 3);
  writer.checkpoint(0, 7, HARD, START, 6, entries);
  writer.checkpoint(1, 8, HARD, START, 9, undefined);
  writer.removed(3, 9);
  return joined(recordParts(writer.take(), [entries], 6));
};

describe('a record', () => {
  test('is read as it was written', () => {
    const writer = new HeadWriter();
    const entries = [...entriesOf(5, 6, 2), { ...entry(7, 3), type: 'conf-change' }];
    const none = { replicaId: 0, created: false, removed: false };
    expect(decodeRecord(write(writer), 0)).toEqual({
      kind: 'write',
      groups: [
        { groupId: 0, ...none, start: START, hardState: HARD, entries },
        { groupId: 1000, ...none, start: undefined, hardState: undefined, entries: entriesOf(1, 1, 9, 5) },
        { groupId: 2, ...none, start: undefined, hardState: HARD, entries: [] },
      ],
    });
    const record = decodeRecord(checkpoint(writer), 0);
    expect(record).toMatchObject({ kind: 'checkpoint', identity: IDENTITY });
    expect(record.groups).toMatchObject([
      { groupId: 0, replicaId: 7, hardState: HARD, start: START, lastIndex: 6, carried: entriesOf(5, 6, 2) },
      { groupId: 1, replicaId: 8, hardState: HARD, start: START, lastIndex: 9, carried: undefined },
      { groupId: 3, replicaId: 9, removed: true },
    ]);
  });

  test('of any bytes is decoded or refused, by its position', () => {
    const rng = new Rng(SEED);
    const writer = new HeadWriter();
    const sound = [write(writer), checkpoint(writer)];
    for (let round = 0; round < ROUNDS; round++) {
      let bytes = rng.chance(0.1) ? rng.bytes(rng.int(60)) : rng.pick(sound).slice();
      for (let changes = rng.int(3); changes > 0 && bytes.length > 0; changes--)
        bytes[rng.int(bytes.length)] = rng.int(256);
      if (rng.chance(0.2)) bytes = bytes.subarray(0, rng.int(bytes.length + 1));
      try {
        decodeRecord(bytes, 77);
      } catch (error) {
        expect(error, `seed ${SEED}, round ${round}`).toBeInstanceOf(RaftError);
        expect((error as RaftError).message).toContain('position 77');
      }
    }
  });

  test('that is cut off anywhere is refused', () => {
    const writer = new HeadWriter();
    for (const bytes of [write(writer), checkpoint(writer)]) {
      for (let length = 1; length < bytes.length; length++) {
        expect(() => decodeRecord(bytes.subarray(0, length), 0), `${length}`).toThrow(RaftError);
      }
      expect(() => decodeRecord(Uint8Array.of(...bytes, 0), 0)).toThrow(/goes on/);
    }
  });
});

describe('records that contradict each other', () => {
  /** A log with a checkpoint of groups 0 (7 entries behind (2, 4)) and 3 (removed), then these records. */
  async function open(...builds: ((writer: HeadWriter) => void)[]) {
    const fs = new MemoryFileSystem();
    const wal = await Wal.open({ dir: DIR, fs });
    const writer = new HeadWriter();
    const append = async (build: (writer: HeadWriter) => void, bodyBytes = 0) => {
      build(writer);
      await wal.append([writer.take(), new Uint8Array(bodyBytes)]);
    };
    await append((w) => {
      w.beginCheckpoint(IDENTITY, 2);
      w.checkpoint(0, 7, HARD, START, 11, entriesOf(5, 11, 3, 0));
      w.removed(3, 9);
    });
    for (const build of builds) await append(build);
    await wal.close();
    return openStorage(fs);
  }

  const change =
    (...args: Parameters<HeadWriter['change']>) =>
    (writer: HeadWriter) => {
      writer.beginWrite(1);
      writer.change(...args);
    };
  const check =
    (hardState = HARD, start = START, lastIndex = 11, replicaId = 7, identity = IDENTITY) =>
    (writer: HeadWriter) => {
      writer.beginCheckpoint(identity, 2);
      writer.checkpoint(0, replicaId, hardState, start, lastIndex, undefined);
      writer.removed(3, 9);
    };

  test('are refused by group and position', async () => {
    const sound = await open(check(), change(0, undefined, { ...HARD, commit: 5 }, []), check({ ...HARD, commit: 5 }));
    expect(sound.log(0).lastIndex()).toBe(11);
    const cases: [RegExp, ...((writer: HeadWriter) => void)[]][] = [
      [/group 0: entries 12 to 12 are missing/, change(0, undefined, undefined, entriesOf(13, 13, 3, 0))],
      [
        /group 0: entry 4 is written, and the log begins behind 4/,
        change(0, undefined, undefined, entriesOf(4, 4, 3, 0)),
      ],
      [/group 0: entry 12 is of term 2/, change(0, undefined, undefined, entriesOf(12, 12, 2, 0))],
      [/group 0: entry 12 is of term 4/, change(0, undefined, undefined, entriesOf(12, 12, 4, 0))],
      [/group 0: its term goes back/, change(0, undefined, { ...HARD, term: 2 }, [])],
      [/group 0: its vote in term 3 changes/, change(0, undefined, { ...HARD, vote: 2 }, [])],
      [/group 0: its commit goes back/, change(0, undefined, { ...HARD, commit: 3 }, [])],
      [/group 0: it is committed up to 12/, change(0, undefined, { ...HARD, commit: 12 }, [])],
      [/group 3: it is written after/, change(3, undefined, HARD, [])],
      [/group 5 is written and was never created/, change(5, undefined, HARD, [])],
      [/group 0: it is created/, change(0, START, HARD, [], IS_CREATED, 8)],
      [/group 3: replica 9 is created after 9/, change(3, START, HARD, [], IS_CREATED, 9)],
      [/group 0: replica 8 is removed/, change(0, undefined, undefined, [], IS_REMOVED, 8)],
      [/checkpoint: the log ends at 11, not at 12/, check(HARD, START, 12)],
      [/checkpoint: the log says term 3, vote 1, commit 4, and it 3, 1, 6/, check({ ...HARD, commit: 6 })],
      [/checkpoint: the log begins behind 4, not behind 3/, check(HARD, { term: 2, index: 3 })],
      [/checkpoint: entry 4 is of term 2, not 1/, check(HARD, { term: 1, index: 4 })],
      [/checkpoint: entry 6 is of term 3, not 2/, check({ ...HARD, commit: 6 }, { term: 2, index: 6 })],
      [/checkpoint: the log has replica 7/, check(HARD, START, 11, 8)],
      [/different nodes/, check(HARD, START, 11, 7, { ...IDENTITY, incarnation: 'f'.repeat(32) })],
      [
        /does not know of group 0/,
        (writer) => {
          writer.beginCheckpoint(IDENTITY, 1);
          writer.removed(3, 9);
        },
      ],
      [
        /knows of group 8/,
        (writer) => {
          writer.beginCheckpoint(IDENTITY, 1);
          writer.removed(8, 9);
        },
      ],
    ];
    for (const [message, ...builds] of cases) {
      const refused = await open(...builds).catch((error: RaftError) => error);
      expect(refused, String(message)).toBeInstanceOf(RaftError);
      expect(refused).toMatchObject({ code: 'RAFT_CORRUPT_STATE', message: expect.stringMatching(message) });
      expect((refused as RaftError).message).toMatch(/position \d+/);
    }
  });

  test('need a checkpoint among them', async () => {
    const fs = new MemoryFileSystem();
    const wal = await Wal.open({ dir: DIR, fs });
    const writer = new HeadWriter();
    change(0, START, HARD, [], IS_CREATED, 1)(writer);
    await wal.append(writer.take());
    await wal.close();
    await expect(openStorage(fs)).rejects.toMatchObject({ code: 'RAFT_CORRUPT_STATE' });
  });
});

test('a damage on disk after opening is found by verify', async () => {
  const fs = new MemoryFileSystem();
  const storage = await openStorage(fs);
  await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true });
  for (let last = 1; last < 40; last++) {
    await storage.write([writeOf(0, { entries: entriesOf(last + 1, last + 1, 1, 1000) })]);
  }
  expect(await storage.verify()).toMatchObject({ groups: 1, entries: 39 });
  const [first] = await segmentFiles(fs);
  const file = await fs.open(first!, 'write');
  await file.write([Uint8Array.of(255, 0, 255)], 5000);
  await file.close();
  await expect(storage.verify()).rejects.toMatchObject({ code: 'RAFT_CORRUPT_STATE' });
});
