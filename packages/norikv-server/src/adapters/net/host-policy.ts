// Which `Host` and `Origin` a request may name. A page of another site must not reach a node on its reader's machine, not
// even by a name that its owner lets resolve to 127.0.0.1 (DNS rebinding). So a host must be known here: a loopback name,
// the address listened on, or one that the configuration allows. An IP address cannot be rebound, so a node that listens
// on all addresses accepts any. An `Origin` must be the host itself: there is no CORS.
import { isIP } from 'node:net';

/** Decides on `Host` and `Origin` headers. */
export class HostPolicy {
  readonly #names: ReadonlySet<string>;
  readonly #anyAddress: boolean;

  /**
   * @param boundHost address listened on, without brackets
   * @param allowedHosts further host names, lower case, without port
   */
  constructor(boundHost: string, allowedHosts: readonly string[]) {
    this.#names = new Set(['localhost', '127.0.0.1', '::1', boundHost.toLowerCase(), ...allowedHosts]);
    this.#anyAddress = boundHost === '0.0.0.0' || boundHost === '::';
  }

  /** Why a request with these headers is refused; undefined if it is not. */
  refuse(host: string | undefined, origin: string | undefined): string | undefined {
    if (host === undefined) return 'The request has no Host header';
    if (!this.#allows(hostName(host))) {
      return `Host '${host}' is not one of this node; use its address, or add the name to allowed_hosts`;
    }
    if (origin === undefined || origin.toLowerCase() === `http://${host.toLowerCase()}`) return undefined;
    return `Origin '${origin}' is not this node's: requests from other sites are refused`;
  }

  /** The same for ports that serve programs under any name: only what a browser sends (it names an Origin) is checked. */
  refuseBrowser(host: string | undefined, origin: string | undefined): string | undefined {
    return origin === undefined ? undefined : this.refuse(host, origin);
  }

  #allows(name: string): boolean {
    return this.#names.has(name) || (this.#anyAddress && isIP(name) !== 0);
  }
}

/** Host name of a `Host` header: lower case, without port and brackets. */
const hostName = (host: string): string => {
  const lower = host.toLowerCase();
  if (lower.startsWith('[')) return lower.slice(1, Math.max(1, lower.indexOf(']')));
  const colon = lower.indexOf(':');
  return colon < 0 ? lower : lower.slice(0, colon);
};
