/** `doctor`: whether the settings can be read, and whether this runtime can do what they need. */
import { requireCapabilities } from "../net/capabilities.ts";
import { shownPath } from "../net/paths.ts";
import type { AgentConfig } from "../settings/types.ts";
import type { ParsedArgs } from "./args.ts";
import { type Check, ofDiagnostics, ofError, ok } from "./check_line.ts";
import { loadSettings } from "./load_settings.ts";

export async function checkSettings(
  args: ParsedArgs,
): Promise<{ readonly config?: AgentConfig; readonly checks: readonly Check[] }> {
  let loaded;
  try {
    loaded = await loadSettings(args);
  } catch (error) {
    return { checks: [ofError("settings", error, "Give the conf directory with --config DIR.")] };
  }
  const { config, diagnostics } = loaded;
  const checks = ofDiagnostics("settings", diagnostics);
  if (config === undefined) return { checks };
  const { serviceDiscovery: { type, address }, confDirectory } = config;
  checks.push(ok("settings", `${shownPath(confDirectory)}: ${type} ${address}`));
  try {
    await requireCapabilities(config);
    checks.push(ok("runtime", `Deno ${Deno.version.deno} has what they need`));
  } catch (error) {
    checks.push(ofError("runtime", error, "Use Deno 2.9."));
  }
  return { config, checks };
}
