// Before a node is closed: other replicas are asked to lead what it leads, so that nobody has to wait until they miss it.
import type { GroupDriver } from './group.js';
import type { DriverClock } from './ports.js';

/** Milliseconds between two looks at what is still led here. */
const LOOK_MS = 20;

/**
 * Transfers each leadership to a replica that follows closely, different ones in turn, until none is left that another could take.
 * @param groups those that are here, asked again and again
 * @returns how many are still led here: nobody follows them, or nobody has taken them within `timeoutMs`
 */
export const handOver = async (
  groups: () => Iterable<GroupDriver>,
  clock: DriverClock,
  timeoutMs: number,
): Promise<number> => {
  const endMs = clock.monotonic() + timeoutMs;
  for (;;) {
    let led = 0;
    let onTheWay = 0;
    for (const group of groups()) {
      if (group.failure !== undefined || group.role !== 'leader' || group.isSoleVoter) continue;
      led++;
      const { progress, transferee } = group.status();
      const able = progress.filter(
        ({ id, learner, recentActive, state }) =>
          id !== group.replicaId && !learner && recentActive && state === 'replicate',
      );
      if (able.length === 0) continue;
      onTheWay++;
      if (transferee === 0) group.transferLeader(able[group.groupId % able.length]!.id);
    }
    if (onTheWay === 0 || clock.monotonic() >= endMs) return led;
    await new Promise<void>((resolve) => clock.setTimer(LOOK_MS, resolve));
  }
};
