/**
 * The data path: an explicit HTTP/1.1 proxy (native engine) over ports.
 *
 * In: connections of a Listener, and a World that may be replaced at any time. Out: connections of a Dialer, answers, records for the
 * Observer. The pipeline that every request goes through is pipeline.ts.
 *
 * @example
 * ```ts ignore
 * const proxy = startProxy({ config, world, listener, dialer, resolver, clock, rng, observer, log, ownAddresses });
 * proxy.address; // where it listens
 * await proxy.drain(30_000); // finish what runs, then close
 * ```
 */
import type {
  AcceptedStream,
  Clock,
  Dialer,
  Listener,
  Log,
  Resolver,
  Rng,
  StreamAddress,
  Turns,
} from "../core/ports.ts";
import type { World } from "../discovery/types.ts";
import type { Observer } from "../observe/types.ts";
import type { AgentConfig, ListenAddress } from "../settings/types.ts";
import { Admission } from "./admission.ts";
import { BufferPool } from "./buffers.ts";
import type { ClusterLimits } from "./cluster_limits.ts";
import { Clusters } from "./clusters.ts";
import type { ConnectionHolder, HeldConnection } from "./connection_holder.ts";
import type { ProxyContext } from "./context.ts";
import { Deadlines } from "./deadlines.ts";
import { DownstreamConnection } from "./downstream.ts";
import type { InboundPort } from "./inbound_port.ts";
import { type LocalPort, startLocalPorts } from "./local_ports.ts";
import { Names } from "./names.ts";
import { OwnAddresses } from "./own_addresses.ts";
import { writeAll } from "../core/write_all.ts";

export interface ProxyOptions {
  readonly config: AgentConfig;
  readonly world: { readonly current: World };
  readonly listener: Listener;
  /** A second one, which takes the same. */
  readonly grpcListener?: Listener;
  readonly dialer: Dialer;
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly observer: Observer;
  readonly log: Log;
  /** To finish requests before more begin (admission.ts); absent = they begin as they come. */
  readonly turns?: Turns;
  /** Listeners of this agent besides these (admin): never a destination. */
  readonly ownAddresses: readonly ListenAddress[];
  /** Ports for TCP; none by default. */
  readonly localPorts?: readonly LocalPort[];
  /** The listener is a service port; see inbound.ts. */
  readonly inbound?: InboundPort;
}

export interface ProxyStats {
  readonly connections: number;
  readonly inFlight: number;
  readonly tunnels: number;
  readonly clusters: number;
}

export interface RunningProxy {
  readonly address: StreamAddress;
  /** Of the second listener; null when there is none. */
  readonly grpcAddress: StreamAddress | null;
  /** Stops accepting, answers what runs with `Connection: close`, closes idle connections; at the deadline cuts the rest. */
  drain(deadlineMs: number): Promise<void>;
  /** Cuts everything now. */
  close(): void;
  stats(): ProxyStats;
  /** Of clusters that have any, with their use, by name. */
  limits(): ReadonlyMap<string, ClusterLimits>;
}

/** Wait after accept fails for want of descriptors, ms. */
const ACCEPT_PAUSE_MS = 50;
const OVERLOADED = new TextEncoder().encode(
  "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\n" +
    'Proxy-Status: mesh-agent; error=connection_limit_reached; details="[P401] too many connections"\r\n' +
    "x-envoy-overloaded: true\r\nConnection: close\r\ncontent-length: 66\r\n\r\n" +
    "overloaded: the agent has as many connections as it is allowed to\n",
);

/** The state that every request of a proxy shares; also for engines that bring their own listener. */
export function createContext(options: Omit<ProxyOptions, "listener" | "grpcListener">): ProxyContext {
  const names = new Names(options.resolver, options.clock);
  return {
    config: options.config,
    world: options.world,
    dialer: options.dialer,
    clock: options.clock,
    rng: options.rng,
    observer: options.observer,
    log: options.log,
    deadlines: new Deadlines(options.clock),
    buffers: new BufferPool(),
    clusters: new Clusters(names, options.rng),
    names,
    own: new OwnAddresses(options.ownAddresses),
    inbound: options.inbound ?? null,
    admission: new Admission(options.clock, options.turns ?? null),
    draining: false,
    inFlight: 0,
    tunnels: new Set(),
  };
}

export function startProxy(options: ProxyOptions): RunningProxy {
  const { listener, grpcListener, clock, log } = options;
  const listeners = grpcListener === undefined ? [listener] : [listener, grpcListener];
  const proxy = createContext(options);
  for (const { address } of listeners) proxy.own.add(address.hostname, address.port);
  const connections = new Set<HeldConnection>();
  let whenEmpty: (() => void) | null = null;

  const holder: ConnectionHolder = {
    becomes(connection, next) {
      connections.delete(connection);
      connections.add(next);
    },
    left(connection) {
      connections.delete(connection);
      options.observer.downstreamConnection(-1);
      if (connections.size === 0) whenEmpty?.();
    },
  };

  const serve = (stream: AcceptedStream): void => {
    if (connections.size >= options.config.proxy.limits.maxConnections) {
      options.observer.count("rejected_overload_total");
      void refuse(stream);
      return;
    }
    const connection = new DownstreamConnection(proxy, stream, holder);
    connections.add(connection);
    options.observer.downstreamConnection(1);
    void connection.run();
  };

  const accept = async (listener: Listener, counter: string): Promise<void> => {
    for (;;) {
      let stream: AcceptedStream | null;
      try {
        stream = await listener.accept();
      } catch (error) {
        // Out of descriptors, or a client that was gone before we looked: wait a moment and go on.
        options.observer.count("accept_errors_total");
        log.log("warn", "cannot accept a connection; trying again", { error: String(error) });
        await new Promise<void>((resolve) => clock.after(ACCEPT_PAUSE_MS, resolve));
        continue;
      }
      if (stream === null) return;
      proxy.own.learn(listener.address, stream.local);
      if (proxy.inbound === null) options.observer.count(counter);
      serve(stream);
    }
  };
  void accept(listener, "http_listener_connections_total");
  if (grpcListener !== undefined) void accept(grpcListener, "grpc_listener_connections_total");
  const ports = startLocalPorts(proxy, options.localPorts ?? []);

  const close = (): void => {
    proxy.draining = true;
    for (const each of listeners) each.close();
    ports.close();
    for (const tunnel of proxy.tunnels) tunnel.close();
    for (const connection of connections) connection.close();
    proxy.clusters.close();
    proxy.deadlines.close();
  };

  return {
    address: listener.address,
    grpcAddress: grpcListener?.address ?? null,
    async drain(deadlineMs) {
      proxy.draining = true;
      for (const each of listeners) each.close();
      ports.stop();
      for (const connection of connections) connection.drain();
      if (connections.size > 0 || ports.size > 0) {
        await new Promise<void>((resolve) => {
          const stop = clock.after(deadlineMs, resolve);
          const done = (): void => {
            if (connections.size > 0 || ports.size > 0) return;
            stop();
            resolve();
          };
          whenEmpty = done;
          ports.whenIdle().then(done);
        });
      }
      close();
    },
    close,
    stats: () => ({
      connections: connections.size + ports.size,
      inFlight: proxy.inFlight,
      tunnels: proxy.tunnels.size,
      clusters: proxy.clusters.size,
    }),
    limits: () => proxy.clusters.limits(),
  };
}

/** Over the cap: one plain answer, then goodbye. */
async function refuse(stream: AcceptedStream): Promise<void> {
  try {
    await writeAll(stream, OVERLOADED);
    await stream.closeWrite();
  } catch {
    // Gone already.
  } finally {
    stream.close();
  }
}
