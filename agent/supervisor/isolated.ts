/**
 * `run` with isolation: settings -> scope -> one worker that has these rights and no others, kept alive.
 *
 * In: the settings of a process that has listened to nothing itself. Out: a {@link Supervisor}.
 *
 * @example
 * ```ts ignore
 * const supervisor = runIsolated(config, { log, logOptions: { level: "info", format: "text" }, reread });
 * Deno.exit(await supervisor.ended);
 * ```
 */
import { diagnostic, formatDiagnostic } from "../core/diagnostics.ts";
import type { Log } from "../core/ports.ts";
import { systemClock } from "../net/clock.ts";
import { releaseGarbage } from "../net/collect_garbage.ts";
import type { Announcer } from "../net/announce.ts";
import type { LogOptions } from "../net/log.ts";
import { restartText } from "../net/rights.ts";
import type { AgentConfig } from "../settings/types.ts";
import { readFacts } from "./facts.ts";
import type { FromWorker } from "./messages.ts";
import { type Scope, scopeChange, scopeOf } from "./scope.ts";
import { spawnWorker } from "./spawn.ts";
import { supervise, type Supervisor } from "./supervise.ts";

export interface IsolatedOptions {
  readonly log: Log;
  readonly logOptions: Pick<LogOptions, "level" | "format">;
  readonly announcer: Announcer;
  /** Undefined when the settings cannot be used (already told). */
  readonly reread: () => Promise<AgentConfig | undefined>;
  /** This process has just the rights of the settings, and the worker has them by inheritance. Default: false. */
  readonly sealed?: boolean;
  /** Entry point of the worker; default: worker.ts. */
  readonly worker?: URL;
}

/** To be cloned: the places of settings are looked for when they are read (50 ms, 8 MB), and the agent reads none. */
function withoutPlaces(config: AgentConfig): AgentConfig {
  const origins = [...config.origins].map(([key, { value, from }]) =>
    [key, { value, from, where: {} }] as const
  );
  return { ...config, origins: new Map(origins) };
}

const NO_NAME_SERVER = diagnostic(
  "N115",
  "Cannot resolve names that /etc/hosts does not have: there is no name server in /etc/resolv.conf; want one",
  { file: "/etc/resolv.conf" },
);

/** Where this process itself may not write, and so no worker of its: told, and the agent works on without a cache. */
function withCache(config: AgentConfig, log: Log): AgentConfig {
  const { cacheDir } = config;
  if (cacheDir === "") return config;
  if (Deno.permissions.querySync({ name: "write", path: cacheDir }).state === "granted") return config;
  const message =
    `Cannot keep the rules in "${cacheDir}": the agent was started without the right to write there`;
  log.log("warn", formatDiagnostic(diagnostic("D241", message, { file: cacheDir })));
  return { ...config, cacheDir: "" };
}

/** Never rejects by itself; see {@link Supervisor.ended}. */
export function runIsolated(config: AgentConfig, options: IsolatedOptions): Supervisor {
  const { log, logOptions, announcer, reread } = options;
  let scope: Scope | undefined;
  return supervise({
    config,
    log,
    clock: systemClock,
    announcer,
    async spawn(given, hear) {
      const config = withCache(given, log);
      const facts = await readFacts(config, options.worker);
      if (facts.nameservers.length === 0) log.log("warn", formatDiagnostic(NO_NAME_SERVER));
      scope = scopeOf(config, facts);
      const { guard, net, roots, runtime } = scope;
      const report = { isolated: true, guard, net, read: runtime.read };
      const start = {
        type: "start",
        config: withoutPlaces(config),
        log: logOptions,
        scope: { net, roots, report },
      } as const;
      const heard = (message: FromWorker): void => {
        hear(message);
        // From here on this isolate only waits.
        if (message.type === "started") releaseGarbage();
      };
      return spawnWorker(scope, start, heard, options);
    },
    async reread() {
      const next = await reread();
      if (next === undefined) return undefined;
      const config = withoutPlaces(next);
      if (scope === undefined) return { config, restart: [] };
      const restart = scopeChange(scope, scopeOf(next, await readFacts(next, options.worker)));
      if (restart.length > 0) log.log("warn", restartText(restart, next.confDirectory));
      return { config, restart };
    },
  });
}
