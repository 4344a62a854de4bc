/**
 * What each control plane makes of a Program: the resources it sends, as protobuf. So a test writes Istio YAML, and the scripted
 * control plane serves it as Pilot 0.8.0, Pilot 1.0.9 or istiod would.
 *
 * Istio YAML -> Program (agent/istio) -> proto-JSON (agent/admin) -> bytes by type and name.
 *
 * @example
 * ```ts
 * import { istioserver } from "./conf.ts";
 * import { programOf, resourcesOf } from "./xds_resources.ts";
 * const resources = resourcesOf(programOf(istioserver({ v1: 8001 }, { v1: 100 })), "istiod");
 * resources.CDS.map((r) => r.name); // ["outbound|8084||istioserver.default.svc.cluster.local", …]
 * ```
 */
import { envoyCluster } from "../../agent/admin/envoy_cluster.ts";
import { extension, type Json, type JsonObject } from "../../agent/admin/envoy_json.ts";
import { envoyRoute } from "../../agent/admin/envoy_route.ts";
import { compileRules } from "../../agent/discovery/offline.ts";
import type { Cluster, Program, RouteConfiguration } from "../../agent/model/model.ts";
import type { ResourceType } from "../../agent/xds/types.ts";
import { encodeMessage } from "./xds_encode.ts";
import { inStruct, v2Cluster, v2Table } from "./xds_v2.ts";

export type Dialect = "pilot-0.8.0" | "pilot-1.0.9" | "istiod";

export interface WireResource {
  /** What it is asked for by. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Default: that of the response. */
  readonly typeUrl?: string;
}
export type WireResources = Readonly<Record<ResourceType, readonly WireResource[]>>;

/** Istio's rules as a Program, seen from namespace default. Rules with an error are a mistake of the test. */
export function programOf(yaml: string): Program {
  const { program, diagnostics } = compileRules(new Map([["rules.yaml", yaml]]));
  const error = diagnostics.find((d) => d.severity === "error");
  if (error !== undefined) throw new Error(`Cannot compile the rules of the test: ${error.message}`);
  return program;
}

export interface ResourceOptions {
  /** Port of the explicit-proxy listener (mesh proxyHttpPort, HTTP_PROXY_PORT); 0 = none. The table `http_proxy` is there anyway. */
  readonly httpProxyPort?: number;
}

/** Everything that this control plane says of the program. */
export function resourcesOf(
  program: Program,
  dialect: Dialect,
  options: ResourceOptions = {},
): WireResources {
  const tables = tablesOf(program, dialect);
  return {
    CDS: clustersOf(program, dialect),
    EDS: assignmentsOf(program),
    LDS: listenersOf(tables, dialect, options.httpProxyPort ?? 0),
    RDS: tables.map(({ name, json }) => ({ name, bytes: encodeMessage("RouteConfiguration", json) })),
  };
}

// ---------------------------------------------------------------- clusters and endpoints

const BLACK_HOLE: JsonObject = { name: "BlackHoleCluster", type: "STATIC", connectTimeout: "10s" };
const NEVER_FROM_PROGRAM = new Set(["BlackHoleCluster", "PassthroughCluster"]);

function passthrough(name: string): JsonObject {
  return { name, type: "ORIGINAL_DST", lbPolicy: "CLUSTER_PROVIDED", connectTimeout: "10s" };
}

function clustersOf(program: Program, dialect: Dialect): WireResource[] {
  const described = [...program.clusters.values()]
    .filter((cluster) => !NEVER_FROM_PROGRAM.has(cluster.name))
    .map((cluster) => {
      const json = clusterJson(cluster, program);
      return dialect === "istiod" ? json : v2Cluster(json);
    });
  const standing = dialect === "istiod"
    ? [BLACK_HOLE, passthrough("PassthroughCluster"), passthrough("InboundPassthroughCluster")]
    : [BLACK_HOLE];
  return [...described, ...standing].map((json) => ({
    name: json["name"] as string,
    bytes: encodeMessage("Cluster", json),
  }));
}

/** Envoy's static form of a cluster, but with the endpoints where a control plane puts them. */
function clusterJson(cluster: Cluster, program: Program): JsonObject {
  if (cluster.type === "ORIGINAL_DST") return passthrough(cluster.name);
  const { loadAssignment: inline, ...rest } = envoyCluster(cluster, program);
  if (cluster.type !== "EDS") return { ...rest, type: cluster.type, loadAssignment: inline as JsonObject };
  return {
    ...rest,
    type: "EDS",
    edsClusterConfig: { edsConfig: { ads: {}, initialFetchTimeout: "0s" }, serviceName: cluster.name },
  };
}

function assignmentsOf(program: Program): WireResource[] {
  return [...program.clusters.values()].filter((cluster) => cluster.type === "EDS").map((cluster) => ({
    name: cluster.name,
    bytes: encodeMessage(
      "ClusterLoadAssignment",
      envoyCluster(cluster, program)["loadAssignment"] as JsonObject,
    ),
  }));
}

// ---------------------------------------------------------------- route tables

interface Table {
  /** What it is asked for by; its content may call it otherwise (http_proxy of 0.8.0). */
  readonly name: string;
  readonly port: number;
  readonly json: JsonObject;
}

function tablesOf(program: Program, dialect: Dialect): Table[] {
  const perPort = [...program.routeConfigurations.values()].map((table): Table => ({
    name: table.name,
    port: Number(table.name.slice(table.name.lastIndexOf(":") + 1)),
    json: tableJson(table, dialect),
  }));
  const explicit = tableJson(
    { name: "http_proxy", virtualHosts: [...program.routeConfigurations.values()].flatMap(hostsOfProxy) },
    dialect,
  );
  const json = dialect === "pilot-0.8.0" ? { ...explicit, name: "0" } : explicit;
  return [...perPort, { name: "http_proxy", port: 0, json }];
}

/** The explicit proxy's domains carry the port; bare ones are those of port 80. */
function hostsOfProxy(table: RouteConfiguration): RouteConfiguration["virtualHosts"] {
  const bare = table.name === "80";
  return table.virtualHosts.filter((vh) => !vh.domains.includes("*")).map((vh) => ({
    ...vh,
    domains: vh.domains.flatMap((d) => bare ? [d, `${d}:80`] : [`${d}:${table.name}`]),
  }));
}

function tableJson(table: RouteConfiguration, dialect: Dialect): JsonObject {
  const istiod = dialect === "istiod";
  const hosts = table.virtualHosts.map((vh): JsonObject => ({
    name: vh.name,
    // v2 has no ignorePortInHostMatching: a domain comes with and without its port.
    domains: istiod || table.name === "http_proxy"
      ? vh.domains
      : vh.domains.flatMap((d) => d.includes("*") ? [d] : [d, `${d}:${table.name}`]),
    routes: vh.routes.map(envoyRoute),
  }));
  const json: JsonObject = { name: table.name, virtualHosts: hosts };
  return istiod ? { ...json, ignorePortInHostMatching: true } : v2Table(json, dialect);
}

// ---------------------------------------------------------------- listeners

const HCM = "envoy.filters.network.http_connection_manager";
const HCM_MESSAGE = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

function listenersOf(tables: readonly Table[], dialect: Dialect, httpProxyPort: number): WireResource[] {
  const http = tables.filter((table) => table.name !== "http_proxy")
    .map((table) => listenerJson(`0.0.0.0_${table.port}`, "0.0.0.0", table.port, httpFilter(table, dialect)));
  const proxyTable = tables.find((table) => table.name === "http_proxy") as Table;
  const explicit = httpProxyPort === 0 ? [] : [
    listenerJson(`127.0.0.1_${httpProxyPort}`, "127.0.0.1", httpProxyPort, httpFilter(proxyTable, dialect)),
  ];
  return [...http, ...explicit, ...capturing(dialect)].map((json) => ({
    name: json["name"] as string,
    bytes: encodeMessage("Listener", json),
  }));
}

/** Where a sidecar's iptables lead everything; of no use to an explicit proxy. */
function capturing(dialect: Dialect): JsonObject[] {
  if (dialect !== "istiod") {
    const filter = tcpFilter("BlackHoleCluster", dialect);
    return [{ ...listenerJson("virtual", "0.0.0.0", 15001, filter), useOriginalDst: true }];
  }
  const outbound = listenerJson(
    "virtualOutbound",
    "0.0.0.0",
    15001,
    tcpFilter("PassthroughCluster", dialect),
  );
  const inbound = listenerJson(
    "virtualInbound",
    "0.0.0.0",
    15006,
    tcpFilter("InboundPassthroughCluster", dialect),
  );
  return [
    { ...outbound, useOriginalDst: true, trafficDirection: "OUTBOUND" },
    { ...inbound, useOriginalDst: true, trafficDirection: "INBOUND" },
  ];
}

function listenerJson(name: string, address: string, port: number, filter: JsonObject): JsonObject {
  return {
    name,
    address: { socketAddress: { address, portValue: port } },
    filterChains: [{ filters: [filter] }],
  };
}

function httpFilter(table: Table, dialect: Dialect): JsonObject {
  if (dialect === "pilot-0.8.0") {
    // 0.8.0 puts the table into the listener, and its list of HTTP filters may begin with a null.
    return {
      name: HCM,
      config: inStruct({ statPrefix: "http", routeConfig: table.json, httpFilters: [null, ROUTER] }),
    };
  }
  const rds = { configSource: { ads: {} }, routeConfigName: table.name };
  if (dialect === "pilot-1.0.9") {
    return { name: HCM, config: inStruct({ statPrefix: "http", rds, httpFilters: [ROUTER] }) };
  }
  const router = extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", {});
  return extension(HCM, HCM_MESSAGE, {
    statPrefix: `outbound_${table.name}`,
    rds: { routeConfigName: table.name },
    httpFilters: [router],
  });
}

const ROUTER: Json = { name: "envoy.router" };

function tcpFilter(cluster: string, dialect: Dialect): JsonObject {
  if (dialect === "istiod") {
    const name = "envoy.filters.network.tcp_proxy";
    return extension(name, "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", {
      statPrefix: cluster,
      cluster,
    });
  }
  return { name: "envoy.tcp_proxy", config: inStruct({ statPrefix: cluster, cluster }) };
}
