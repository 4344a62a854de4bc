/**
 * The worker: one agent, told by messages (messages.ts) what a process is told by arguments and signals. An entry point of its own:
 * nothing imports it, the supervisor starts it by its URL.
 */
import { type RunningAgent, startAgent } from "../agent.ts";
import { diagnostic, formatDiagnostic } from "../core/diagnostics.ts";
import { MeshError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { systemClock } from "../net/clock.ts";
import { releaseGarbage } from "../net/collect_garbage.ts";
import { createLog } from "../net/log.ts";
import { releaseWhenQuiet } from "../net/release_when_quiet.ts";
import { surviveRejections } from "../net/survive.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

/** A worker's own global, which the types of a main program do not have. */
interface WorkerScope extends EventTarget {
  postMessage(message: FromWorker): void;
}

/** After the start, ms. */
const SETTLE_MS = 1000;

const scope = globalThis as unknown as WorkerScope;
const say = (message: FromWorker): void => scope.postMessage(message);

let starting: Promise<RunningAgent> | undefined;
let log: Log | undefined;

scope.addEventListener("message", (event) => {
  hear((event as MessageEvent<ToWorker>).data).catch((error: unknown) => die(error));
});
scope.addEventListener("error", (event) => {
  // Otherwise the runtime prints it, too.
  event.preventDefault();
  die((event as ErrorEvent).error);
});

async function hear(message: ToWorker): Promise<void> {
  switch (message.type) {
    case "start":
      return await start(message);
    case "reload":
      try {
        return await reload(message);
      } finally {
        say({ type: "reloaded" });
      }
    case "drain":
      await (await starting)?.drain();
      return say({ type: "drained" });
    case "report": {
      const agent = await starting;
      if (agent !== undefined) log?.log("info", `SIGUSR1: status\n${await agent.report()}`);
      return;
    }
    case "ping":
      return say({ type: "pong" });
  }
}

async function start({ config, log: options, scope }: ToWorker & { type: "start" }): Promise<void> {
  log = createLog(options);
  surviveRejections(log);
  starting = startAgent(config, {
    log,
    scope,
    onReadiness: (readiness) => say({ type: "readiness", readiness }),
    onQuit: () => say({ type: "quit" }),
  });
  // Told below.
  starting.catch(() => {});
  try {
    const agent = await starting;
    if (agent.world.current.revision === 0) {
      log.log("warn", "no rules are in yet: requests are answered 503 (not synced) until they are");
    }
    // Of reading settings, rules and the schema; later, and only when nobody waits for the 20 ms.
    systemClock.after(SETTLE_MS, () => {
      if (agent.observer.totals().inFlight === 0) releaseGarbage();
    });
    releaseWhenQuiet({
      clock: systemClock,
      totals: () => agent.observer.totals(),
      used: () => Deno.memoryUsage().heapUsed,
      release: releaseGarbage,
    });
    say({
      type: "started",
      listening: {
        http: agent.httpAddress,
        grpc: agent.grpcAddress,
        admin: agent.adminAddress,
        tcp: agent.tcpAddresses,
        inbound: agent.inboundAddresses,
      },
    });
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    const { code, message, hint } = error;
    say({ type: "refused", code, message, hint });
  }
}

async function reload({ config, restart }: ToWorker & { type: "reload" }): Promise<void> {
  const agent = await starting;
  if (agent === undefined) return;
  agent.needsRestart(restart);
  const keys = await agent.reload(config);
  const file = agent.config.confDirectory;
  if (keys.length > 0) {
    const message = `Cannot apply ${keys.join(", ")} while running: want a restart`;
    log?.log("warn", formatDiagnostic(diagnostic("N105", message, { file })));
  }
}

function die(error: unknown): void {
  say({ type: "died", reason: error instanceof Error ? error.stack ?? error.message : String(error) });
}
