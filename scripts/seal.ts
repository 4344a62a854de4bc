/** What `deno task compile --sealed DIR` bakes in: the rights of the settings in DIR, as `mesh-agent permissions` prints them. */
import { parseArgs, type ParsedArgs } from "../agent/cli/args.ts";
import { loadSettings, settingsText } from "../agent/cli/load_settings.ts";
import { createPaint } from "../agent/cli/terminal.ts";
import { type Seal, sealOf } from "../agent/supervisor/seal.ts";
import { readFacts } from "../agent/supervisor/facts.ts";
import { scopeOf } from "../agent/supervisor/scope.ts";
import { BUNDLE } from "./bundle.ts";

type Permission = boolean | readonly string[] | undefined;

/**
 * The seal for a conf directory, of a program called `name`. Variables of this process count as they would at a start. Throws with the
 * findings when the settings have errors.
 */
export async function sealFor(directory: string, name: string): Promise<Seal> {
  const args = parseArgs(["--config", directory], [{ name: "config", value: "DIR", help: "" }]) as ParsedArgs;
  const { config, diagnostics, files } = await loadSettings(args);
  if (config === undefined) throw new Error(settingsText(diagnostics, createPaint(false), files));
  if (!config.isolation) {
    throw new Error("cse.mesh.isolation is false there; want the settings of an isolated agent");
  }
  // Where the program will find itself: the runtime lays it there by its name.
  const worker = new URL(`file:///tmp/deno-compile-${name}/${BUNDLE}/agent/supervisor/worker.js`);
  const seal = sealOf(config.confDirectory, scopeOf(config, await readFacts(config, worker)));
  if (config.readinessFile === "") return seal;
  const { runtime } = seal;
  return { ...seal, runtime: { ...runtime, write: [...runtime.write, config.readinessFile] } };
}

/**
 * `permissions.default` of deno.json in the bounds of a seal: network, files and writing are the seal's; variables are those that
 * settings come from, too, which the supervisor reads and the agent's worker does not.
 */
export function sealedFlags(
  { runtime }: Seal,
  set: Readonly<Record<string, Permission>>,
): Record<string, Permission> {
  const names = Array.isArray(set["env"]) ? set["env"] as string[] : [];
  return {
    net: runtime.net,
    read: runtime.read,
    write: runtime.write,
    env: [...new Set([...names, ...runtime.env])].sort(),
  };
}
