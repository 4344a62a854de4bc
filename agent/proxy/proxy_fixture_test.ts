/** A proxy in memory for tests: streams, time and chance are fakes, so nothing waits for the real clock. */
import { MeshError } from "../core/errors.ts";
import type { AcceptedStream, Clock, Listener, StreamAddress, Turns } from "../core/ports.ts";
import type { Cluster, Program, Route } from "../model/model.ts";
import type { RequestRecord } from "../observe/types.ts";
import { buildRouteTables } from "../route/table.ts";
import type { AgentConfig } from "../settings/types.ts";
import { type RunningProxy, startProxy } from "./proxy.ts";

class Half {
  chunks: Uint8Array[] = [];
  ended = false;
  broken = false;
  /** Writes take until it resolves. */
  hold: Promise<void> | null = null;
  waiting: (() => void)[] = [];
  wake(): void {
    for (const w of this.waiting.splice(0)) w();
  }
}

export class MemoryStream implements AcceptedStream {
  local: StreamAddress = { hostname: "127.0.0.1", port: 15000 };
  readonly remote = { hostname: "10.1.2.3", port: 40000 };
  closed = false;
  /** Bytes that the last read had room for. */
  room = 0;
  /** Writes that are held. */
  readonly #cuts: (() => void)[] = [];
  constructor(readonly incoming: Half, readonly outgoing: Half) {}
  async read(into: Uint8Array): Promise<number | null> {
    this.room = into.length;
    for (;;) {
      if (this.closed) throw new Error("closed");
      const first = this.incoming.chunks[0];
      if (first !== undefined) {
        const n = Math.min(first.length, into.length);
        into.set(first.subarray(0, n));
        if (n === first.length) this.incoming.chunks.shift();
        else this.incoming.chunks[0] = first.subarray(n);
        return n;
      }
      if (this.incoming.ended) return null;
      await new Promise<void>((resolve) => this.incoming.waiting.push(resolve));
    }
  }
  write(from: Uint8Array): Promise<number> {
    if (this.closed || this.outgoing.broken) return Promise.reject(new Error("broken pipe"));
    this.outgoing.chunks.push(from.slice());
    this.outgoing.wake();
    const { hold } = this.outgoing;
    if (hold === null) return Promise.resolve(from.length);
    return new Promise((resolve, reject) => {
      this.#cuts.push(() => reject(new Error("closed")));
      void hold.then(() => resolve(from.length));
    });
  }
  closeWrite(): Promise<void> {
    this.outgoing.ended = true;
    this.outgoing.wake();
    return Promise.resolve();
  }
  close(): void {
    this.closed = true;
    this.outgoing.ended = true;
    this.incoming.broken = true;
    for (const cut of this.#cuts.splice(0)) cut();
    this.outgoing.wake();
    this.incoming.wake();
  }
}

export function pair(): [MemoryStream, MemoryStream] {
  const a = new Half();
  const b = new Half();
  return [new MemoryStream(a, b), new MemoryStream(b, a)];
}

export class FakeClock implements Clock {
  time = 1000;
  timers: { at: number; fn: () => void }[] = [];
  now = () => this.time;
  monotonic = () => this.time;
  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.time + ms, fn };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((t) => t !== timer);
    };
  }
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    for (;;) {
      await settle();
      const next = this.timers.filter((t) => t.at <= end).sort((x, y) => x.at - y.at)[0];
      if (next === undefined) break;
      this.timers = this.timers.filter((t) => t !== next);
      this.time = Math.max(this.time, next.at);
      next.fn();
    }
    this.time = end;
    await settle();
  }
}

/** Lets every chain of promises run out. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 200; i++) await Promise.resolve();
}

const LIMITS = {
  maxHeadBytes: 65536,
  maxHeaderCount: 100,
  maxTargetBytes: 32768,
  maxConnections: 3,
  maxInFlight: 100,
  maxDrainBytes: 65536,
  maxIdlePerEndpoint: 4,
};
const TIMEOUTS = {
  headMs: 10_000,
  bodyStallMs: 60_000,
  idleMs: 3_600_000,
  upstreamIdleMs: 4000,
  tunnelIdleMs: 3_600_000,
  connectMs: 10_000,
};

export type Upstream = (stream: MemoryStream, address: StreamAddress) => void;

export interface Rig {
  proxy: RunningProxy;
  clock: FakeClock;
  records: RequestRecord[];
  counts: Map<string, number>;
  dialed: string[];
  /** By dial: were probes of the kernel asked for? */
  keepAlive: boolean[];
  upstreams: MemoryStream[];
  /** The agent's ends of the clients' connections. */
  accepted: MemoryStream[];
  /** `local`: the address that it connects to. */
  client(local?: StreamAddress): MemoryStream;
}

export interface RigOptions {
  route?: Partial<Route["route"] & object>;
  extra?: Partial<Route>;
  endpoints?: readonly string[];
  refuse?: ReadonlySet<string>;
  upstream?: Upstream;
  revision?: number;
  policy?: "ALLOW_ANY" | "REGISTRY_ONLY";
  names?: Readonly<Record<string, string[]>>;
  /** On top of the cluster's own. */
  cluster?: Partial<Cluster>;
  /** Of the agent, in the place of those of the fixture. */
  limits?: Partial<typeof LIMITS>;
  /** Connections to upstreams are there when it resolves. */
  dialing?: Promise<void>;
  turns?: Turns;
  /** Where the agent listens; default 127.0.0.1:15000. */
  listen?: StreamAddress;
  /** What the virtual host takes; default svc on port 80. */
  host?: { readonly name: string; readonly port: number };
}

export const CLUSTER = "outbound|80||svc";

export function rig(options: RigOptions = {}): Rig {
  const clock = new FakeClock();
  const endpoints = options.endpoints ?? ["10.0.0.1"];
  const route: Route = {
    match: { prefix: "/" },
    route: { cluster: CLUSTER, timeout: "0s", ...options.route },
    ...options.extra,
  };
  const host = options.host ?? { name: "svc", port: 80 };
  const program: Program = {
    routeConfigurations: new Map([[
      String(host.port),
      {
        name: String(host.port),
        ignorePortInHostMatching: true,
        virtualHosts: [{ name: `${host.name}:${host.port}`, domains: [host.name], routes: [route] }],
      },
    ]]),
    clusters: new Map([[CLUSTER, {
      name: CLUSTER,
      type: "EDS",
      lbPolicy: "ROUND_ROBIN",
      connectTimeout: "1s",
      ...options.cluster,
    }]]),
    loadAssignments: new Map([[
      CLUSTER,
      {
        clusterName: CLUSTER,
        endpoints: [{ lbEndpoints: endpoints.map((address) => ({ address, port: 80 })) }],
      },
    ]]),
  };
  const accepted: MemoryStream[] = [];
  let accepting: ((s: MemoryStream | null) => void) | null = null;
  let closed = false;
  const listener: Listener = {
    address: options.listen ?? { hostname: "127.0.0.1", port: 15000 },
    accept() {
      const next = accepted.shift();
      if (next !== undefined) return Promise.resolve(next);
      if (closed) return Promise.resolve(null);
      return new Promise((resolve) => accepting = resolve);
    },
    close() {
      closed = true;
      accepting?.(null);
    },
  };
  const records: RequestRecord[] = [];
  const counts = new Map<string, number>();
  const dialed: string[] = [];
  const keepAlive: boolean[] = [];
  const upstreams: MemoryStream[] = [];
  const clients: MemoryStream[] = [];
  const proxy = startProxy({
    config: {
      proxy: {
        engine: "native",
        outboundTrafficPolicy: options.policy ?? "ALLOW_ANY",
        limits: { ...LIMITS, ...options.limits },
        timeouts: TIMEOUTS,
        drainMs: 1000,
      },
      workload: { namespace: "default", podName: "p" },
    } as unknown as AgentConfig,
    world: {
      current: {
        revision: options.revision ?? 1,
        program,
        tables: buildRouteTables(program),
        diagnostics: [],
        publishedMs: 0,
        stats: {},
      },
    } as unknown as Parameters<typeof startProxy>[0]["world"],
    listener,
    dialer: {
      dial(address, _timeoutMs, probes) {
        keepAlive.push(probes ?? false);
        dialed.push(`${address.hostname}:${address.port}`);
        if (options.refuse?.has(address.hostname)) {
          return Promise.reject(new MeshError("P303", "refused", { side: "upstream" }));
        }
        const [near, far] = pair();
        upstreams.push(far);
        options.upstream?.(far, address);
        return options.dialing === undefined ? Promise.resolve(near) : options.dialing.then(() => near);
      },
    },
    resolver: {
      resolve: (name) => {
        const found = options.names?.[name];
        return found === undefined ? Promise.reject(new Error("unknown")) : Promise.resolve(found);
      },
    },
    clock,
    rng: () => 0,
    ...(options.turns === undefined ? {} : { turns: options.turns }),
    observer: {
      request: (r) => void records.push(r),
      downstreamConnection() {},
      upstreamConnection() {},
      requestStarted() {},
      count: (name, by = 1) => void counts.set(name, (counts.get(name) ?? 0) + by),
    },
    log: { level: "error", log() {} },
    ownAddresses: [],
  });
  return {
    proxy,
    clock,
    records,
    counts,
    dialed,
    keepAlive,
    upstreams,
    accepted: clients,
    client(local) {
      const [near, far] = pair();
      if (local !== undefined) near.local = local;
      clients.push(near);
      if (accepting !== null) {
        const deliver = accepting;
        accepting = null;
        deliver(near);
      } else accepted.push(near);
      return far;
    },
  };
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function send(stream: MemoryStream, text: string): void {
  stream.write(encoder.encode(text));
}

/** Everything that has arrived so far. */
export function got(stream: MemoryStream): string {
  return stream.incoming.chunks.splice(0).map((c) => decoder.decode(c)).join("");
}

export const GET = "GET /a HTTP/1.1\r\nHost: svc\r\n\r\n";
export const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** Answers every request (taken to be one write) with `text`; when it is empty, closes. */
export function answering(...texts: string[]): Upstream {
  let n = 0;
  return (stream) => {
    const into = new Uint8Array(65536);
    const loop = async (): Promise<void> => {
      for (;;) {
        if (await stream.read(into) === null) return;
        const text = texts[Math.min(n++, texts.length - 1)]!;
        if (text === "") return stream.close();
        send(stream, text);
      }
    };
    loop().catch(() => {});
  };
}

export async function once(r: Rig, request: string): Promise<string> {
  const c = r.client();
  send(c, request);
  await settle();
  return got(c);
}
