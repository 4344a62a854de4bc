/** Names to addresses by the system's settings (search list, ndots, /etc/hosts). */
import { normalAddress } from "../core/ip.ts";
import type { Resolver } from "../core/ports.ts";

/** As {@link Resolver.resolve}; `signal` gives the question up. */
export async function resolveName(hostname: string, signal?: AbortSignal): Promise<readonly string[]> {
  if (normalAddress(hostname) !== undefined) return [hostname];
  // RFC 6761: these never leave the machine, whatever a name server says.
  if (hostname === "localhost" || hostname.endsWith(".localhost")) return ["127.0.0.1"];
  const options = signal === undefined ? {} : { signal };
  const [v4, v6] = await Promise.allSettled([
    Deno.resolveDns(hostname, "A", options),
    Deno.resolveDns(hostname, "AAAA", options),
  ]);
  const addresses = [
    ...(v4.status === "fulfilled" ? v4.value : []),
    ...(v6.status === "fulfilled" ? v6.value : []),
  ];
  if (addresses.length > 0) return addresses;
  throw v4.status === "rejected" ? v4.reason : new Error(`no address for ${hostname}`);
}

export const systemResolver: Resolver = { resolve: (hostname) => resolveName(hostname) };
