/** Where a connection to host:port goes that is not looked into: by TCP and TLS rules, else to the whole service. */
import { BLACKHOLE_CLUSTER, PASSTHROUGH_CLUSTER } from "../model/model.ts";
import { parseDuration } from "../core/duration.ts";
import { MeshError } from "../core/errors.ts";
import { normalAddress } from "../core/ip.ts";
import {
  type L4Question,
  l4Question,
  type L4Tables,
  l4TablesOf,
  type L4Target,
  type SeenHello,
  serviceClusterOf,
} from "../route/l4.ts";
import type { ProxyContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { checkPolicy, unknownPort } from "./select.ts";

/** What is done with a connection, and how long it may last. */
export interface L4Plan {
  /** Null = a host that no rule knows: its own address. */
  readonly cluster: string | null;
  /** Infinity = none. */
  readonly idleMs: number;
  readonly maxDurationMs: number;
  readonly connectAttempts: number;
}

/** How long the address of a service is remembered that only its address tells, ms. */
const ADDRESS_REFRESH_MS = 10_000;

/**
 * The chains that decide about host:port; undefined when no TCP or TLS rule holds there. Only waits for the address of a service whose
 * listener is not found by name.
 */
export function l4Target(
  proxy: ProxyContext,
  ex: Exchange,
  host: string,
  port: number,
): L4Target | undefined | Promise<L4Target | undefined> {
  const { program, tables } = ex.world!;
  const l4 = l4TablesOf(program);
  if (l4.empty) return undefined;
  const question = l4Question(tables, host, port, proxy.config.workload.namespace);
  const found = l4.find(question);
  if (found !== undefined || !l4.hasAddresses(port) || normalAddress(host) !== undefined) return found;
  const known = serviceClusterOf(program, tables, question) !== undefined;
  return known ? byAddress(proxy, l4, question) : undefined;
}

/** As a sidecar's application would have connected. A name without an address has no such listener. */
async function byAddress(
  proxy: ProxyContext,
  l4: L4Tables,
  question: L4Question,
): Promise<L4Target | undefined> {
  try {
    const addresses = await proxy.names.resolve(question.host, ADDRESS_REFRESH_MS);
    return l4.find({ ...question, addresses });
  } catch (error) {
    if (error instanceof MeshError) return undefined;
    throw error;
  }
}

/** Of the workload; its applications are on this machine, where a control plane's rules do not know them. */
function sourceOf(proxy: ProxyContext, ex: Exchange): string {
  const { hostname } = ex.remote;
  const local = hostname.startsWith("127.") || hostname === "::1";
  return local && proxy.config.workload.instanceIp !== "" ? proxy.config.workload.instanceIp : hostname;
}

/** By the chains; ends with NR when none takes the connection, and where the policy does not let it go. */
export function planOf(
  proxy: ProxyContext,
  ex: Exchange,
  host: string,
  port: number,
  target: L4Target | undefined,
  hello: SeenHello | undefined,
): L4Plan {
  const { tunnelIdleMs } = proxy.config.proxy.timeouts;
  if (target === undefined) {
    const cluster = serviceCluster(proxy, ex, host, port);
    if (cluster === null) checkPolicy(proxy, ex, host, port);
    return { cluster, idleMs: tunnelIdleMs, maxDurationMs: Infinity, connectAttempts: 1 };
  }
  const choice = target.choose(hello, proxy.rng(), sourceOf(proxy, ex));
  if (choice === undefined) {
    ex.details = "filter_chain_not_found";
    throw new MeshError(
      "P208",
      `Cannot forward to "${host}:${port}": no TCP or TLS rule of listener "${target.listener.name}" takes the connection`,
    );
  }
  ex.listener = target.listener.name;
  const { tcp } = choice;
  let cluster: string | null = choice.cluster;
  if (cluster === BLACKHOLE_CLUSTER || cluster === PASSTHROUGH_CLUSTER) {
    // The listener says so for everyone; the own policy may be stricter.
    if (cluster === BLACKHOLE_CLUSTER) {
      ex.cluster = cluster;
      ex.details = "direct_response";
      throw new MeshError(
        "P204",
        `Cannot forward to "${host}:${port}": no rule takes the connection and outboundTrafficPolicy is REGISTRY_ONLY`,
      );
    }
    checkPolicy(proxy, ex, host, port);
    cluster = null;
  }
  return {
    cluster,
    idleMs: limitOf(tcp.idleTimeout, tunnelIdleMs),
    maxDurationMs: limitOf(tcp.maxDownstreamConnectionDuration, Infinity),
    connectAttempts: Math.max(1, tcp.maxConnectAttempts ?? 1),
  };
}

/** `"0s"` = none. */
function limitOf(duration: string | undefined, fallback: number): number {
  if (duration === undefined) return fallback;
  return parseDuration(duration) || Infinity;
}

/** The cluster of the whole service; null for a host that no rule knows. */
function serviceCluster(proxy: ProxyContext, ex: Exchange, host: string, port: number): string | null {
  const { program, tables } = ex.world!;
  const question = l4Question(tables, host, port, proxy.config.workload.namespace);
  const found = serviceClusterOf(program, tables, question);
  if (found !== undefined) {
    if (found.virtualHost !== undefined) ex.virtualHost = found.virtualHost;
    return found.cluster;
  }
  const ports = tables.portsOf(host);
  if (ports.length > 0 && !ports.includes(port)) throw unknownPort(host, port, ports, ex);
  return null;
}
