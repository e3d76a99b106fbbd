import * as swim from 'nori-swim';
import * as sim from 'nori-swim/sim';
import { expect, test } from 'vitest';

test('the package exports exactly this', () => {
  expect(Object.keys(swim).sort()).toEqual([
    'DEFAULT_PROTOCOL',
    'PacketCodec',
    'Swim',
    'SwimCore',
    'SwimError',
    'SwimJoinError',
    'resolveProtocol',
  ]);
  expect(Object.keys(sim).sort()).toEqual([
    'InvariantChecker',
    'LAN',
    'SimulatedNetwork',
    'Simulation',
    'measureDetection',
    'measureLoad',
    'measureSpread',
    'seededRandom',
    'tryLifeguard',
  ]);
});
