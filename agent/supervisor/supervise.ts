/**
 * Keeps an agent alive in a worker of its own: starts it, passes signals on, starts it again when it dies, ends with it.
 *
 * In: a way to spawn workers, a clock, a log. Out: an exit code, or the MeshError of an agent that could not start. A dead
 * worker is replaced after 100 ms, then 200 ms, up to 5 s; when it has died more than {@link MAX_DEATHS} times within
 * {@link DEATHS_WITHIN_MS} the process ends with the reason (N111). A worker that answers no ping for {@link SILENT_MS} hangs, and
 * is killed and replaced as well. Each answer is a sign of life for systemd, too: the supervisor alone gives none.
 *
 * @example
 * ```ts ignore
 * const supervisor = supervise({ config, log, clock: systemClock, spawn, reread });
 * Deno.addSignalListener("SIGTERM", supervisor.end);
 * Deno.exit(await supervisor.ended);
 * ```
 */
import { MeshError } from "../core/errors.ts";
import type { Clock, Log } from "../core/ports.ts";
import type { Announcer } from "../net/announce.ts";
import type { AgentConfig } from "../settings/types.ts";
import type { FromWorker, Listening, ToWorker } from "./messages.ts";

export interface WorkerLink {
  post(message: ToWorker): void;
  /** Ends it at once; nothing is heard of it any more. */
  terminate(): void;
}

export interface SuperviseOptions {
  readonly config: AgentConfig;
  readonly log: Log;
  readonly clock: Clock;
  /** Is closed when the agent has ended. */
  readonly announcer: Announcer;
  /** Starts a worker with the rights that `config` needs and has it start the agent. May throw MeshError. */
  readonly spawn: (config: AgentConfig, hear: (message: FromWorker) => void) => Promise<WorkerLink>;
  /** Rereads the settings on SIGHUP, and tells which rights would be others after a restart; undefined: they cannot be used. */
  readonly reread: () => Promise<{ config: AgentConfig; restart: readonly string[] } | undefined>;
}

export interface Supervisor {
  /** 0: ended by a signal. 1: the bound of deaths. Rejects with the MeshError of a first start that was refused. */
  readonly ended: Promise<0 | 1>;
  /** SIGTERM or SIGINT: the first one drains, the second one ends at once. */
  end(): void;
  /** SIGHUP: settings and rules are read again. */
  hangUp(): void;
  /** SIGUSR1: the status into the log. */
  report(): void;
}

export const MAX_DEATHS = 5;
export const DEATHS_WITHIN_MS = 60_000;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;
/** At most; half of what systemd expects when that is less. */
export const PING_MS = 10_000;
/** An agent that has not answered for this long hangs, ms. */
export const SILENT_MS = 60_000;
/** What an agent may take to end after its own deadline of the drain, ms. */
export const DRAIN_GRACE_MS = 5_000;

export function supervise(options: SuperviseOptions): Supervisor {
  const { log, clock, spawn, announcer } = options;
  const { promise: settled, resolve, reject } = Promise.withResolvers<0 | 1>();
  const ended = settled.finally(() => announcer.close());
  const pingMs = Math.min(PING_MS, (announcer.watchdogMs ?? Infinity) / 2);
  let config = options.config;
  let worker: WorkerLink | undefined;
  /** Counts workers: what a replaced one still says is not heard. */
  let generation = 0;
  let started = false;
  let draining = false;
  let reloading = false;
  let over = false;
  let deaths: { readonly at: number; readonly reason: string }[] = [];
  let waitMs = FIRST_WAIT_MS;
  let unanswered = 0;
  let cancelPing = () => {};
  let cancelWait = () => {};

  const finish = (settle: () => void): void => {
    if (over) return;
    over = true;
    generation++;
    cancelPing();
    cancelWait();
    worker?.terminate();
    worker = undefined;
    settle();
  };

  const start = async (): Promise<void> => {
    const mine = ++generation;
    unanswered = 0;
    const hear = (message: FromWorker): void => {
      if (mine === generation) take(message);
    };
    try {
      const link = await spawn(config, hear);
      if (mine !== generation) return link.terminate();
      worker = link;
      if (draining) link.post({ type: "drain" });
      ping();
    } catch (error) {
      if (mine !== generation) return;
      if (started) died(error instanceof Error ? error.message : String(error));
      else finish(() => reject(error));
    }
  };

  const take = (message: FromWorker): void => {
    switch (message.type) {
      case "started":
        if (started) log.log("info", "the agent is back");
        started = true;
        announcer.listening();
        announcer.alive();
        config = pinned(config, message.listening);
        return;
      case "refused": {
        const { code, message: text, hint } = message;
        // A port may not be free yet when the worker that had it has only just died.
        if (started) died(`[${code}] ${text}`);
        else finish(() => reject(new MeshError(code, text, { hint })));
        return;
      }
      case "died":
        return died(message.reason);
      case "drained":
        return finish(() => resolve(0));
      case "readiness":
        return announcer.readiness(message.readiness);
      case "reloaded":
        reloading = false;
        return announcer.reloaded();
      case "quit":
        log.log("info", "asked to end by POST /quitquitquit");
        if (!draining) end();
        return;
      case "pong":
        unanswered = 0;
        announcer.alive();
    }
  };

  const died = (reason: string): void => {
    generation++;
    cancelPing();
    worker?.terminate();
    worker = undefined;
    announcer.readiness({ ready: false, text: "not ready: the agent died and is started again" });
    if (reloading) {
      // The next one reads everything anew.
      reloading = false;
      announcer.reloaded();
    }
    if (draining) {
      log.log("error", "the agent died while it drained", { reason });
      return finish(() => resolve(1));
    }
    const now = clock.monotonic();
    deaths = [...deaths.filter(({ at }) => now - at < DEATHS_WITHIN_MS), { at: now, reason }];
    if (deaths.length === 1) waitMs = FIRST_WAIT_MS;
    if (deaths.length > MAX_DEATHS) {
      // What follows the first death may be no more than its consequence: a thread that hangs keeps its ports.
      const [first, last] = [deaths[0]!.reason, reason].map((each) => each.split("\n", 1)[0]);
      const why = first === last ? `each time of: ${last}` : `first of: ${first}; the last time of: ${last}`;
      const error = new MeshError(
        "N111",
        `Cannot keep the agent running: it died ${deaths.length} times within ${
          DEATHS_WITHIN_MS / 1000
        } s, ${why}`,
      );
      log.log("error", `[${error.code}] ${error.message}`, { reason, hint: error.hint });
      return finish(() => resolve(1));
    }
    log.log("error", "the agent died and is started again", { reason, afterMs: waitMs });
    cancelWait = clock.after(waitMs, start);
    waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
  };

  const ping = (): void => {
    cancelPing = clock.after(pingMs, () => {
      if (unanswered * pingMs >= SILENT_MS) return died(`it has not answered for ${SILENT_MS / 1000} s`);
      unanswered++;
      worker?.post({ type: "ping" });
      ping();
    });
  };

  const end = (): void => {
    if (draining) {
      log.log("warn", "second signal: ending at once");
      return finish(() => resolve(0));
    }
    draining = true;
    announcer.stopping();
    if (worker === undefined && started) return finish(() => resolve(0));
    worker?.post({ type: "drain" });
    cancelPing();
    cancelWait = clock.after(config.proxy.drainMs + DRAIN_GRACE_MS, () => {
      log.log("error", "the agent does not end: it is killed");
      finish(() => resolve(1));
    });
  };

  start();
  return {
    ended,
    end,
    async hangUp() {
      log.log("info", "SIGHUP: rereading settings and rules");
      announcer.reloading();
      try {
        const next = await options.reread();
        reloading = worker !== undefined;
        worker?.post(next === undefined ? { type: "reload", restart: [] } : { type: "reload", ...next });
      } catch (error) {
        log.log("error", "Cannot reread", { error: error instanceof Error ? error.message : String(error) });
      }
      if (!reloading) announcer.reloaded();
    },
    report: () => worker?.post({ type: "report" }),
  };
}

/** The ports that a first start took are those of the next one: applications know them. */
function pinned(config: AgentConfig, { http, grpc, admin, tcp, inbound }: Listening): AgentConfig {
  const { listen } = config;
  return {
    ...config,
    ...(config.inbound === undefined ? {} : {
      inbound: {
        ...config.inbound,
        servicePorts: config.inbound.servicePorts.map((each, i) => ({
          ...each,
          port: inbound[i]?.port ?? each.port,
        })),
      },
    }),
    listen: {
      ...listen,
      http: { ...listen.http, port: http.port },
      ...(listen.grpc === undefined || grpc === null ? {} : { grpc: { ...listen.grpc, port: grpc.port } }),
      admin: listen.admin === null || admin === null ? null : { ...listen.admin, port: admin.port },
      ...(listen.tcp === undefined ? {} : {
        tcp: listen.tcp.map((forward, i) => ({
          ...forward,
          listen: { ...forward.listen, port: tcp[i]?.port ?? forward.listen.port },
        })),
      }),
    },
  };
}
