import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/index.js';
import { configObject, configRows } from '../../src/config/print.js';

const loaded = () =>
  loadConfig({
    flags: { 'node-id': 'n7', config: 'norikv.yaml' },
    env: { NORIKV_MEMTABLE_MB: '8' },
    readText: async () => '# a comment\nallowed-hosts:\n  - a.example\n  - b.example\n',
  });

test('each row tells value, unit and origin', async () => {
  const rows = configRows(await loaded());
  expect(rows.find(([key]) => key === 'node-id')).toEqual(['node-id', 'n7', 'flag --node-id']);
  expect(rows.find(([key]) => key === 'memtable-mb')).toEqual(['memtable-mb', '8 MiB', 'env NORIKV_MEMTABLE_MB']);
  expect(rows.find(([key]) => key === 'allowed-hosts')).toEqual([
    'allowed-hosts',
    'a.example,b.example',
    'file norikv.yaml:2',
  ]);
  expect(rows.find(([key]) => key === 'rpc-addr')).toEqual(['rpc-addr', '127.0.0.1:7447', 'default']);
});

test('the object form has the same as data', async () => {
  const object = configObject(await loaded());
  expect(object['memtable-mb']).toEqual({
    value: 8,
    unit: 'MiB',
    source: 'env',
    from: 'NORIKV_MEMTABLE_MB',
    flag: '--memtable-mb',
    env: 'NORIKV_MEMTABLE_MB',
  });
  expect(object['http-addr']).toMatchObject({ value: '127.0.0.1:8080', source: 'default' });
});
