/** pilotv2: services and rules from Pilot 0.8 to istiod 1.10, one ADS stream of xDS v2. */
import { startAds } from "./ads.ts";
import type { DiscoveryPlugin } from "./types.ts";

export const pilotv2Plugin: DiscoveryPlugin = {
  type: "pilotv2",
  summary: "Pilot of Istio 0.8 to 1.10, xDS v2 over gRPC",
  start: (input) =>
    startAds(input, { generation: "v2", name: "pilotv2", addresses: input.config.discovery.addresses }),
};
