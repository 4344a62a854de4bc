/** Ports of a DiscoveryInput for sources that never ask a control plane: asking is a failure of the test. */
import type { DiscoveryInput } from "../../agent/discovery/types.ts";

export const OFFLINE_PORTS: Pick<
  DiscoveryInput,
  "openTransport" | "openHttpClient" | "resolver" | "rng" | "yieldTurn"
> = {
  openTransport: () => Promise.reject(new Error("this source asks no control plane")),
  openHttpClient: () => Promise.reject(new Error("this source asks no control plane")),
  resolver: { resolve: () => Promise.reject(new Error("this source resolves no name")) },
  rng: () => 0.5,
  yieldTurn: () => Promise.resolve(),
};
