import { expect, test } from 'vitest';
import { noopMeter, RecordingMeter } from '../src/index.js';

test('values and counts are read by exact labels, or for all series together', () => {
  const meter = new RecordingMeter();
  meter.counter('a_total', { status: 'ok' }).inc(2);
  meter.counter('a_total', { status: 'failed' }).inc();
  meter.gauge('b').set(7);
  const histogram = meter.histogram('c_seconds', { operation: 'put' });
  histogram.observe(0.5);
  histogram.observe(1.5);
  expect(meter.value('a_total', { status: 'ok' })).toBe(2);
  expect(meter.value('a_total')).toBe(3);
  expect(meter.value('a_total', {})).toBe(0);
  expect(meter.value('b')).toBe(7);
  expect(meter.value('c_seconds')).toBe(2);
  expect(meter.count('c_seconds')).toBe(2);
  expect(meter.count('c_seconds', { operation: 'get' })).toBe(0);
  expect(meter.value('never_bound')).toBe(0);
});

test('events are kept in order', () => {
  const meter = new RecordingMeter();
  meter.event({ type: 'node.ready', atMs: 1, nodeId: 'a' });
  meter.event({ type: 'node.writes_resumed', atMs: 2 });
  expect(meter.events.map(({ type }) => type)).toEqual(['node.ready', 'node.writes_resumed']);
});

test('the meter that does nothing takes everything', () => {
  noopMeter.counter('not even a name').inc(-1);
  noopMeter.gauge('a').set(1);
  noopMeter.gauge('a').add(1);
  noopMeter.histogram('a').observe(1);
  noopMeter.event({ type: 'node.writes_resumed', atMs: 2 });
  expect(noopMeter.wantsEvents).toBe(false);
  expect(noopMeter.counter('a')).toBe(noopMeter.counter('b'));
});
