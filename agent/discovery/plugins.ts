/**
 * The list of sources of rules. A new source is one file in this folder and one entry here; option validation, help, status
 * and tests iterate over the list. Loading it loads no source.
 *
 * In: the `serviceDiscovery.type` of the settings. Out: the plugin that serves it.
 *
 * @example
 * ```ts ignore
 * const { start } = await pluginOf("file").load();
 * const source = start(input);
 * ```
 */
import type { SourceType } from "../settings/types.ts";
import type { DiscoveryPlugin } from "./types.ts";

/** Sorted by type. */
export const PLUGINS: readonly DiscoveryPlugin[] = [
  {
    type: "file",
    summary: "a directory of Istio YAML, watched",
    load: () => import("./file.ts"),
  },
  {
    type: "pilot",
    summary: "Pilot of Istio up to 1.0, xDS v1 over HTTP",
    load: () => import("./pilot.ts"),
  },
  {
    type: "pilotv2",
    summary: "Pilot of Istio 0.8 to 1.10, xDS v2 over gRPC",
    load: () => import("./pilotv2.ts"),
  },
  {
    type: "pilotv3",
    summary: "istiod (Istio 1.8 and later), xDS v3 over gRPC",
    load: () => import("./pilotv3.ts"),
  },
];

export function pluginOf(type: SourceType): DiscoveryPlugin {
  return PLUGINS.find((plugin) => plugin.type === type) as DiscoveryPlugin;
}
