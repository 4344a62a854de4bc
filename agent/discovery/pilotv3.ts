/** pilotv3: services and rules from istiod (Istio 1.8 and later), one ADS stream of xDS v3; deltas unless switched off. */
import { startAds } from "./ads.ts";
import type { StartSource } from "./types.ts";

export const start: StartSource = (input) =>
  startAds(input, { generation: "v3", name: "pilotv3", addresses: input.config.discovery.addresses });
