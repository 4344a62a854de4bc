/** `run`: the agent, until a signal ends it; isolated in a worker of its own unless the settings say no. */
import type { Diagnostic } from "../core/diagnostics.ts";
import { formatDiagnostic } from "../core/diagnostics.ts";
import { MeshError } from "../core/errors.ts";
import { SYSTEMD_VARIABLES } from "../core/variables.ts";
import type { Log } from "../core/ports.ts";
import { openAnnouncer } from "../net/announce.ts";
import { createLog } from "../net/log.ts";
import { beyondSeal, readSeal, type Seal } from "../supervisor/seal.ts";
import { formatConfig, jsonConfig } from "../settings/format.ts";
import type { AgentConfig } from "../settings/types.ts";
import type { Run } from "./command.ts";
import { environment } from "./environment.ts";
import { loadSettings, settingsText } from "./load_settings.ts";
import { onSignals } from "./signals.ts";

export const run: Run = async (args, terminal) => {
  if (args.words.length > 0) {
    terminal.note(`Cannot run "${args.words[0]}": run takes flags only\n    mesh-agent run --config DIR`);
    return 2;
  }
  const { config, diagnostics, files } = await loadSettings(args);
  if (config === undefined) {
    terminal.note(settingsText(diagnostics, terminal.paint, files));
    return 2;
  }
  if (args.has("print-config")) {
    if (diagnostics.length > 0) terminal.note(settingsText(diagnostics, terminal.paint, files));
    terminal.print(
      args.has("json") ? JSON.stringify(jsonConfig(config), null, 2) : formatConfig(config).trimEnd(),
    );
    return 0;
  }
  const seal = await readSeal();
  if (seal !== undefined) await heedSeal(seal, config);
  const logOptions = { level: config.log.level, format: args.has("log-json") ? "json" : "text" } as const;
  const log = createLog(logOptions);
  tell(log, diagnostics);
  const reread = async (): Promise<AgentConfig | undefined> => {
    let next;
    try {
      next = await loadSettings(args);
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      log.log("error", `[${error.code}] ${error.message}; the old settings stay`);
      return undefined;
    }
    tell(log, next.diagnostics);
    if (next.config === undefined) log.log("error", "the settings have errors: the old ones stay");
    return next.config;
  };
  const { variables } = environment(SYSTEMD_VARIABLES);
  giveUpWriting(config, variables);
  const announcer = openAnnouncer({
    readinessFile: config.readinessFile,
    log,
    env: (name) => variables.get(name),
    pid: Deno.pid,
  });
  if (config.isolation) {
    const { runIsolated } = await import("../supervisor/isolated.ts");
    const supervisor = runIsolated(config, {
      sealed: seal !== undefined,
      log,
      logOptions,
      announcer,
      reread,
    });
    const ignore = onSignals(supervisor);
    return await supervisor.ended.finally(ignore);
  }
  const [{ startAgent }, { untilSignal }] = await Promise.all([
    import("../agent.ts"),
    import("./lifetime.ts"),
  ]);
  const quit = Promise.withResolvers<void>();
  const options = { log, onReadiness: announcer.readiness, onQuit: quit.resolve };
  const starting = startAgent(config, options).then((agent) => {
    announcer.listening();
    if (agent.world.current.revision === 0) {
      log.log("warn", "no rules are in yet: requests are answered 503 (not synced) until they are");
    }
    return agent;
  });
  return await untilSignal(starting, { log, reread, announcer, quit: quit.promise });
};

/** The right to write is for cache, readiness file and systemd. A process with all rights was meant to have them. */
export function giveUpWriting(
  { cacheDir, readinessFile }: AgentConfig,
  variables: ReadonlyMap<string, string>,
): void {
  if (cacheDir !== "" || readinessFile !== "" || variables.has("NOTIFY_SOCKET")) return;
  if (Deno.permissions.querySync({ name: "run" }).state === "granted") return;
  Deno.permissions.revokeSync({ name: "write" });
}

/** Throws MeshError N119 when the settings need more than the program was sealed with. */
async function heedSeal(seal: Seal, config: AgentConfig): Promise<void> {
  const [{ readFacts }, { scopeOf }] = await Promise.all([
    import("../supervisor/facts.ts"),
    import("../supervisor/scope.ts"),
  ]);
  const beyond = beyondSeal(seal, scopeOf(config, await readFacts(config)));
  if (beyond.length === 0) return;
  throw new MeshError(
    "N119",
    `Cannot run with these settings: they need ${beyond.slice(0, MAX_TOLD).join(", ")}${
      beyond.length > MAX_TOLD ? ` and ${beyond.length - MAX_TOLD} more` : ""
    }; want no more than this program was sealed with for "${seal.conf}"`,
  );
}

/** At most so many rights in one sentence. */
const MAX_TOLD = 10;

function tell(log: Log, diagnostics: readonly Diagnostic[]): void {
  const level = { error: "error", warning: "warn", info: "info" } as const;
  for (const d of diagnostics) log.log(level[d.severity], formatDiagnostic(d));
}
