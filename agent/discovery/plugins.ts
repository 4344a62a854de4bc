/**
 * The list of sources of rules. A new source is one file in this folder and one line here; option validation, help, status
 * and tests iterate over the list.
 *
 * In: the `serviceDiscovery.type` of the settings. Out: the plugin that serves it.
 *
 * @example
 * ```ts ignore
 * const plugin = pluginOf("file");
 * const source = plugin.start(input);
 * ```
 */
import type { SourceType } from "../settings/types.ts";
import { filePlugin } from "./file.ts";
import { pilotPlugin } from "./pilot.ts";
import { pilotv2Plugin } from "./pilotv2.ts";
import { pilotv3Plugin } from "./pilotv3.ts";
import type { DiscoveryPlugin } from "./types.ts";

/** Sorted by type. */
export const PLUGINS: readonly DiscoveryPlugin[] = [
  filePlugin,
  pilotPlugin,
  pilotv2Plugin,
  pilotv3Plugin,
];

export function pluginOf(type: SourceType): DiscoveryPlugin {
  return PLUGINS.find((plugin) => plugin.type === type) as DiscoveryPlugin;
}
