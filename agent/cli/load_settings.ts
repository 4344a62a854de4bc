/** Conf directory, environment and flags -> settings: the reading that `settings/` leaves to the shell. */
import { basename, dirname, join, relative, resolve } from "node:path";
import type { Diagnostic } from "../core/diagnostics.ts";
import { MeshError } from "../core/errors.ts";
import { readSettings } from "../settings/read.ts";
import type { AgentConfig } from "../settings/types.ts";
import type { ParsedArgs } from "./args.ts";
import { environment } from "./environment.ts";
import { diagnosticText, type Paint } from "./terminal.ts";

export interface LoadedSettings {
  /** Absent when a diagnostic is an error. */
  readonly config?: AgentConfig;
  readonly diagnostics: readonly Diagnostic[];
  /** Name -> text of the files read. */
  readonly files: ReadonlyMap<string, string>;
}

/** Files of a conf directory that may hold settings. */
const SETTINGS_FILE = /\.ya?ml$/i;

/**
 * Reads the conf directory of `--config`, else `$CHASSIS_HOME/conf`, else `./conf`, else `fallback`. The flags --rules, --http
 * and --admin win over everything. Throws MeshError N110 when there is no directory.
 */
export async function loadSettings(args: ParsedArgs, fallback?: string): Promise<LoadedSettings> {
  const env = environment();
  const directory = await confDirectory(args.get("config"), env.get("CHASSIS_HOME"), fallback);
  const files = new Map<string, string>();
  for await (const entry of Deno.readDir(directory)) {
    // A mounted ConfigMap gives links.
    if (entry.isDirectory || !SETTINGS_FILE.test(entry.name)) continue;
    files.set(entry.name, await Deno.readTextFile(join(directory, entry.name)));
  }
  const flags = new Map<string, string>();
  const set = (flag: string, key: string, value = args.get(flag)) => {
    if (value !== undefined) flags.set(key, value);
  };
  const rules = args.get("rules");
  set("rules", "servicecomb.registry.serviceDiscovery.address", rules && resolve(rules));
  set("http", "servicecomb.protocols.http.listenAddress");
  set("admin", "servicecomb.protocols.rest-admin.listenAddress");
  const { config, diagnostics } = readSettings({ directory, files, env, flags });
  return { ...(config === undefined ? {} : { config }), diagnostics, files };
}

async function confDirectory(
  given: string | undefined,
  home: string | undefined,
  fallback: string | undefined,
): Promise<string> {
  const candidates = given !== undefined
    ? [given]
    : [...(home === undefined || home === "" ? [] : [join(home, "conf")]), "conf"];
  for (const candidate of candidates) {
    const path = resolve(candidate);
    try {
      const { isFile } = await Deno.stat(path);
      return isFile ? dirname(path) : path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) throw error;
    }
  }
  if (given === undefined && fallback !== undefined) return fallback;
  const tried = candidates.map((c) => `"${c}"`).join(", ");
  throw new MeshError(
    "N110",
    `Cannot start from ${tried}: there is no such conf directory; want one with ${basename("chassis.yaml")}`,
    { hint: FIRST_RUN },
  );
}

const FIRST_RUN = [
  "To see it work without any configuration:      mesh-agent demo",
  "    To start from the example that comes along:    mesh-agent run --config config",
  "    A conf directory holds chassis.yaml, mesher.yaml, microservice.yaml and a directory rules with Istio YAML.",
].join("\n");

/** All findings in the settings as people read them. */
export function settingsText(
  diagnostics: readonly Diagnostic[],
  paint: Paint,
  files?: ReadonlyMap<string, string>,
): string {
  return diagnostics.map((d) => diagnosticText(d, paint, files)).join("\n");
}

/** `--print-config`: every key, its value and where that came from. */
export function printConfig(config: AgentConfig, json: boolean): string {
  const rows = [...config.origins].sort(([a], [b]) => a < b ? -1 : 1).map((
    [key, { value, from, where }],
  ) => ({
    key,
    value,
    from,
    where: where.file === undefined
      ? where.field ?? ""
      : `${relative(Deno.cwd(), where.file) || where.file}${
        where.line === undefined ? "" : `:${where.line}`
      }`,
  }));
  if (json) return JSON.stringify(rows, null, 2);
  const shown = rows.map((r) =>
    [r.key, text(r.value), r.where === "" ? r.from : `${r.from} ${r.where}`] as const
  );
  const widths = [0, 1].map((i) => Math.max(...shown.map((r) => (r[i] as string).length)));
  return shown.map(([key, value, origin]) =>
    `${key.padEnd(widths[0] as number)}  ${value.padEnd(Math.min(60, widths[1] as number))}  ${origin}`
  ).join("\n");
}

function text(value: unknown): string {
  return typeof value === "string" ? value === "" ? '""' : value : JSON.stringify(value) ?? "";
}
