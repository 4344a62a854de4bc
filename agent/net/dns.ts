/** Names to addresses by the system's settings (search list, ndots, /etc/hosts). */
import { normalAddress } from "../core/ip.ts";
import type { Resolver } from "../core/ports.ts";

export const systemResolver: Resolver = {
  async resolve(hostname) {
    if (normalAddress(hostname) !== undefined) return [hostname];
    // RFC 6761: these never leave the machine, whatever a name server says.
    if (hostname === "localhost" || hostname.endsWith(".localhost")) return ["127.0.0.1"];
    const [v4, v6] = await Promise.allSettled([
      Deno.resolveDns(hostname, "A"),
      Deno.resolveDns(hostname, "AAAA"),
    ]);
    const addresses = [
      ...(v4.status === "fulfilled" ? v4.value : []),
      ...(v6.status === "fulfilled" ? v6.value : []),
    ];
    if (addresses.length > 0) return addresses;
    throw v4.status === "rejected" ? v4.reason : new Error(`no address for ${hostname}`);
  },
};
