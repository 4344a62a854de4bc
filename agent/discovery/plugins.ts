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
import { MeshError } from "../core/errors.ts";
import type { SourceType } from "../settings/types.ts";
import { filePlugin } from "./file.ts";
import { pilotv2Plugin } from "./pilotv2.ts";
import { pilotv3Plugin } from "./pilotv3.ts";
import type { DiscoveryPlugin } from "./types.ts";

/** Sorted by type. */
export const PLUGINS: readonly DiscoveryPlugin[] = [
  filePlugin,
  comesLater("pilot", "Istio Pilot 0.8, REST v1", "the v1 discovery client"),
  pilotv2Plugin,
  pilotv3Plugin,
];

/** The plugin of this type. Throws MeshError D106 when it cannot be used yet. */
export function pluginOf(type: SourceType): DiscoveryPlugin {
  const plugin = PLUGINS.find((p) => p.type === type) as DiscoveryPlugin;
  if (plugin.comesWith !== undefined) throw notYet(plugin);
  return plugin;
}

function comesLater(type: SourceType, summary: string, comesWith: string): DiscoveryPlugin {
  const plugin: DiscoveryPlugin = {
    type,
    summary,
    comesWith,
    start() {
      throw notYet(plugin);
    },
  };
  return plugin;
}

function notYet({ type, comesWith }: DiscoveryPlugin): MeshError {
  return new MeshError(
    "D106",
    `Cannot use serviceDiscovery.type "${type}": it comes with ${comesWith}; want file`,
  );
}
