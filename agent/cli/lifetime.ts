/** Keeps a running agent alive until a signal ends it. */
import type { RunningAgent } from "../agent.ts";
import { diagnostic, formatDiagnostic } from "../core/diagnostics.ts";
import type { Log } from "../core/ports.ts";
import type { AgentConfig } from "../settings/types.ts";
import type { ExitCode } from "./command.ts";

export interface LifetimeOptions {
  readonly log: Log;
  /** Rereads the settings on SIGHUP; undefined when they cannot be used (already told). */
  readonly reread?: () => Promise<AgentConfig | undefined>;
  /** Told once, when the first signal to end has come. */
  readonly onEnd?: () => void;
}

/**
 * SIGTERM or SIGINT drains, a second one ends at once; SIGHUP rereads. Resolves with 0. Takes an agent that is still starting
 * too, so that no signal finds the process without a handler; rejects as the start does.
 */
export async function untilSignal(
  starting: RunningAgent | Promise<RunningAgent>,
  options: LifetimeOptions,
): Promise<ExitCode> {
  const { log } = options;
  let signals = 0;
  let first = () => {};
  let second = () => {};
  const asked = new Promise<void>((resolve) => first = resolve);
  const insisted = new Promise<void>((resolve) => second = resolve);
  const end = () => (++signals === 1 ? first : second)();
  const hup = () => {
    // A start that fails is told by whoever awaits it below.
    Promise.resolve(starting).then((agent) => reread(agent, options)).catch((error: unknown) => {
      log.log("error", "Cannot reread", { error: error instanceof Error ? error.message : String(error) });
    });
  };
  // A mistake in one request must not take the others down.
  const survive = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    const { reason } = event;
    log.log("error", "a task failed; the agent goes on", {
      error: reason instanceof Error ? reason.stack ?? reason.message : String(reason),
    });
  };

  Deno.addSignalListener("SIGTERM", end);
  Deno.addSignalListener("SIGINT", end);
  Deno.addSignalListener("SIGHUP", hup);
  globalThis.addEventListener("unhandledrejection", survive);
  try {
    const agent = await Promise.race([starting, insisted.then(() => null)]);
    if (agent === null) return 0;
    await asked;
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
    Deno.removeSignalListener("SIGTERM", end);
    Deno.removeSignalListener("SIGINT", end);
    Deno.removeSignalListener("SIGHUP", hup);
    globalThis.removeEventListener("unhandledrejection", survive);
  }
}

async function reread(agent: RunningAgent, { log, reread }: LifetimeOptions): Promise<void> {
  log.log("info", "SIGHUP: rereading settings and rules");
  const next = await reread?.();
  const keys = await agent.reload(next);
  if (keys.length > 0) {
    const message = `Cannot apply ${keys.join(", ")} while running: want a restart`;
    log.log("warn", formatDiagnostic(diagnostic("N105", message, { file: agent.config.confDirectory })));
  }
}
