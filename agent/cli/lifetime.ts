/** Keeps a running agent alive until a signal ends it. */
import type { RunningAgent } from "../agent.ts";
import { diagnostic, formatDiagnostic } from "../core/diagnostics.ts";
import type { Log } from "../core/ports.ts";
import type { Announcer } from "../net/announce.ts";
import { systemClock } from "../net/clock.ts";
import { surviveRejections } from "../net/survive.ts";
import type { AgentConfig } from "../settings/types.ts";
import type { ExitCode } from "./command.ts";
import { onSignals } from "./signals.ts";

export interface LifetimeOptions {
  readonly log: Log;
  /** Rereads the settings on SIGHUP; undefined when they cannot be used (already told). */
  readonly reread?: () => Promise<AgentConfig | undefined>;
  /** Is closed at the end. Signs of life come from this process itself, whose event loop is the agent's. */
  readonly announcer?: Announcer;
  /** Ends it as the first signal does. */
  readonly quit?: Promise<void>;
  /** Told once, when the first signal to end has come. */
  readonly onEnd?: () => void;
}

/**
 * SIGTERM or SIGINT drains, a second one ends at once; SIGHUP rereads, SIGUSR1 tells the status. Resolves with 0. Takes an agent that is still starting
 * too, so that no signal finds the process without a handler; rejects as the start does.
 */
export async function untilSignal(
  starting: RunningAgent | Promise<RunningAgent>,
  options: LifetimeOptions,
): Promise<ExitCode> {
  const { log, announcer } = options;
  let signals = 0;
  let first = () => {};
  let second = () => {};
  const asked = new Promise<void>((resolve) => first = resolve);
  options.quit?.then(() => {
    log.log("info", "asked to end by POST /quitquitquit");
    first();
  });
  const insisted = new Promise<void>((resolve) => second = resolve);
  const end = () => (++signals === 1 ? first : second)();
  const hup = () => {
    // A start that fails is told by whoever awaits it below.
    Promise.resolve(starting).then((agent) => reread(agent, options)).catch((error: unknown) => {
      log.log("error", "Cannot reread", { error: error instanceof Error ? error.message : String(error) });
    });
  };
  const report = () => {
    Promise.resolve(starting).then(async (agent) =>
      log.log("info", `SIGUSR1: status\n${await agent.report()}`)
    )
      .catch(() => {});
  };
  const ignoreSignals = onSignals({ end, hangUp: hup, report });
  const ignoreRejections = surviveRejections(log);
  const stopLiving = liveOn(announcer);
  try {
    const agent = await Promise.race([starting, insisted.then(() => null)]);
    if (agent === null) return 0;
    await asked;
    announcer?.stopping();
    options.onEnd?.();
    await Promise.race([
      agent.drain(),
      insisted.then(() => {
        log.log("warn", "second signal: ending at once");
        // Not awaited: what hangs is what the user wants to be rid of.
        agent.close().catch(() => {});
      }),
    ]);
    return 0;
  } finally {
    ignoreSignals();
    ignoreRejections();
    stopLiving();
    await announcer?.close();
  }
}

/** A sign of life twice in the time that systemd expects one. */
function liveOn(announcer: Announcer | undefined): () => void {
  if (announcer?.watchdogMs === undefined) return () => {};
  const halfMs = announcer.watchdogMs / 2;
  let cancel = () => {};
  const live = () => {
    announcer.alive();
    cancel = systemClock.after(halfMs, live);
  };
  live();
  return () => cancel();
}

async function reread(agent: RunningAgent, { log, reread, announcer }: LifetimeOptions): Promise<void> {
  log.log("info", "SIGHUP: rereading settings and rules");
  announcer?.reloading();
  let keys: readonly string[];
  try {
    keys = await agent.reload(await reread?.());
  } finally {
    announcer?.reloaded();
  }
  if (keys.length > 0) {
    const message = `Cannot apply ${keys.join(", ")} while running: want a restart`;
    log.log("warn", formatDiagnostic(diagnostic("N105", message, { file: agent.config.confDirectory })));
  }
}
