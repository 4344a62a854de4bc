/**
 * Inbound listeners -> the ports of the workload that lead to the application. Of each filter chain only what is well defined without
 * redirected traffic: port, protocol, and the application's port.
 *
 * - Pilot up to 1.5: one listener for each port, on the workload's address: `10.1.1.7_9080`.
 * - istiod: `virtualInbound` on 0.0.0.0:15006 with chains by destination port. Chains for any port (passthrough) name none.
 *
 * Routes, filters and policies of the chain are not executed; a port that wants mutual TLS is refused.
 */
import type { ApplicationPort, Cluster, FilterChain, Listener } from "../model/model.ts";
import { chainsOf, isInbound } from "./references.ts";

const APPLICATION = /^(?:127\.0\.0\.1|::1|localhost)$/;

export function inboundPortsOf(
  listeners: Iterable<Listener>,
  clusters: ReadonlyMap<string, Cluster>,
): ReadonlyMap<string, ApplicationPort> {
  const ports = new Map<string, ApplicationPort>();
  for (const listener of listeners) {
    if (!isInbound(listener)) continue;
    for (const chain of chainsOf(listener)) {
      const cluster = clusterOf(chain);
      if (cluster === undefined || !cluster.startsWith("inbound|")) continue;
      const byPort = chain.match?.destinationPort;
      const port = byPort ?? listener.port;
      if (port === 0) continue;
      const name = byPort === undefined ? listener.name : `${listener.name}:${port}`;
      const made = portOf(listener, chain, port, cluster, clusters.get(cluster));
      const known = ports.get(name);
      // PERMISSIVE: one chain for mutual TLS, one for plain connections.
      if (known === undefined || known.refused !== undefined && made.refused === undefined) {
        ports.set(name, made);
      }
    }
  }
  return ports;
}

function clusterOf({ http, tcp }: FilterChain): string | undefined {
  if (tcp !== undefined) return tcp.cluster;
  for (const { routes } of http?.routeConfig?.virtualHosts ?? []) {
    for (const { route } of routes) if (route?.cluster !== undefined) return route.cluster;
  }
  return undefined;
}

function portOf(
  { address }: Listener,
  { http, match }: FilterChain,
  port: number,
  name: string,
  cluster: Cluster | undefined,
): ApplicationPort {
  const endpoint = cluster?.loadAssignment?.endpoints[0]?.lbEndpoints[0];
  const refused = match?.transportProtocol === "tls"
    ? "it wants mutual TLS, which the agent does not end"
    : cluster === undefined
    ? `cluster "${name}" is not there`
    : endpoint !== undefined && !APPLICATION.test(endpoint.address)
    ? `it leads to ${endpoint.address}; want 127.0.0.1`
    : undefined;
  return {
    address,
    port,
    protocol: http === undefined
      ? "tcp"
      : cluster?.httpProtocolOptions?.protocol === "HTTP2"
      ? "http2"
      : "http",
    // Without endpoints of its own (ORIGINAL_DST) it is the port that the connection was for.
    localPort: endpoint?.port ?? port,
    ...(refused === undefined ? {} : { refused }),
  };
}
