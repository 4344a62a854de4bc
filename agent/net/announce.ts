/**
 * Tells the outside what the agent is at: systemd (sd_notify.ts) and the file of `cse.mesh.readinessFile`, which is there exactly while
 * the agent is ready.
 *
 * READY=1 once the listeners are open, rules or not: a machine must boot without its control plane, and `mesh-agent wait` is for who
 * needs more. STATUS= whenever readiness changes. WATCHDOG=1 only through {@link Announcer.alive}, which whoever watches the agent
 * calls when that has given a sign of life.
 *
 * @example
 * ```ts ignore
 * const announcer = openAnnouncer(config, log);
 * announcer.listening();
 * announcer.readiness({ ready: true, text: "ready" });
 * await announcer.close();
 * ```
 */
import type { Readiness } from "../admin/readiness.ts";
import { diagnostic, formatDiagnostic } from "../core/diagnostics.ts";
import type { Log } from "../core/ports.ts";
import { openSystemd, type Systemd } from "./sd_notify.ts";

export interface Announcer {
  /** The listeners are open. */
  listening(): void;
  readiness(readiness: Readiness): void;
  /** Settings and rules are being read again, until {@link reloaded}. */
  reloading(): void;
  reloaded(): void;
  /** The agent is not stuck. */
  alive(): void;
  stopping(): void;
  /** What systemd expects between two signs of life, ms; undefined = it watches nothing. */
  readonly watchdogMs: number | undefined;
  /** Removes the file, too. */
  close(): Promise<void>;
}

export interface AnnouncerOptions {
  readonly readinessFile: string;
  readonly log: Log;
  /** NOTIFY_SOCKET, RUNTIME_DIRECTORY, WATCHDOG_USEC, WATCHDOG_PID. */
  readonly env: (name: string) => string | undefined;
  /** Of the process that systemd started. */
  readonly pid: number;
}

export function openAnnouncer({ readinessFile, log, env, pid }: AnnouncerOptions): Announcer {
  const runtime = (env("RUNTIME_DIRECTORY") ?? "").split(":").filter((path) => path !== "");
  const systemd = openSystemd(env("NOTIFY_SOCKET"), [...runtime, "/tmp"], log);
  const file = readinessFile === "" ? undefined : new ReadinessFile(readinessFile, log);
  let text = "";
  let listens = false;
  let stops = false;
  return {
    listening() {
      if (listens || stops) return;
      listens = true;
      systemd?.tell("READY=1", `STATUS=${text}`);
    },
    readiness(next) {
      file?.set(next);
      if (next.text === text) return;
      text = next.text;
      systemd?.tell(`STATUS=${text}`);
    },
    reloading() {
      if (!stops) systemd?.tell("RELOADING=1", ...monotonicLine());
    },
    reloaded() {
      if (!stops) systemd?.tell("READY=1");
    },
    alive: () => systemd?.tell("WATCHDOG=1"),
    stopping() {
      if (stops) return;
      stops = true;
      systemd?.tell("STOPPING=1");
    },
    watchdogMs: watchdogMs(systemd, env, pid),
    async close() {
      file?.set({ ready: false, text: "ended" });
      await systemd?.close();
    },
  };
}

function watchdogMs(
  systemd: Systemd | undefined,
  env: AnnouncerOptions["env"],
  pid: number,
): number | undefined {
  const ms = Number(env("WATCHDOG_USEC")) / 1000;
  const ours = env("WATCHDOG_PID") ?? String(pid);
  return systemd !== undefined && ms > 0 && ours === String(pid) ? ms : undefined;
}

/**
 * For Type=notify-reload: systemd takes the message when this is not before its signal. The runtime tells CLOCK_BOOTTIME in whole
 * seconds, rounded up as sysinfo(2) does, which is never behind CLOCK_MONOTONIC.
 */
function monotonicLine(): string[] {
  try {
    return [`MONOTONIC_USEC=${Deno.osUptime() * 1_000_000}`];
  } catch {
    return [];
  }
}

/** There while the agent is ready. A failure is told once, until it works again. */
class ReadinessFile {
  readonly #path: string;
  readonly #log: Log;
  #ready: boolean | undefined;

  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
    // Of an agent that was killed.
    this.set({ ready: false, text: "" });
  }

  set({ ready, text }: Readiness): void {
    if (ready === this.#ready) return;
    this.#ready = ready;
    try {
      if (ready) Deno.writeTextFileSync(this.#path, `${text}\n`);
      else Deno.removeSync(this.#path);
    } catch (error) {
      if (!ready && error instanceof Deno.errors.NotFound) return;
      const state = error instanceof Error ? error.message.replace(/:? ?\(os error.*$/, "") : String(error);
      const verb = ready ? "write" : "remove";
      const message =
        `Cannot ${verb} the readiness file "${this.#path}": ${state}; want a directory that is written to`;
      const where = { kind: "setting", field: "cse.mesh.readinessFile" };
      this.#log.log("warn", formatDiagnostic(diagnostic("N121", message, where)));
    }
  }
}
