/** A large mesh as a Program, made without YAML: many services on one port, each with many endpoints. */
import type {
  Cluster,
  ClusterLoadAssignment,
  LbEndpoint,
  Program,
  VirtualHost,
} from "../../agent/model/model.ts";

export interface ManyServices {
  readonly services: number;
  /** Of each service. */
  readonly endpoints: number;
  readonly port: number;
  /** Port of 127.0.0.1 where the only endpoint of the first and of the last service is; the others lead nowhere. */
  readonly upstream: number;
  /** Of every route; another one makes every route table another. */
  readonly timeout: string;
}

export function serviceName(index: number): string {
  return `svc-${index}`;
}

export function manyServices(many: ManyServices): Program {
  const { services, endpoints, port, timeout } = many;
  const clusters = new Map<string, Cluster>();
  const loadAssignments = new Map<string, ClusterLoadAssignment>();
  const virtualHosts: VirtualHost[] = [];
  for (let i = 0; i < services; i++) {
    const short = serviceName(i);
    const host = `${short}.default.svc.cluster.local`;
    const name = `outbound|${port}||${host}`;
    clusters.set(name, { name, type: "EDS", lbPolicy: "LEAST_REQUEST", connectTimeout: "10s" });
    const reached = i === 0 || i === services - 1;
    const lbEndpoints = reached
      ? [{ address: "127.0.0.1", port: many.upstream }]
      : Array.from({ length: endpoints }, (_, k): LbEndpoint => ({
        address: `10.${i >> 8}.${i & 255}.${k + 1}`,
        port,
      }));
    loadAssignments.set(name, { clusterName: name, endpoints: [{ lbEndpoints }] });
    virtualHosts.push({
      name: `${host}:${port}`,
      domains: [host, `${host}.`, short, `${short}.default.svc`, `${short}.default`],
      routes: [{ name: "default", match: { prefix: "/" }, route: { cluster: name, timeout } }],
    });
  }
  const table = { name: String(port), virtualHosts, ignorePortInHostMatching: true };
  return { routeConfigurations: new Map([[table.name, table]]), clusters, loadAssignments };
}
