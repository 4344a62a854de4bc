/** Opens the connection to an endpoint for a tunnel or a local port: pick, connect, again when the rule allows it. */
import { MeshError } from "../core/errors.ts";
import type { Endpoint } from "./clusters.ts";
import type { ProxyContext } from "./context.ts";
import type { L4Plan } from "./destination.ts";
import type { Exchange } from "./exchange.ts";
import { enterPending, overflow } from "./limits.ts";
import { pick, type Target, target } from "./pick.ts";
import { UpstreamConnection } from "./upstream.ts";

/** Ends with P301 to P304, P205 to P207. The connection is the exchange's: whoever rescues it lets it go. */
export async function openTcp(
  proxy: ProxyContext,
  ex: Exchange,
  host: string,
  port: number,
  plan: L4Plan,
): Promise<UpstreamConnection> {
  const to = await target(proxy, ex, { host, port }, plan.cluster);
  const tried: Endpoint[] = [];
  for (;;) {
    const endpoint = pick(proxy, ex, to, tried);
    const { limits } = to.handle;
    if (limits !== null && limits.connectionsFull) {
      throw overflow(proxy, ex, "cx", `has ${limits.maxConnections} connections already`);
    }
    if (limits !== null) enterPending(proxy, ex, limits);
    endpoint.dialing++;
    try {
      return await dial(proxy, ex, to, endpoint);
    } catch (error) {
      tried.push(endpoint);
      if (tried.length >= plan.connectAttempts || ex.cancelled) throw error;
    } finally {
      endpoint.dialing--;
      if (limits !== null) limits.pending--;
    }
  }
}

async function dial(
  proxy: ProxyContext,
  ex: Exchange,
  to: Target,
  endpoint: Endpoint,
): Promise<UpstreamConnection> {
  ex.upstreamHost = endpoint.key;
  const startMs = proxy.clock.monotonic();
  const limit = to.addresses === null ? to.handle.connectTimeoutMs : proxy.config.proxy.timeouts.connectMs;
  let stream;
  try {
    const { address: hostname, port, terms } = endpoint;
    stream = await proxy.dialer.dial({ hostname, port }, limit, terms.keepAlive);
  } catch (cause) {
    const durationMs = proxy.clock.monotonic() - startMs;
    const denied = cause instanceof MeshError && cause.code === "P209";
    ex.attempts.push({ endpoint: endpoint.key, outcome: denied ? "denied" : "connect-failure", durationMs });
    if (denied) throw cause;
    const late = cause instanceof MeshError && cause.code === "P304";
    throw new MeshError(
      late ? "P304" : "P303",
      `Cannot open a tunnel to ${endpoint.key}: it ${
        late ? `did not accept a connection within ${limit} ms` : "refused the connection"
      }`,
      { side: "upstream", cause },
    );
  }
  ex.attempts.push({ endpoint: endpoint.key, outcome: "ok", durationMs: proxy.clock.monotonic() - startMs });
  const connection = new UpstreamConnection(proxy, endpoint, stream);
  endpoint.active++;
  ex.upstream = connection;
  return connection;
}
