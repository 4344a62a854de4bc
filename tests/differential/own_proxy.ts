/** Our proxy inside the test process, on a program made in memory. */
import type { Program } from "../../agent/model/model.ts";
import { systemClock } from "../../agent/net/clock.ts";
import { createDialer } from "../../agent/net/dial.ts";
import { systemResolver } from "../../agent/net/dns.ts";
import { listenTcp } from "../../agent/net/listen.ts";
import { createLog } from "../../agent/net/log.ts";
import { createObserver } from "../../agent/observe/observer.ts";
import { startProxy } from "../../agent/proxy/proxy.ts";
import { buildRouteTables } from "../../agent/route/table.ts";
import { configOf } from "../harness/world.ts";

export interface OwnProxy {
  readonly port: number;
  stop(): Promise<void>;
}

export function startOwnProxy(
  program: Program,
  policy: "ALLOW_ANY" | "REGISTRY_ONLY" = "REGISTRY_ONLY",
): OwnProxy {
  const world = {
    revision: 1,
    program,
    tables: buildRouteTables(program),
    diagnostics: [],
    publishedMs: 0,
    stats: {},
  };
  const proxy = startProxy({
    config: configOf({ policy }),
    world: { current: world },
    listener: listenTcp({ hostname: "127.0.0.1", port: 0 }),
    dialer: createDialer(),
    resolver: systemResolver,
    clock: systemClock,
    rng: Math.random,
    observer: createObserver(),
    log: createLog({ level: "error" }),
    ownAddresses: [],
  });
  return { port: proxy.address.port, stop: () => proxy.drain(2_000) };
}
