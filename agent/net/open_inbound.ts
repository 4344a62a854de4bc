/** Listens for inbound traffic: service ports of the settings, and later those of a control plane (proxy/inbound.ts). */
import type { StreamAddress } from "../core/ports.ts";
import { type InboundOptions, type RunningInbound, startInbound } from "../proxy/inbound.ts";
import { listenTcp } from "./listen.ts";
import { listenError } from "./listen_error.ts";
import type { ReadGate } from "./read_gate.ts";

export interface OpenInbound {
  readonly inbound: RunningInbound;
  /** Of the service ports of the settings, in their order. */
  readonly addresses: readonly StreamAddress[];
}

/** Throws MeshError N101 to N103 when a port of the settings cannot be had, S103 for a check that cannot be made. */
export function openInbound(options: Omit<InboundOptions, "listen">, gate: ReadGate | null): OpenInbound {
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
    const { servicePorts = [] } = options.config.inbound ?? {};
    return { inbound, addresses: servicePorts.map((port) => inbound.open(port, "settings")) };
  } catch (error) {
    inbound.close();
    throw error;
  }
}
