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
import { MeshError } from "../core/errors.ts";
import { MessageHead } from "../wire/http1/head.ts";
import type { ProxyContext } from "./context.ts";
import { l4Target, planOf } from "./destination.ts";
import { NO_BODY, type Responder } from "./engine.ts";
import { addressText, Exchange } from "./exchange.ts";
import { Input } from "./input.ts";
import { peekHello } from "./peek_hello.ts";
import { releaseUpstream } from "./rescue.ts";
import { checkLoop, checkSynced } from "./select.ts";
import { splice } from "./splice.ts";
import { openTcp } from "./tcp.ts";

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
    await forward(proxy, stream, port);
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

/** Never rejects. */
async function forward(
  proxy: ProxyContext,
  stream: AcceptedStream,
  { host, port }: LocalPort,
): Promise<void> {
  const ex = new Exchange(new MessageHead(0), NO_BODY, NO_ANSWER, stream.remote, stream.local);
  ex.startMs = proxy.clock.monotonic();
  ex.authority = addressText({ hostname: host, port });
  const client = { input: new Input(stream, proxy.buffers, BASE_BUFFER_BYTES), stream };
  try {
    checkSynced(proxy, ex);
    checkLoop(proxy, ex, host, port);
    const target = l4Target(proxy, ex, host, port);
    const hello = target?.needsHello ? await peekHello(proxy, client) : undefined;
    const plan = planOf(proxy, ex, host, port, target, hello);
    const upstream = await openTcp(proxy, ex, host, port, plan);
    await splice(proxy, ex, client, upstream, plan);
  } catch (thrown) {
    if (thrown instanceof MeshError) {
      ex.addFlag(thrown.flag);
      if (ex.details === "") ex.details = thrown.code;
      proxy.log.log("debug", `local port ${addressText(stream.local)}: ${thrown.message}`);
    } else if (thrown instanceof TypeError) {
      proxy.log.log("error", "a connection met a mistake in the agent", { error: thrown.stack });
    } else ex.addFlag("DC");
  } finally {
    stream.close();
    releaseUpstream(ex);
    record(proxy, ex);
  }
}

/** Says what Envoy's log says of TCP: no method, path or status. */
function record(proxy: ProxyContext, ex: Exchange): void {
  proxy.observer.request({
    startMs: ex.startMs + proxy.deadlines.wallOffset,
    method: "-",
    path: "-",
    protocol: "TCP",
    authority: ex.authority,
    status: 0,
    flags: ex.flags,
    details: ex.details,
    bytesReceived: ex.tunnelReceived,
    bytesSent: ex.tunnelSent,
    durationMs: proxy.clock.monotonic() - ex.startMs,
    upstreamServiceTimeMs: -1,
    forwardedFor: "",
    userAgent: "",
    requestId: "",
    upstreamCluster: ex.cluster,
    upstreamHost: ex.upstreamHost,
    routeName: ex.listener,
    virtualHost: "",
    downstreamRemote: ex.remoteText,
    attempts: ex.attempts,
  });
}

/** Nothing is answered in TCP. */
const NO_ANSWER: Responder = {
  http11: true,
  begun: true,
  persistent: false,
  sent: 0,
  canTunnel: true,
  interim: () => Promise.resolve(),
  begin() {},
  data: () => Promise.resolve(),
  end: () => Promise.resolve(),
  abort() {},
  takeOver: () => null,
};
