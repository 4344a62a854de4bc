/**
 * Listener of every generation -> the model: its address, and for each filter chain the route table or the clusters that it
 * leads to. Filters come as Struct under their name (Pilot up to 1.3), or as Any by type URL. Filters that do not decide where
 * connections go are left out without a word; one that does and is unknown leaves its chain without a destination, with a note.
 *
 * In: the bytes of the resource. Out: a Listener, or problems that Envoy too would refuse it for.
 *
 * @example
 * ```ts ignore
 * const result = decodeListener(schema, raw, { kind: "Listener", resource: "0.0.0.0_8084", version });
 * if ("value" in result) result.value.filterChains[0]?.http?.routeConfigName; // "8084"
 * ```
 */
import type { Origin } from "../core/diagnostics.ts";
import type { FilterChain, FilterChainMatch, Listener, TcpProxy } from "../model/model.ts";
import { messageOfTypeUrl, type Messages, type Schema } from "../../protos/schema.ts";
import { decodeInlineRouteConfiguration, summarized } from "./decode_route.ts";
import type { DecodeResult, RawResource } from "./types.ts";
import { durationText, type Findings, findings, NOT_EXECUTED } from "./values.ts";

export function decodeListener(schema: Schema, raw: RawResource, origin: Origin): DecodeResult<Listener> {
  const m = schema.decode("Listener", raw.bytes);
  const found = findings(origin, NOT_EXECUTED);
  if (m.name === "") {
    found.problem("name", "Cannot use a listener without a name: it is empty; a name is wanted");
  }
  if (m.filter_chain_matcher !== null) {
    found.problem(
      "filter_chain_matcher",
      "Cannot choose filter chains by a matcher: the agent does not know it; filter_chain_match is wanted",
    );
  }
  const chain = (c: Messages["FilterChain"], at: string): FilterChain =>
    decodeChain(schema, c, at, origin, found);
  const bindToPort = (m.bind_to_port ?? m.deprecated_v1?.bind_to_port)?.value;
  const value: Listener = {
    name: m.name,
    ...decodeAddress(m, found),
    ...decodeFurther(m),
    filterChains: m.filter_chains.map((c, i) => chain(c, `filter_chains[${i}]`)),
    ...(m.default_filter_chain === null
      ? {}
      : { defaultFilterChain: chain(m.default_filter_chain, "default_filter_chain") }),
    ...(m.traffic_direction === 1
      ? { trafficDirection: "INBOUND" }
      : m.traffic_direction === 2
      ? { trafficDirection: "OUTBOUND" }
      : {}),
    ...(bindToPort === undefined ? {} : { bindToPort }),
    ...(m.use_original_dst === null ? {} : { useOriginalDst: m.use_original_dst.value }),
    origin,
  };
  return found.problems.length > 0 ? { problems: found.problems } : { value, notes: summarized(found.notes) };
}

function decodeAddress(m: Messages["Listener"], found: Findings): { address: string; port: number } {
  const socket = m.address?.socket_address;
  if (socket) {
    if (socket.port_value === null && socket.named_port !== null) {
      found.problem(
        "address.socket_address.named_port",
        `Cannot listen on named port "${socket.named_port}": a number is wanted`,
      );
    }
    if ((socket.port_value ?? 0) > 65535) {
      found.problem(
        "address.socket_address.port_value",
        `Cannot listen on port "${socket.port_value}": it does not exist; 0 to 65535 are wanted`,
      );
    }
    return { address: socket.address, port: socket.port_value ?? 0 };
  }
  if (m.address?.pipe) return { address: m.address.pipe.path, port: 0 };
  // Listeners inside Envoy, and those of gRPC without proxy: nothing connects to them from outside.
  return { address: m.address?.envoy_internal_address?.server_listener_name || m.name, port: 0 };
}

/** Addresses besides the first, as services with IPv4 and IPv6 have them; the port is the same. */
function decodeFurther(m: Messages["Listener"]): Pick<Listener, "additionalAddresses"> {
  const further = m.additional_addresses.flatMap((a) => a.address?.socket_address?.address ?? []);
  return further.length === 0 ? {} : { additionalAddresses: further };
}

function decodeChain(
  schema: Schema,
  m: Messages["FilterChain"],
  at: string,
  origin: Origin,
  found: Findings,
): FilterChain {
  const match = m.filter_chain_match === null
    ? undefined
    : decodeChainMatch(m.filter_chain_match, `${at}.filter_chain_match`, found);
  const common: FilterChain = {
    ...(m.name === "" ? {} : { name: m.name }),
    ...(match === undefined || Object.keys(match).length === 0 ? {} : { match }),
  };
  let unknown: string | undefined;
  for (let i = 0; i < m.filters.length; i++) {
    const filter = m.filters[i] as Messages["Filter"];
    const place = `${at}.filters[${i}]`;
    const read = readFilter(schema, filter);
    if (read === undefined) {
      if (DECIDES.some((name) => filter.name.endsWith(name))) unknown = filter.name;
      continue;
    }
    if (unknown !== undefined) break;
    return "http" in read
      ? { ...common, ...decodeHttp(schema, read.http, `${place}.${read.field}`, origin, found) }
      : { ...common, tcp: decodeTcp(read.tcp, read.v1, `${place}.${read.field}`, found) };
  }
  unknown ??= m.filters.at(-1)?.name;
  if (unknown) {
    found.note(
      `${at}.filters`,
      `Cannot execute network filter "${unknown}": the agent does not know it; connections of its chain have no destination`,
    );
  }
  return common;
}

/** Network filters that choose the cluster for the TCP proxy behind them. */
const DECIDES = [
  "filters.network.sni_cluster",
  "filters.network.sni_dynamic_forward_proxy",
  "filters.network.tcp_cluster_rewrite",
];

type ReadFilter =
  | { readonly field: string; readonly http: Messages["HttpConnectionManager"] }
  | {
    readonly field: string;
    readonly tcp: Messages["TcpProxy"];
    /** The v1 form inside the Struct, as 0.8 sends for addresses. */
    readonly v1: Messages["Struct"] | undefined;
  };

/** Undefined for filters other than the two. Type URL first: names are free to choose. */
function readFilter(schema: Schema, filter: Messages["Filter"]): ReadFilter | undefined {
  const { name, typed_config: any, config } = filter;
  if (any !== null) {
    const field = "typed_config";
    switch (messageOfTypeUrl(any.type_url)) {
      case "HttpConnectionManager":
        return { field, http: schema.decode("HttpConnectionManager", any.value) };
      case "TcpProxy":
        return { field, tcp: schema.decode("TcpProxy", any.value), v1: undefined };
      case "TypedStruct": {
        const { type_url, value } = schema.decode("TypedStruct", any.value);
        const type = messageOfTypeUrl(type_url);
        if (value === null) return undefined;
        if (type === "HttpConnectionManager") return { field, http: schema.structToMessage(type, value) };
        if (type === "TcpProxy") return { field, tcp: schema.structToMessage(type, value), v1: undefined };
      }
    }
    return undefined;
  }
  if (config === null) return undefined;
  if (name === "envoy.http_connection_manager" || name === "envoy.filters.network.http_connection_manager") {
    return { field: "config", http: schema.structToMessage("HttpConnectionManager", config) };
  }
  if (name === "envoy.tcp_proxy" || name === "envoy.filters.network.tcp_proxy") {
    const v1 = config.fields.deprecated_v1?.bool_value === true
      ? config.fields.value?.struct_value ?? undefined
      : undefined;
    return { field: "config", tcp: schema.structToMessage("TcpProxy", v1 ?? config), v1 };
  }
  return undefined;
}

function decodeHttp(
  schema: Schema,
  m: Messages["HttpConnectionManager"],
  at: string,
  origin: Origin,
  found: Findings,
): Pick<FilterChain, "http"> {
  const statPrefix = m.stat_prefix;
  if (m.rds !== null) {
    if (m.rds.route_config_name === "") {
      found.problem(
        `${at}.rds.route_config_name`,
        "Cannot ask for a route table without a name: a name is wanted",
      );
    }
    return { http: { statPrefix, routeConfigName: m.rds.route_config_name } };
  }
  if (m.route_config !== null) {
    const place = `${at}.route_config`;
    const routeConfig = decodeInlineRouteConfiguration(schema, m.route_config, place, origin, found);
    return { http: { statPrefix, routeConfig } };
  }
  found.problem(
    at,
    m.scoped_routes === null
      ? "Cannot use an HTTP connection manager without routes: wanted is rds or route_config"
      : "Cannot choose route tables by scope (scoped_routes): the agent does not know it; wanted is rds or route_config",
  );
  return {};
}

function decodeTcp(
  m: Messages["TcpProxy"],
  v1: Messages["Struct"] | undefined,
  at: string,
  found: Findings,
): TcpProxy {
  if (m.tunneling_config !== null) {
    found.note(
      `${at}.tunneling_config`,
      "Cannot tunnel TCP through HTTP CONNECT: connections go straight to the cluster",
    );
  }
  const idleTimeout = durationText(m.idle_timeout);
  const duration = durationText(m.max_downstream_connection_duration);
  const options = {
    ...(idleTimeout === undefined ? {} : { idleTimeout }),
    ...(duration === undefined ? {} : { maxDownstreamConnectionDuration: duration }),
    ...(m.max_connect_attempts === null ? {} : { maxConnectAttempts: m.max_connect_attempts.value }),
  };
  if (m.weighted_clusters !== null) {
    const clusters = m.weighted_clusters.clusters.map(({ name, weight }) => ({ name, weight }));
    if (clusters.every((c) => c.weight === 0)) {
      found.problem(
        `${at}.weighted_clusters`,
        `Cannot divide connections among ${clusters.length} clusters: the sum of their weights is 0; more is wanted`,
      );
    }
    return { statPrefix: m.stat_prefix, weightedClusters: clusters, ...options };
  }
  const cluster = v1 === undefined ? m.cluster : v1Cluster(v1, at, found);
  if (!cluster) {
    found.problem(
      at,
      "Cannot proxy TCP without a cluster: none is named; wanted is cluster or weighted_clusters",
    );
  }
  return { statPrefix: m.stat_prefix, cluster: cluster ?? "", ...options };
}

/** `{ route_config: { routes: [{ cluster, destination_ip_list }] } }`; the addresses are those of the listener. */
function v1Cluster(v1: Messages["Struct"], at: string, found: Findings): string | undefined {
  const routes = v1.fields.route_config?.struct_value?.fields.routes?.list_value?.values ?? [];
  if (routes.length > 1) {
    found.note(
      `${at}.value.route_config.routes`,
      "Cannot choose among several v1 TCP routes: the first is taken",
    );
  }
  return routes[0]?.struct_value?.fields.cluster?.string_value ?? undefined;
}

function decodeChainMatch(
  m: Messages["FilterChainMatch"],
  at: string,
  found: Findings,
): FilterChainMatch {
  if (m.address_suffix !== "" || m.source_type !== 0) {
    found.note(
      at,
      "Cannot test address_suffix and source_type of a connection: the chain counts as matching",
    );
  }
  const serverNames = [...m.server_names, ...m.sni_domains];
  return {
    ...(m.destination_port === null ? {} : { destinationPort: m.destination_port.value }),
    ...(m.prefix_ranges.length === 0 ? {} : { prefixRanges: m.prefix_ranges.map(cidrText) }),
    ...(m.source_prefix_ranges.length === 0
      ? {}
      : { sourcePrefixRanges: m.source_prefix_ranges.map(cidrText) }),
    ...(serverNames.length === 0 ? {} : { serverNames }),
    ...(m.transport_protocol === "" ? {} : { transportProtocol: m.transport_protocol }),
    ...(m.application_protocols.length === 0 ? {} : { applicationProtocols: m.application_protocols }),
  };
}

function cidrText(range: Messages["CidrRange"]): string {
  return `${range.address_prefix}/${range.prefix_len?.value ?? 0}`;
}
