import { expect, test } from 'vitest';
import { HostPolicy } from '../../../src/adapters/net/host-policy.js';

const accepts = (policy: HostPolicy, host: string | undefined, origin?: string) =>
  policy.refuse(host, origin) === undefined;

test('loopback names, the bound address and configured names are hosts of the node, with any port and in any case', () => {
  const policy = new HostPolicy('10.1.2.3', ['kv.example']);
  for (const host of ['localhost', 'LocalHost:8080', '127.0.0.1:1', '[::1]:8080', '10.1.2.3:8080', 'KV.example']) {
    expect(accepts(policy, host)).toBe(true);
  }
  for (const host of [
    'evil.test',
    'localhost.evil.test',
    '10.1.2.4',
    '[::2]',
    '',
    undefined,
    '[',
    'kv.example.evil.test',
  ]) {
    expect(accepts(policy, host)).toBe(false);
  }
});

test('a node that listens everywhere accepts any address, but no unknown name', () => {
  const policy = new HostPolicy('0.0.0.0', []);
  expect(accepts(policy, '192.168.1.9:8080')).toBe(true);
  expect(accepts(policy, '[fe80::1]:8080')).toBe(true);
  expect(accepts(policy, 'evil.test')).toBe(false);
});

test('an origin must be the host itself', () => {
  const policy = new HostPolicy('127.0.0.1', []);
  expect(accepts(policy, 'localhost:8080', 'http://localhost:8080')).toBe(true);
  for (const origin of ['http://localhost:9090', 'https://localhost:8080', 'http://evil.test', 'null', '']) {
    expect(accepts(policy, 'localhost:8080', origin)).toBe(false);
  }
});

test('programs may use any name; browsers, which send an origin, may not', () => {
  const policy = new HostPolicy('127.0.0.1', []);
  expect(policy.refuseBrowser('node-1.cluster.internal:7447', undefined)).toBeUndefined();
  expect(policy.refuseBrowser('evil.test', 'http://evil.test')).toContain('allowed_hosts');
});
