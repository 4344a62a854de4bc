/** Why an address cannot be listened on, in words of the settings. */
import type { Code } from "../core/codes.ts";
import { MeshError } from "../core/errors.ts";
import type { StreamAddress } from "../core/ports.ts";

/** What helps with a service port; with the others it is a listenAddress. */
const SERVICE_PORT_HINTS: Readonly<Partial<Record<Code, string>>> = {
  N101:
    "Let the application listen on 127.0.0.1 only (on 0.0.0.0 it takes INSTANCE_IP, too), or choose another port.",
  N102: "Set INSTANCE_IP to an address of this machine.",
  N103: "Choose a service port of at least 1024, or give the agent CAP_NET_BIND_SERVICE.",
};

/** `protocol` as in `cse.protocols.NAME.listenAddress`, or `service port`. */
export function listenError(protocol: string, { hostname, port }: StreamAddress, error: unknown): unknown {
  const what = `Cannot listen on "${
    hostname.includes(":") ? `[${hostname}]` : hostname
  }:${port}" (${protocol})`;
  const told = (code: Code, state: string): MeshError => {
    const hint = protocol === "service port" ? SERVICE_PORT_HINTS[code] : undefined;
    return new MeshError(code, `${what}: ${state}`, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    });
  };
  if (error instanceof Deno.errors.AddrInUse) {
    return told("N101", "another program has the port; want a free one");
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return told("N102", "this machine has no such address; want one of its own");
  }
  if (error instanceof Deno.errors.PermissionDenied && port < 1024) {
    return told(
      "N103",
      "ports below 1024 are for root and CAP_NET_BIND_SERVICE; want that capability, or another port",
    );
  }
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return told("N103", "permission denied; want a port that the agent may bind");
  }
  return error;
}
