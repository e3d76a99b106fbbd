import { describe, expect, test } from 'vitest';
import { judgeHolder, type Surroundings, type Verdict } from '../../src/lock/judge-holder.js';
import type { FoundLock, LockRecord } from '../../src/lock/lock-record.js';

const HERE = 'pid:[1]';

interface World {
  readonly record?: Partial<LockRecord>;
  readonly found?: Partial<FoundLock>;
  readonly platform?: NodeJS.Platform;
  readonly bootId?: string;
  readonly process?: 'lives' | 'dead';
  readonly socket?: 'answers' | 'refused' | 'missing' | 'unknown';
  readonly watched?: 'beats' | 'silent' | 'changed';
  readonly local?: boolean;
}

/** What the rules say of a lock by pid 1 in another namespace of this kernel, unless the world differs. */
async function verdict(world: World): Promise<Verdict> {
  const record: LockRecord = {
    pid: 1,
    hostname: 'there',
    command: 'node',
    sinceMs: 0,
    bootId: 'boot',
    startTime: '77',
    pidNamespace: 'pid:[2]',
    device: '5',
    inode: '6',
    socket: 'LOCK.ab.sock',
    beatMs: 0,
    nonce: 'ab',
    ...world.record,
  };
  const ask = <T>(what: string, answer: T | undefined): T => {
    if (answer === undefined) throw new Error(`nobody should ask for ${what}`);
    return answer;
  };
  const around: Surroundings = {
    own: {
      platform: world.platform ?? 'linux',
      pid: 1,
      hostname: 'here',
      command: 'node',
      bootId: world.bootId ?? 'boot',
      startTime: '88',
      pidNamespace: world.platform ? '' : HERE,
    },
    processLives: async (pid, startTime) => {
      expect([pid, startTime]).toEqual([record.pid, record.startTime]);
      return ask('the process', world.process) === 'lives';
    },
    probe: async () => ask('the socket', world.socket),
    watch: async () => ask('the heartbeat', world.watched),
    isLocal: async () => ask('the file system', world.local),
  };
  return judgeHolder({ record, path: '/d/LOCK', device: '5', inode: '6', ...world.found }, around);
}

/** [name, world, verdict]: the table of docs/adr/0004-lock-in-containers.md. */
const cases: readonly (readonly [string, World, Verdict])[] = [
  ['same namespace, process lives', { record: { pidNamespace: HERE }, socket: 'answers', process: 'lives' }, 'alive'],
  ['same namespace, process dead', { record: { pidNamespace: HERE }, socket: 'refused', process: 'dead' }, 'dead'],
  [
    'same namespace, process lives, socket removed by hand',
    { record: { pidNamespace: HERE }, socket: 'missing', process: 'lives' },
    'alive',
  ],
  [
    'same namespace, process lives, its socket closed',
    { record: { pidNamespace: HERE }, socket: 'refused', process: 'lives' },
    'alive',
  ],
  ['other namespace, socket answers: pid 1 meets pid 1', { socket: 'answers' }, 'alive'],
  ['other namespace, socket refused', { socket: 'refused' }, 'dead'],
  ['other namespace, socket removed by hand', { socket: 'missing' }, 'unknown'],
  ['other namespace, socket not permitted', { socket: 'unknown' }, 'unknown'],
  ['other namespace, no socket, beats', { record: { socket: '', beatMs: 2000 }, watched: 'beats' }, 'alive'],
  ['other namespace, no socket, silent', { record: { socket: '', beatMs: 2000 }, watched: 'silent' }, 'dead'],
  ['other namespace, no socket, new holder', { record: { socket: '', beatMs: 2000 }, watched: 'changed' }, 'changed'],
  [
    'other namespace, socket not permitted, silent',
    { record: { beatMs: 2000 }, socket: 'unknown', watched: 'silent' },
    'dead',
  ],
  ['copy with its socket', { found: { inode: '9' }, socket: 'refused' }, 'dead'],
  ['copy without its socket', { found: { inode: '9' }, socket: 'missing' }, 'dead'],
  ['copy in the same namespace', { record: { pidNamespace: HERE }, found: { inode: '9' }, socket: 'missing' }, 'dead'],
  ['snapshot on a device of its own', { found: { device: '9' }, socket: 'refused', local: true }, 'dead'],
  [
    'same file through a network mount, same namespace',
    { record: { pidNamespace: HERE }, found: { device: '9' }, socket: 'refused', local: false, process: 'lives' },
    'alive',
  ],
  ['other inode, but the socket answers', { found: { inode: '9' }, socket: 'answers' }, 'alive'],
  ['other inode, but the socket is not permitted', { found: { inode: '9' }, socket: 'unknown' }, 'unknown'],
  ['rebooted, local disk', { bootId: 'next', local: true }, 'dead'],
  ['disk moved to another machine', { bootId: 'theirs', record: { hostname: 'x' }, local: true }, 'dead'],
  ['another machine, shared volume, beats', { bootId: 'b', record: { beatMs: 2000 }, watched: 'beats' }, 'alive'],
  ['another machine, shared volume, silent', { bootId: 'b', record: { beatMs: 2000 }, watched: 'silent' }, 'dead'],
  ['another machine has it as its local disk, we do not', { bootId: 'b', local: false }, 'unknown'],
  [
    'previous version, same boot, process lives',
    { record: { pidNamespace: undefined, socket: '' }, process: 'lives' },
    'alive',
  ],
  [
    'previous version, same boot, process dead',
    { record: { pidNamespace: undefined, socket: '' }, process: 'dead' },
    'dead',
  ],
  ['previous version, another boot', { bootId: 'next', record: { pidNamespace: undefined, socket: '' } }, 'dead'],
  [
    'no boot ids, no namespaces (macOS, Windows), process lives',
    {
      platform: 'darwin',
      bootId: '',
      record: { bootId: '', pidNamespace: '', startTime: '', socket: '' },
      process: 'lives',
    },
    'alive',
  ],
  [
    'a container of this machine holds it (macOS, Windows), beats',
    { platform: 'darwin', bootId: '', record: { beatMs: 2000 }, watched: 'beats' },
    'alive',
  ],
  [
    'the host of this container holds it (macOS, Windows)',
    { record: { bootId: '', pidNamespace: '', socket: '' }, local: false },
    'unknown',
  ],
];

describe('a holder is judged', () => {
  test.each(cases)('%s', async (_name, world, expected) => {
    expect(await verdict(world)).toBe(expected);
  });
});
