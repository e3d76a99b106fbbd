import { expect, test } from 'vitest';
import { formatAddress, isLoopback, parseAddress } from '../../src/config/index.js';

test('addresses are read and written alike', () => {
  for (const text of ['127.0.0.1:7447', '[::1]:0', '[fe80::1%eth0]:1', 'localhost:65535', 'a-b.example.org:80']) {
    const address = parseAddress(text);
    expect(address, text).toBeDefined();
    expect(formatAddress(address!)).toBe(text);
  }
});

test('what is no address is refused', () => {
  for (const text of [
    '',
    ':1',
    'a',
    'a:',
    'a:b',
    'a:65536',
    'a:-1',
    '[]:1',
    '[a]:1',
    '1.2.3:4',
    '01.2.3.4:5',
    'a b:1',
    '-a:1',
    'a..b:1',
    'a:123456',
  ]) {
    expect(parseAddress(text), text).toBeUndefined();
  }
});

test('loopback is what only this machine reaches', () => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost', 'LOCALHOST', '::ffff:127.0.0.1']) {
    expect(isLoopback(host), host).toBe(true);
  }
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example', '::ffff:10.0.0.1', 'localhost.example']) {
    expect(isLoopback(host), host).toBe(false);
  }
});
