/** pilotv2: services and rules from Pilot 0.8 to istiod 1.10, one ADS stream of xDS v2. */
import { startAds } from "./ads.ts";
import type { StartSource } from "./types.ts";

export const start: StartSource = (input) =>
  startAds(input, { generation: "v2", name: "pilotv2", addresses: input.config.discovery.addresses });
