/** Conf directory, environment and flags -> settings: the reading that `settings/` leaves to the shell. */
import type { Diagnostic } from "../core/diagnostics.ts";
import { MeshError } from "../core/errors.ts";
import { directoryOf, joinPath } from "../core/path.ts";
import { absolutePath, shownPath } from "../net/paths.ts";
import { readSeal } from "../supervisor/seal.ts";
import { ENV_NAMES, readSettings, referencedVariables } from "../settings/read.ts";
import type { AgentConfig } from "../settings/types.ts";
import type { ParsedArgs } from "./args.ts";
import { environment } from "./environment.ts";
import { diagnosticText, type Paint } from "./terminal.ts";

export interface LoadedSettings {
  /** Absent when a diagnostic is an error. */
  readonly config?: AgentConfig;
  readonly diagnostics: readonly Diagnostic[];
  /** Text of the files read, by the names that diagnostics use. */
  readonly files: ReadonlyMap<string, string>;
}

/** Files of a conf directory that may hold settings. */
const SETTINGS_FILE = /\.ya?ml$/i;

/**
 * Reads the conf directory of `--config`, else `$CHASSIS_HOME/conf`, else `./conf`, else `fallback`. The flags --rules, --http
 * and --admin win over everything. A sealed program reads the conf directory that it was sealed for. Throws MeshError N110 when there
 * is no directory, N107 for a file in it that cannot be read, N119 for another one than the sealed.
 */
export async function loadSettings(args: ParsedArgs, fallback?: string): Promise<LoadedSettings> {
  const home = environment(["CHASSIS_HOME"]).variables.get("CHASSIS_HOME");
  const directory = await confDirectory(args.get("config"), home, fallback);
  const files = new Map<string, string>();
  for (const name of namesIn(directory)) {
    if (!SETTINGS_FILE.test(name)) continue;
    const text = readSettingsFile(joinPath(directory, name));
    if (text !== undefined) files.set(name, text);
  }
  const label = shownPath(directory);
  const rules = args.get("rules");
  const { variables, unreadable } = environment([...ENV_NAMES, ...referencedVariables(files)]);
  const { config, diagnostics } = readSettings({
    directory,
    label,
    files,
    env: variables,
    unreadable,
    flags: {
      http: args.get("http"),
      admin: args.get("admin"),
      rules: rules === undefined ? undefined : absolutePath(rules),
      namespace: args.get("namespace"),
      "service-ports": args.get("service-ports"),
      "no-isolation": args.has("no-isolation") ? "false" : undefined,
    },
  });
  const labelled = new Map([...files].map(([name, text]) => [joinPath(label, name), text]));
  return { ...(config === undefined ? {} : { config }), diagnostics, files: labelled };
}

/** In this thread, as the files: each reading beside it starts one of its own, and traffic is elsewhere. */
function namesIn(directory: string): string[] {
  const names: string[] = [];
  try {
    for (const { name } of Deno.readDirSync(directory)) names.push(name);
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) throw lockedDirectory(directory, error);
    throw error;
  }
  return names;
}

function lockedDirectory(path: string, cause: Error): MeshError {
  return new MeshError(
    "N107",
    `Cannot read the conf directory "${
      shownPath(path)
    }": permission denied; want one that the agent's user may read`,
    {
      cause,
      hint:
        "Let its user or group read the directory and enter those above it, or start the agent as another user.",
    },
  );
}

/** Undefined for what is no file. Throws MeshError N107 for a file that cannot be read. */
function readSettingsFile(path: string): string | undefined {
  try {
    // Follows links: a mounted ConfigMap gives them.
    return Deno.statSync(path).isFile ? Deno.readTextFileSync(path) : undefined;
  } catch (error) {
    const state = error instanceof Deno.errors.NotFound
      ? "it is a link that leads nowhere"
      : error instanceof Deno.errors.PermissionDenied
      ? "permission denied"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new MeshError("N107", `Cannot read "${shownPath(path)}": ${state}; want a readable file`, {
      hint: "Mend the file or the link, or take it out of the conf directory.",
    });
  }
}

async function confDirectory(
  given: string | undefined,
  home: string | undefined,
  fallback: string | undefined,
): Promise<string> {
  const seal = await readSeal();
  if (seal !== undefined) {
    if (given === undefined || given === seal.conf || directoryOf(given) === seal.conf) return seal.conf;
    throw new MeshError(
      "N119",
      `Cannot start from "${given}": this program is sealed for "${seal.conf}"; want that one`,
    );
  }
  const candidates = given !== undefined
    ? [given]
    : [...(home === undefined || home === "" ? [] : [joinPath(home, "conf")]), "conf"];
  for (const candidate of candidates) {
    const path = absolutePath(candidate);
    try {
      const { isFile } = Deno.statSync(path);
      return isFile ? directoryOf(path) : path;
    } catch (error) {
      if (error instanceof Deno.errors.PermissionDenied) throw lockedDirectory(path, error);
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) throw error;
    }
  }
  if (given === undefined && fallback !== undefined) return fallback;
  const tried = candidates.map((c) => `"${c}"`).join(", ");
  throw new MeshError(
    "N110",
    `Cannot start from ${tried}: there is no such conf directory; want one with chassis.yaml`,
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
