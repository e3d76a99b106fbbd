// `grpc.health.v1.Health`: the readiness of the node, under "" and under the name of each service. `Admin` and `Health`
// answer whenever the node runs, so they are always serving.
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { type Health, HealthCheckResponse_ServingStatus as ServingStatus } from 'norikv-protocol';
import type { Readiness } from '../net/readiness.js';
import { LatestValue } from './latest-value.js';

const toStatus = (ready: boolean): ServingStatus => (ready ? ServingStatus.SERVING : ServingStatus.NOT_SERVING);

/**
 * Builds the implementation of `grpc.health.v1.Health`.
 *
 * @param dependent names of the services that serve while the node is ready
 * @param independent names of the services that serve whenever the node runs
 * @param drainSignal ends watches, after they have said `NOT_SERVING`
 */
export const healthService = (
  readiness: Readiness,
  dependent: readonly string[],
  independent: readonly string[],
  drainSignal: AbortSignal,
): ServiceImpl<typeof Health> => {
  const followsNode = new Set(['', ...dependent]);
  const alwaysServes = new Set(independent);
  return {
    check({ service }) {
      if (followsNode.has(service)) return { status: toStatus(readiness.verdict().ready) };
      if (alwaysServes.has(service)) return { status: ServingStatus.SERVING };
      throw new ConnectError(`There is no service '${service}' here; reflection lists them`, Code.NotFound);
    },

    async *watch({ service }, context) {
      const latest = new LatestValue<ServingStatus>();
      let stop = () => {};
      if (followsNode.has(service)) stop = readiness.watch((ready) => latest.set(toStatus(ready)));
      else latest.set(alwaysServes.has(service) ? ServingStatus.SERVING : ServingStatus.SERVICE_UNKNOWN);
      try {
        for await (const status of latest.values(AbortSignal.any([context.signal, drainSignal]))) yield { status };
      } finally {
        stop();
      }
    },
  };
};
