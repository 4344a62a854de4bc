/** Which addresses lead back to this agent, and which are never gone to. Addresses are compared in one normal spelling. */
import { MeshError } from "../core/errors.ts";
import { normalAddress } from "../core/ip.ts";
import type { ListenAddress } from "../settings/types.ts";

function isAny(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

function isLoopbackOrAny(address: string): boolean {
  return address.startsWith("127.") || address === "::1" || isAny(address);
}

/** 169.254.0.0/16 and fe80::/10: metadata services and neighbours, never a mesh destination. */
export function isLinkLocal(address: string): boolean {
  return address.startsWith("169.254.") || /^fe[89ab][0-9a-f]:/.test(address);
}

export class OwnAddresses {
  readonly #byPort = new Map<number, string[]>();
  /** How many there are: what was found to be none of them has to be looked at again when it grows. */
  count = 0;

  constructor(listeners: readonly ListenAddress[]) {
    for (const { hostname, port } of listeners) this.add(hostname, port);
  }

  add(hostname: string, port: number): void {
    const address = hostname === "localhost" ? "127.0.0.1" : normalAddress(hostname) ?? hostname;
    const known = this.#byPort.get(port);
    if (known?.includes(address) === true) return;
    if (known === undefined) this.#byPort.set(port, [address]);
    else known.push(address);
    this.count++;
  }

  /** A listener on every address learns from its connections which those are. */
  learn(listener: ListenAddress, local: ListenAddress): void {
    if (isAny(listener.hostname)) this.add(local.hostname, local.port);
  }

  /** Does host (a name or an address, lower-case) and port mean a listener of this agent? */
  has(host: string, port: number): boolean {
    const known = this.#byPort.get(port);
    if (known === undefined) return false;
    const address = host === "localhost" || host.endsWith(".localhost") ? "127.0.0.1" : normalAddress(host);
    if (address === undefined) return false;
    for (const own of known) {
      if (own === address) return true;
      // A listener on every address is met on each loopback address; "any" as a target means loopback.
      if (isAny(own) && isLoopbackOrAny(address)) return true;
      if (isAny(address) && isLoopbackOrAny(own)) return true;
      if (own === "127.0.0.1" && address === "::1") return true;
    }
    return false;
  }

  /** Throws unless the resolved address may be connected to. */
  check(host: string, address: string, port: number): void {
    const normal = normalAddress(address) ?? address;
    if (isLinkLocal(normal)) {
      const name = host === address ? "" : ` (of "${host}")`;
      throw new MeshError(
        "P206",
        `Cannot connect to "${address}:${port}"${name}: it is a link-local address; wanted is a routable one`,
      );
    }
    if (this.has(normal, port)) {
      throw new MeshError(
        "P205",
        `Cannot forward to "${host}:${port}": that is a listener of this agent; wanted is another host`,
      );
    }
  }
}
