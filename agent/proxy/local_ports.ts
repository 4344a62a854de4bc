/**
 * Local ports: connections of applications that speak no HTTP, each port led to one host:port through the same rules as CONNECT.
 *
 * In: listeners with their destinations (`cse.mesh.tcp.listeners`). Out: spliced connections, one record each. Where a CONNECT is
 * answered with an error, a connection here is closed and its flags say why.
 *
 * @example
 * ```ts ignore
 * const ports = startLocalPorts(proxy, [{ listener, host: "mysql.default.svc.cluster.local", port: 3306 }]);
 * await ports.whenIdle(); // after `stop`, when the last connection is over
 * ```
 */
import type { AcceptedStream, Listener } from "../core/ports.ts";
import type { ProxyContext } from "./context.ts";
import { carry } from "./carry.ts";
import { Input } from "./input.ts";

export interface LocalPort {
  readonly listener: Listener;
  /** Lower-case name or address. */
  readonly host: string;
  readonly port: number;
}

export interface RunningPorts {
  /** Connections at work. */
  readonly size: number;
  /** No new connections. */
  stop(): void;
  /** Resolves when no connection is left. */
  whenIdle(): Promise<void>;
  /** Cuts everything. */
  close(): void;
}

const BASE_BUFFER_BYTES = 8 * 1024;
/** Wait after accept fails for want of descriptors, ms. */
const ACCEPT_PAUSE_MS = 50;

export function startLocalPorts(proxy: ProxyContext, ports: readonly LocalPort[]): RunningPorts {
  const open = new Set<AcceptedStream>();
  let idle: (() => void)[] = [];
  const serve = async (stream: AcceptedStream, port: LocalPort): Promise<void> => {
    if (open.size >= proxy.config.proxy.limits.maxConnections) {
      proxy.observer.count("rejected_overload_total");
      stream.close();
      return;
    }
    open.add(stream);
    proxy.observer.downstreamConnection(1);
    const client = { input: new Input(stream, proxy.buffers, BASE_BUFFER_BYTES), stream };
    await carry(proxy, client, port.host, port.port, false);
    proxy.observer.downstreamConnection(-1);
    open.delete(stream);
    if (open.size > 0) return;
    for (const resolve of idle) resolve();
    idle = [];
  };
  const accept = async (port: LocalPort): Promise<void> => {
    for (;;) {
      let stream: AcceptedStream | null;
      try {
        stream = await port.listener.accept();
      } catch (error) {
        proxy.observer.count("accept_errors_total");
        proxy.log.log("warn", "cannot accept a connection; trying again", { error: String(error) });
        await new Promise<void>((resolve) => proxy.clock.after(ACCEPT_PAUSE_MS, resolve));
        continue;
      }
      if (stream === null) return;
      proxy.own.learn(port.listener.address, stream.local);
      serve(stream, port);
    }
  };
  for (const port of ports) {
    const { hostname, port: number } = port.listener.address;
    proxy.own.add(hostname, number);
    accept(port);
  }
  const stop = (): void => {
    for (const { listener } of ports) listener.close();
  };
  return {
    get size() {
      return open.size;
    },
    stop,
    whenIdle: () => open.size === 0 ? Promise.resolve() : new Promise((resolve) => idle.push(resolve)),
    close() {
      stop();
      for (const stream of open) stream.close();
    },
  };
}
