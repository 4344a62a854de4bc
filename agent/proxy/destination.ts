/** Where a connection to host:port goes that is not looked into: by TCP and TLS rules, else to the whole service. */
import { BLACKHOLE_CLUSTER, clusterName, PASSTHROUGH_CLUSTER } from "../model/model.ts";
import { normalAddress } from "../core/ip.ts";
import { parseDuration } from "../core/duration.ts";
import { MeshError } from "../core/errors.ts";
import { l4TablesOf, type L4Target, type SeenHello } from "../route/l4.ts";
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

/** The chains that decide about host:port; undefined when no TCP or TLS rule holds there. */
export function l4Target(
  proxy: ProxyContext,
  ex: Exchange,
  host: string,
  port: number,
): L4Target | undefined {
  const { program, tables } = ex.world!;
  const l4 = l4TablesOf(program);
  if (l4.empty) return undefined;
  const addresses: string[] = [];
  for (const known of tables.portsOf(host)) {
    for (const domain of tables.findVirtualHost(host, known)?.source.domains ?? []) {
      const address = normalAddress(domain);
      if (address !== undefined && !addresses.includes(address)) addresses.push(address);
    }
  }
  return l4.find({ host, port, spellings: spellingsOf(proxy, host), addresses });
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
  const choice = target.choose(hello, proxy.rng());
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

/** The names that a host may be short for. */
function spellingsOf(proxy: ProxyContext, host: string): readonly string[] {
  const bare = host.endsWith(".") ? host.slice(0, -1) : host;
  const domain = `${proxy.config.workload.namespace}.svc.cluster.local`;
  return [bare, `${bare}.${domain}`, `${bare}.svc.cluster.local`, `${bare}.cluster.local`];
}

/** The cluster of the whole service; null for a host that no rule knows. */
function serviceCluster(proxy: ProxyContext, ex: Exchange, host: string, port: number): string | null {
  const { program, tables } = ex.world!;
  const has = (name: string): string | null => program.clusters.has(name) ? name : null;
  const virtualHost = tables.findVirtualHost(host, port);
  if (virtualHost !== undefined) {
    // A virtual host is named host:port after the service that it stands for.
    const name = virtualHost.source.name;
    // xDS v1 names it and its cluster after the service key.
    const found = has(clusterName(port, "", name.slice(0, name.lastIndexOf(":")))) ?? has(`out.${name}`);
    if (found !== null) {
      ex.virtualHost = virtualHost;
      return found;
    }
  }
  for (const spelling of spellingsOf(proxy, host)) {
    const found = has(clusterName(port, "", spelling));
    if (found !== null) return found;
  }
  for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
    const found = has(clusterName(port, "", `*${host.slice(dot)}`));
    if (found !== null) return found;
  }
  const ports = tables.portsOf(host);
  if (ports.length > 0 && !ports.includes(port)) throw unknownPort(host, port, ports, ex);
  return null;
}
