// What the tests of the client share.
import { afterEach, expect } from 'vitest';
import { NoriClient, type NoriClientOptions, type NoriError } from '../../src/index.js';
import { FakeNode } from './fake-node.js';

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Does something after the test. */
export const afterwards = (cleanup: () => Promise<unknown>): void => {
  cleanups.push(cleanup);
};

/** A node that is stopped after the test. */
export const startNode = async (init: Parameters<typeof FakeNode.start>[0] = {}): Promise<FakeNode> => {
  const node = await FakeNode.start(init);
  afterwards(() => node.stop());
  return node;
};

/** A client that is closed after the test. Reconnects fast. */
export const connect = async (
  nodes: FakeNode | readonly FakeNode[],
  options: Partial<NoriClientOptions> = {},
): Promise<NoriClient> => {
  const endpoints = [nodes].flat().map((node) => node.address);
  const client = await NoriClient.connect({ endpoints, reconnectDelayMinMs: 5, reconnectDelayMaxMs: 40, ...options });
  afterwards(() => client.close());
  return client;
};

/** The error that a promise is rejected with. */
export const failure = async (promise: Promise<unknown>): Promise<NoriError> =>
  promise.then(
    () => expect.unreachable('should have failed'),
    (error: NoriError) => error,
  );

/** Waits until something holds, by turns of the event loop. */
export const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
};

export const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes);
