/** Why an address cannot be listened on, in words of the settings. */
import { MeshError } from "../core/errors.ts";
import type { StreamAddress } from "../core/ports.ts";

/** `protocol` as in `cse.protocols.NAME.listenAddress`. */
export function listenError(protocol: string, { hostname, port }: StreamAddress, error: unknown): unknown {
  const what = `Cannot listen on "${
    hostname.includes(":") ? `[${hostname}]` : hostname
  }:${port}" (${protocol})`;
  if (error instanceof Deno.errors.AddrInUse) {
    return new MeshError("N101", `${what}: another program has the port; want a free one`, { cause: error });
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return new MeshError("N102", `${what}: this machine has no such address; want one of its own`, {
      cause: error,
    });
  }
  if (error instanceof Deno.errors.PermissionDenied && port < 1024) {
    return new MeshError(
      "N103",
      `${what}: ports below 1024 are for root and CAP_NET_BIND_SERVICE; want that capability, or another port`,
      { cause: error },
    );
  }
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return new MeshError("N103", `${what}: permission denied; want a port that the agent may bind`, {
      cause: error,
    });
  }
  return error;
}
