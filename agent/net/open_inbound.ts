/** Listens for inbound traffic: service ports of the settings, and later those of a control plane (proxy/inbound.ts). */
import { type InboundOptions, type RunningInbound, startInbound } from "../proxy/inbound.ts";
import { listenTcp } from "./listen.ts";
import { listenError } from "./listen_error.ts";
import type { ReadGate } from "./read_gate.ts";

/** Throws MeshError N101 to N103 when a port of the settings cannot be had, S103 for a check that cannot be made. */
export function openInbound(options: Omit<InboundOptions, "listen">, gate: ReadGate | null): RunningInbound {
  const inbound = startInbound({
    ...options,
    listen(address) {
      try {
        return listenTcp(address, gate);
      } catch (error) {
        throw listenError("service port", address, error);
      }
    },
  });
  try {
    for (const port of options.config.inbound?.servicePorts ?? []) inbound.open(port, "settings");
  } catch (error) {
    inbound.close();
    throw error;
  }
  return inbound;
}
