// Addresses as text: `host:port`, IPv6 in brackets.
import { SwimError } from './errors.js';

/** An address in its parts. */
export interface HostPort {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

const PATTERN = /^(?:\[([^[\]]+)\]|([^[\]:]+)):(\d{1,5})$/;

/**
 * Takes `host:port` or `[v6]:port` apart.
 * @param what named in the error
 * @throws SwimError SWIM_INVALID_OPTION
 */
export function parseHostPort(text: string, what: string): HostPort {
  const [, bracketed, plain, digits] = PATTERN.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port > 65_535) {
    const wanted = 'must be host:port, with an IPv6 address in brackets and a port up to 65535';
    throw new SwimError('SWIM_INVALID_OPTION', `${what} ${wanted}, not ${JSON.stringify(text)}.`);
  }
  return { host, port };
}

/** The opposite of {@link parseHostPort}. */
export function formatHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
