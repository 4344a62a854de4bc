/** The proxy inside the test process, on real sockets, with either engine and a world that tests can swap. */
import { systemClock } from "../../agent/net/clock.ts";
import { createDialer } from "../../agent/net/dial.ts";
import { systemResolver } from "../../agent/net/dns.ts";
import { listenTcp } from "../../agent/net/listen.ts";
import { serveRequests } from "../../agent/net/serve.ts";
import type { Observer, RequestRecord } from "../../agent/observe/types.ts";
import type { World } from "../../agent/discovery/types.ts";
import { type RunningProxy, startProxy } from "../../agent/proxy/proxy.ts";
import { startServeProxy } from "../../agent/proxy/serve.ts";
import type { Log } from "../../agent/core/ports.ts";
import { configOf, worldOf } from "./world.ts";
import type { Address } from "./client.ts";

export type Engine = "native" | "serve";
export const ENGINES: readonly Engine[] = ["native", "serve"];

export interface InProcessRig extends AsyncDisposable {
  readonly address: Address;
  readonly proxy: RunningProxy;
  /** Every request recorded so far. */
  readonly records: readonly RequestRecord[];
  /** Lines of level error. */
  readonly errors: readonly string[];
  /** Counters of the observer by name. */
  readonly counts: ReadonlyMap<string, number>;
  /** Open connections as the observer was told. */
  readonly open: { downstream: number; upstream: number };
  world: World;
  /** Points `svc.test` at this port of 127.0.0.1; gives its authority. */
  serve(port: number): string;
}

/** Starts it on a free port. `svc.test` has no endpoint until `serve` was called. */
export function startRig(
  engine: Engine,
  more: Omit<Parameters<typeof configOf>[0] & object, "engine"> = {},
): InProcessRig {
  const records: RequestRecord[] = [];
  const errors: string[] = [];
  const counts = new Map<string, number>();
  const open = { downstream: 0, upstream: 0 };
  const observer: Observer = {
    request: (record) => void records.push(record),
    downstreamConnection: (delta) => void (open.downstream += delta),
    upstreamConnection: (delta) => void (open.upstream += delta),
    requestStarted: () => {},
    count: (name, by = 1) => void counts.set(name, (counts.get(name) ?? 0) + by),
  };
  const log: Log = {
    level: "error",
    log: (level, message, fields) => {
      if (level === "error") errors.push(`${message} ${JSON.stringify(fields ?? {})}`);
    },
  };
  const world = { current: worldOf([]) };
  const options = {
    config: configOf({ ...more, engine }),
    world,
    dialer: createDialer(),
    resolver: systemResolver,
    clock: systemClock,
    rng: Math.random,
    observer,
    log,
    ownAddresses: [],
  };
  const proxy = engine === "native"
    ? startProxy({ ...options, listener: listenTcp({ hostname: "127.0.0.1", port: 0 }) })
    : startServeProxy({ ...options, serve: serveRequests(log) });
  return {
    address: { ...proxy.address },
    proxy,
    records,
    errors,
    counts,
    open,
    get world() {
      return world.current;
    },
    set world(next) {
      world.current = next;
    },
    serve(port) {
      world.current = worldOf([port]);
      return "svc.test";
    },
    async [Symbol.asyncDispose]() {
      await proxy.drain(2_000);
    },
  };
}
