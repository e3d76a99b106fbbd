// Addresses to listen on or connect to: `HOST:PORT`, with an IPv6 host in brackets (`[::1]:7447`).

/** Where a socket listens. `host` has no brackets. */
export interface Address {
  readonly host: string;
  /** 0 to 65535; 0: the system chooses a free one. */
  readonly port: number;
}

const PORT_MAX = 65_535;
const HOST_LENGTH_MAX = 253;
const IPV4_SHAPE = /^[\d.]+$/;
const IPV6_SHAPE = /^[0-9a-fA-F:.]+(%[\w.-]+)?$/;
const HOST_NAME = /^[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?)*\.?$/;

/** Reads `HOST:PORT`; undefined if it is none. */
export const parseAddress = (text: string): Address | undefined => {
  const split = text.lastIndexOf(':');
  if (split < 1) return undefined;
  const portText = text.slice(split + 1);
  if (!/^\d{1,5}$/.test(portText)) return undefined;
  const port = Number(portText);
  const host = parseHost(text.slice(0, split));
  return host === undefined || port > PORT_MAX ? undefined : { host, port };
};

const parseHost = (text: string): string | undefined => {
  if (text.startsWith('[')) {
    const inner = text.endsWith(']') ? text.slice(1, -1) : '';
    return isIpv6(inner) ? inner : undefined;
  }
  if (IPV4_SHAPE.test(text)) return isIpv4(text) ? text : undefined;
  return text.length <= HOST_LENGTH_MAX && HOST_NAME.test(text) ? text : undefined;
};

const isIpv4 = (text: string): boolean => {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
};

const isIpv6 = (text: string): boolean => {
  if (!IPV6_SHAPE.test(text)) return false;
  try {
    new URL(`http://[${text.replace(/%.*$/, '')}]/`);
    return true;
  } catch {
    return false;
  }
};

/** Writes an address as `HOST:PORT`, an IPv6 host in brackets. */
export const formatAddress = (address: Address): string =>
  address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;

/** True for hosts that only this machine reaches. Names other than `localhost` count as reachable. */
export const isLoopback = (host: string): boolean => {
  const name = host.toLowerCase();
  if (name === 'localhost' || name === '::1' || name === '0:0:0:0:0:0:0:1') return true;
  const mapped = /^::ffff:(\d.*)$/.exec(name)?.[1] ?? name;
  return isIpv4(mapped) && mapped.startsWith('127.');
};
