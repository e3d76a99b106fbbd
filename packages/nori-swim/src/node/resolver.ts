// From names to addresses: seeds, and the address that others are told.
import { lookup } from 'node:dns/promises';
import { isIP, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { formatHostPort, type HostPort, parseHostPort } from '../address.js';
import { SwimError } from '../errors.js';

/** All addresses of a seed that a socket bound to `bindHost` can reach. @throws SwimError SWIM_SEED_UNRESOLVED */
export async function resolveSeed(seed: string, bindHost: string): Promise<string[]> {
  const { host, port } = parseHostPort(seed, 'A seed');
  if (port === 0) throw new SwimError('SWIM_INVALID_OPTION', `The seed ${seed} needs a port.`);
  const found = isIP(host) === 0 ? await lookupAll(host, seed) : [host];
  // A socket of IPv4 cannot send to IPv6; one of IPv6 can do both if it is bound to all addresses.
  const usable = found.filter((address) => isIPv6(address) === isIPv6(bindHost) || bindHost === '::');
  if (usable.length === 0) {
    const why = `it has the addresses ${found.join(', ')}, which cannot be reached from ${bindHost}`;
    throw new SwimError('SWIM_SEED_UNRESOLVED', `${seed}: ${why}.`);
  }
  return [...new Set(usable)].map((address) => formatHostPort(address, port));
}

async function lookupAll(host: string, seed: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (cause) {
    throw new SwimError('SWIM_SEED_UNRESOLVED', `${seed}: ${(cause as Error).message}.`, { cause });
  }
}

/** The address to bind to. @throws SwimError SWIM_INVALID_OPTION */
export async function resolveBind(text: string): Promise<HostPort> {
  const { host, port } = parseHostPort(text, 'bind');
  if (isIP(host) !== 0) return { host, port };
  try {
    return { host: (await lookup(host)).address, port };
  } catch (cause) {
    throw new SwimError('SWIM_INVALID_OPTION', `bind: ${host} cannot be resolved (${(cause as Error).message}).`, {
      cause,
    });
  }
}

/** What others are told: `advertise`, else where it is bound, else the first address that is not of this machine alone. */
export async function resolveAdvertised(advertise: string | undefined, bound: HostPort): Promise<string> {
  if (advertise !== undefined) {
    const { host, port } = await resolveBind(advertise);
    return formatHostPort(host, port === 0 ? bound.port : port);
  }
  if (bound.host !== '0.0.0.0' && bound.host !== '::') return formatHostPort(bound.host, bound.port);
  const family = bound.host === '::' ? undefined : 'IPv4';
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const usable = addresses.filter((each) => !each.internal && !each.address.startsWith('fe80'));
  const chosen = usable.find((each) => each.family === (family ?? 'IPv4')) ?? usable.find(() => family === undefined);
  if (chosen === undefined) {
    const what = `It is bound to ${bound.host}, and this machine has no address that others could reach`;
    throw new SwimError('SWIM_INVALID_OPTION', `${what}: say which one with advertise.`);
  }
  return formatHostPort(chosen.address, bound.port);
}
