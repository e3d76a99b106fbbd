import net from 'node:net';
import { decode } from '@msgpack/msgpack';
import { noopMeter, RecordingMeter, type VizEvent } from 'nori-observe';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { EventHub } from '../../../src/adapters/http/event-hub.js';
import { eventually, startHttpPort } from '../support/ports.js';

interface Frame {
  type: string;
  dropped?: number;
  status?: { nodeId: string };
  events?: VizEvent[];
}

const rotated = (segment: number): VizEvent => ({ type: 'wal.segment_rotated', atMs: 1, segment });

describe('the event hub', () => {
  test('keeps the last events and counts what a watcher missed', () => {
    const hub = new EventHub();
    expect(hub.since(0)).toEqual({ next: 0, dropped: 0, events: [] });
    for (let i = 0; i < 1500; i++) hub.publish(rotated(i));
    const all = hub.since(100);
    expect(all).toMatchObject({ next: 1500, dropped: 376 });
    expect(all.events).toHaveLength(1024);
    expect(all.events[0]).toEqual(rotated(476));
    expect(hub.since(1499)).toEqual({ next: 1500, dropped: 0, events: [rotated(1499)] });
  });

  test('taps a meter without taking its events away', () => {
    const hub = new EventHub();
    const recording = new RecordingMeter();
    const meter = hub.tap(recording);
    meter.event(rotated(1));
    meter.counter('a_total').inc(2);
    meter.gauge('b').set(3);
    meter.histogram('c_seconds').observe(1);
    expect(recording.events).toEqual([rotated(1)]);
    expect([recording.value('a_total'), recording.value('b'), recording.count('c_seconds')]).toEqual([2, 3, 1]);
    expect(hub.tap(noopMeter).wantsEvents).toBe(true);
    expect(hub.since(0).events).toEqual([rotated(1)]);
  });
});

describe('live events', () => {
  let server: Awaited<ReturnType<typeof startHttpPort>>;

  beforeEach(async () => {
    server = await startHttpPort();
  });

  afterEach(() => server.transport.close());

  const watch = async (query = '', headers = {}) => {
    const frames: Frame[] = [];
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws/events${query}`, { headers });
    let closeCode = 0;
    socket.on('message', (data: Buffer, isBinary) =>
      frames.push((isBinary ? decode(data) : JSON.parse(data.toString())) as Frame),
    );
    socket.on('close', (code) => (closeCode = code));
    await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
    return { socket, frames, closeCode: () => closeCode };
  };

  test('begin with a snapshot and go on in batches, in both formats', async () => {
    server.events.publish(rotated(1));
    const binary = await watch();
    const text = await watch('?format=json');
    await eventually(() => binary.frames.length > 0 && text.frames.length > 0);
    for (const { frames } of [binary, text]) {
      expect(frames[0]).toMatchObject({
        type: 'snapshot',
        dropped: 0,
        status: { nodeId: 'node-1' },
        events: [rotated(1)],
      });
    }
    server.events.publish(rotated(2));
    server.events.publish(rotated(3));
    const batch = ({ frames }: { frames: Frame[] }) => frames.find(({ type }) => type === 'events');
    await eventually(() => batch(binary) !== undefined && batch(text) !== undefined);
    expect(batch(binary)).toEqual({ type: 'events', dropped: 0, events: [rotated(2), rotated(3)] });
    expect(batch(text)).toEqual(batch(binary));
    await eventually(() => binary.frames.some(({ type, status }) => type === 'status' && status?.nodeId === 'node-1'));
    binary.socket.close();
    text.socket.close();
  });

  test('say how many were dropped between two batches', async () => {
    const watcher = await watch();
    await eventually(() => watcher.frames.length > 0);
    for (let i = 0; i < 2000; i++) server.events.publish(rotated(i));
    await eventually(() => watcher.frames.some(({ type }) => type === 'events'));
    const batch = watcher.frames.find(({ type }) => type === 'events')!;
    expect(batch.dropped).toBe(976);
    expect(batch.events).toHaveLength(1024);
    watcher.socket.close();
  });

  test('skip a client that does not read, and give it a snapshot when it does', async () => {
    await server.transport.close();
    server = await startHttpPort({
      eventsLimits: { skipAboveBytes: 1024, cutAboveBytes: 1 << 30, cutAfterMs: 60_000 },
    });
    const watcher = await watch();
    await eventually(() => watcher.frames.length > 0);
    watcher.socket.pause();
    const message = 'x'.repeat(32 * 1024);
    let published = 0;
    const flood = async () => {
      for (let i = 0; i < 128; i++, published++)
        server.events.publish({ type: 'wal.poisoned', atMs: published, message });
      await new Promise((resolve) => setTimeout(resolve, 60));
    };
    // More than the kernel's buffers hold, and than the ring keeps.
    for (let i = 0; i < 20; i++) await flood();
    watcher.socket.resume();
    await eventually(() => watcher.frames.some(({ type }, i) => type === 'snapshot' && i > 0));
    await eventually(() => watcher.frames.at(-1)!.type === 'status');
    const seen = watcher.frames.flatMap(({ events }) => events ?? []).length;
    const dropped = watcher.frames.reduce((sum, frame) => sum + (frame.dropped ?? 0), 0);
    expect(dropped).toBeGreaterThan(0);
    expect(seen + dropped).toBe(published);
    watcher.socket.terminate();
  });

  test('cut a client that stays behind', async () => {
    await server.transport.close();
    server = await startHttpPort({ eventsLimits: { skipAboveBytes: 1024, cutAboveBytes: 1 << 30, cutAfterMs: 100 } });
    const watcher = await watch();
    await eventually(() => watcher.frames.length > 0);
    watcher.socket.pause();
    const message = 'x'.repeat(64 * 1024);
    await eventually(() => {
      for (let i = 0; i < 32; i++) server.events.publish({ type: 'wal.poisoned', atMs: i, message });
      return server.meter.value('http_connections') === 0;
    });
    watcher.socket.terminate();
  });

  test('end a client that says too much', async () => {
    const watcher = await watch();
    watcher.socket.send(new Uint8Array(10_000));
    await eventually(() => watcher.closeCode() !== 0);
    expect(watcher.closeCode()).toBe(1009);
  });

  test('are refused to other sites, with unknown formats, and on other paths', async () => {
    await expect(watch('', { origin: 'http://evil.test' })).rejects.toThrow('403');
    await expect(watch('', { host: 'evil.test' })).rejects.toThrow('403');
    await expect(watch('?format=xml')).rejects.toThrow('400');
    await expect(watch('/more')).rejects.toThrow('404');
    const own = await watch('', { origin: `http://127.0.0.1:${server.port}` });
    own.socket.close();
  });

  test('end with a goodbye when the node drains', async () => {
    const watcher = await watch();
    await server.transport.drain(5_000);
    await eventually(() => watcher.closeCode() === 1001);
  });

  test('are not disturbed by a client that vanishes', async () => {
    const watcher = await watch();
    const other = net.connect(server.port, '127.0.0.1');
    other.write('GET /ws/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
    other.destroy();
    server.events.publish(rotated(9));
    await eventually(() => watcher.frames.some(({ events }) => events?.length === 1));
    watcher.socket.terminate();
    await eventually(() => server.meter.value('http_connections') === 0);
  });
});
