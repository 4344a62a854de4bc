/**
 * Cluster of every generation -> the model: v2's hosts and tls_context, v3's load_assignment and transport sockets, protocol
 * options in fields (up to Istio 1.8) or as an extension. What Envoy would refuse is a problem, what we only cannot do a note.
 */
import type { Origin } from "../core/diagnostics.ts";
import type { Cluster, ClusterType, OutlierDetection } from "../model/model.ts";
import { messageOfTypeUrl, type Messages, type Schema } from "../../protos/schema.ts";
import { decodeBalancer } from "./decode_balancer.ts";
import type { AssignmentDecoder, AssignmentRules } from "./decode_endpoint.ts";
import { decodeTlsContext, decodeTransportSocket } from "./decode_tls.ts";
import type { DecodeResult, RawResource } from "./types.ts";
import { durationText, type Findings, findings, isPositive, percentage, ruleOf, unwrap } from "./values.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type ClusterMessage = Messages["Cluster"];

/** Envoy's default. */
const CONNECT_TIMEOUT = "5s";

export function decodeCluster(
  schema: Schema,
  assignments: AssignmentDecoder,
  raw: RawResource,
  origin: Origin,
): DecodeResult<Cluster> {
  const found = findings(origin);
  const message = schema.decode("Cluster", raw.bytes);
  if (message.name === "") found.problem("name", "Cannot use a cluster without a name");
  const type = clusterType(schema, message, found);
  const cluster: Mutable<Cluster> = {
    name: message.name,
    type,
    ...(type === "ORIGINAL_DST"
      ? { lbPolicy: "CLUSTER_PROVIDED" as const }
      : decodeBalancer(schema, message, found)),
    connectTimeout: positiveDuration(message.connect_timeout, "connect_timeout", found) ?? CONNECT_TIMEOUT,
  };
  readEndpoints(schema, assignments, message, cluster, found);
  readLimits(message, cluster, found);
  if (message.outlier_detection !== null) {
    cluster.outlierDetection = outlierDetection(message.outlier_detection, found);
  }
  const panic = percentage(
    message.common_lb_config?.healthy_panic_threshold ?? null,
    "common_lb_config.healthy_panic_threshold.value",
    found,
  );
  if (panic !== undefined) cluster.healthyPanicThreshold = panic;
  const protocol = protocolOptions(schema, message);
  if (protocol !== undefined) cluster.httpProtocolOptions = protocol;
  const keepalive = message.upstream_connection_options?.tcp_keepalive;
  if (keepalive != null) cluster.tcpKeepalive = tcpKeepalive(keepalive);
  readTls(schema, message, cluster, found);
  const from = ruleOf(message.metadata);
  cluster.origin = from === undefined ? origin : { ...origin, from };
  return found.problems.length > 0 ? { problems: found.problems } : { value: cluster, notes: found.notes };
}

function clusterType(schema: Schema, message: ClusterMessage, found: Findings): ClusterType {
  const custom = message.cluster_type;
  if (custom === null) {
    // v2 left the first value, STATIC, out.
    const type = schema.enumName("Cluster.DiscoveryType", message.type ?? 0);
    if (type === undefined) found.problem("type", `Cannot use cluster type ${message.type}`);
    return type ?? "STATIC";
  }
  // The host that a request names is looked up and dialled: for us the same as its original destination.
  if (/\bdynamic_forward_proxy\b/.test(`${custom.name} ${custom.typed_config?.type_url ?? ""}`)) {
    return "ORIGINAL_DST";
  }
  found.note(
    "cluster_type",
    `Cannot find endpoints by ${JSON.stringify(custom.name)}; the cluster has none`,
    {
      severity: "warning",
      hint: "Requests to this cluster are answered 503; route them to a cluster of another type.",
    },
  );
  return "STATIC";
}

function positiveDuration(
  duration: Messages["Duration"] | null,
  field: string,
  found: Findings,
): string | undefined {
  if (duration !== null && !isPositive(duration)) {
    found.problem(field, `Cannot use ${durationText(duration)}; more than 0s is wanted`);
  }
  return durationText(duration);
}

function readEndpoints(
  schema: Schema,
  assignments: AssignmentDecoder,
  message: ClusterMessage,
  cluster: Mutable<Cluster>,
  found: Findings,
): void {
  const { type } = cluster;
  if (type === "EDS") {
    const { service_name = "", eds_config = null } = message.eds_cluster_config ?? {};
    if (service_name !== "") {
      // One string instead of two equal ones.
      cluster.edsServiceName = service_name === message.name ? message.name : service_name;
    }
    const wait = durationText(eds_config?.initial_fetch_timeout ?? null);
    if (wait !== undefined) cluster.edsInitialFetchTimeout = wait;
    return;
  }
  if (type === "ORIGINAL_DST") return;
  const names = type === "STRICT_DNS" || type === "LOGICAL_DNS";
  if (message.load_assignment !== null) {
    const bytes = schema.encode("ClusterLoadAssignment", message.load_assignment);
    cluster.loadAssignment = assignments.inline(bytes, found, {
      names,
      path: (inner) => `load_assignment.${inner}`,
    });
  } else if (message.hosts.length > 0) {
    cluster.loadAssignment = hostsAssignment(schema, assignments, message, names, found);
  }
  if (type === "LOGICAL_DNS") {
    const count = (cluster.loadAssignment?.endpoints ?? []).reduce((n, l) => n + l.lbEndpoints.length, 0);
    if (count !== 1) {
      found.problem("load_assignment", `Cannot use ${count} endpoints with LOGICAL_DNS; one is wanted`);
    }
  }
  const refresh = positiveDuration(message.dns_refresh_rate, "dns_refresh_rate", found);
  if (names && refresh !== undefined) cluster.dnsRefreshRate = refresh;
}

/** v2's `hosts`: addresses without weights and localities. */
function hostsAssignment(
  schema: Schema,
  assignments: AssignmentDecoder,
  message: ClusterMessage,
  names: boolean,
  found: Findings,
): NonNullable<Cluster["loadAssignment"]> {
  const rules: AssignmentRules = {
    names,
    path: (inner) => inner.replace(/^endpoints\[0\]\.lb_endpoints(\[\d+\])\.endpoint\.address/, "hosts$1"),
  };
  const bytes = schema.encode("ClusterLoadAssignment", {
    cluster_name: message.name,
    endpoints: [{ lb_endpoints: message.hosts.map((address) => ({ endpoint: { address } })) }],
  });
  return assignments.inline(bytes, found, rules);
}

/** Thresholds of DEFAULT priority. 4294967295 is Istio's "no limit" and stays. */
function readLimits(message: ClusterMessage, cluster: Mutable<Cluster>, found: Findings): void {
  const thresholds = message.circuit_breakers?.thresholds ?? [];
  const index = thresholds.findIndex(({ priority }) => priority === 0);
  if (index < 0) return;
  const limits = thresholds[index]!;
  const breakers: Mutable<Breakers> = {};
  if (limits.max_connections !== null) breakers.maxConnections = limits.max_connections.value;
  if (limits.max_pending_requests !== null) breakers.maxPendingRequests = limits.max_pending_requests.value;
  if (limits.max_requests !== null) breakers.maxRequests = limits.max_requests.value;
  if (limits.max_retries !== null) breakers.maxRetries = limits.max_retries.value;
  const budget = limits.retry_budget;
  if (budget !== null) {
    const field = `circuit_breakers.thresholds[${index}].retry_budget.budget_percent.value`;
    breakers.retryBudget = {
      budgetPercent: percentage(budget.budget_percent, field, found) ?? 20,
      minRetryConcurrency: unwrap(budget.min_retry_concurrency) ?? 3,
    };
  }
  if (isUnlimited(breakers)) cluster.circuitBreakers = UNLIMITED;
  else if (Object.keys(breakers).length > 0) cluster.circuitBreakers = breakers;
}

type Breakers = NonNullable<Cluster["circuitBreakers"]>;
const NO_LIMIT = 4_294_967_295;
/** What nearly every cluster of istiod has: one object for all. */
const UNLIMITED: Breakers = {
  maxConnections: NO_LIMIT,
  maxPendingRequests: NO_LIMIT,
  maxRequests: NO_LIMIT,
  maxRetries: NO_LIMIT,
};

function isUnlimited(breakers: Breakers): boolean {
  return breakers.maxConnections === NO_LIMIT && breakers.maxPendingRequests === NO_LIMIT &&
    breakers.maxRequests === NO_LIMIT && breakers.maxRetries === NO_LIMIT &&
    breakers.retryBudget === undefined;
}

const PERCENTAGES = [
  "max_ejection_percent",
  "enforcing_consecutive_5xx",
  "enforcing_consecutive_gateway_failure",
] as const;

function outlierDetection(message: Messages["OutlierDetection"], found: Findings): OutlierDetection {
  for (const name of PERCENTAGES) {
    const percent = unwrap(message[name]);
    if (percent !== undefined && percent > 100) {
      found.problem(`outlier_detection.${name}`, `Cannot use ${percent} percent; 0 to 100 is wanted`);
    }
  }
  const result: Mutable<OutlierDetection> = {};
  const set = <K extends keyof OutlierDetection>(key: K, value: OutlierDetection[K] | undefined): void => {
    if (value !== undefined) result[key] = value;
  };
  set("consecutive5xx", unwrap(message.consecutive_5xx));
  set("consecutiveGatewayFailure", unwrap(message.consecutive_gateway_failure));
  set("enforcingConsecutive5xx", unwrap(message.enforcing_consecutive_5xx));
  set("enforcingConsecutiveGatewayFailure", unwrap(message.enforcing_consecutive_gateway_failure));
  set("interval", positiveDuration(message.interval, "outlier_detection.interval", found));
  set(
    "baseEjectionTime",
    positiveDuration(message.base_ejection_time, "outlier_detection.base_ejection_time", found),
  );
  set("maxEjectionPercent", unwrap(message.max_ejection_percent));
  if (message.split_external_local_origin_errors) result.splitExternalLocalOriginErrors = true;
  set("consecutiveLocalOriginFailure", unwrap(message.consecutive_local_origin_failure));
  return result;
}

type ProtocolOptions = Mutable<NonNullable<Cluster["httpProtocolOptions"]>>;

/** The extension, when there is one, stands for all the older fields. */
function protocolOptions(schema: Schema, message: ClusterMessage): ProtocolOptions | undefined {
  const options: ProtocolOptions = {};
  const any = Object.values(message.typed_extension_protocol_options)
    .find(({ type_url }) => messageOfTypeUrl(type_url) === "UpstreamHttpOptions");
  if (any !== undefined) {
    const extension = schema.decode("UpstreamHttpOptions", any.value);
    readCommonOptions(extension.common_http_protocol_options, options);
    if (extension.use_downstream_protocol_config !== null) options.protocol = "USE_DOWNSTREAM";
    else readHttp2(extension.explicit_http_config?.http2_protocol_options ?? null, options);
    if (extension.upstream_http_protocol_options?.auto_sni) options.autoSni = true;
  } else {
    readCommonOptions(message.common_http_protocol_options, options);
    const maxRequests = unwrap(message.max_requests_per_connection);
    if (maxRequests) options.maxRequestsPerConnection ??= maxRequests;
    if (
      schema.enumName("Cluster.ClusterProtocolSelection", message.protocol_selection) ===
        "USE_DOWNSTREAM_PROTOCOL"
    ) {
      options.protocol = "USE_DOWNSTREAM";
    } else readHttp2(message.http2_protocol_options, options);
    if (message.upstream_http_protocol_options?.auto_sni) options.autoSni = true;
  }
  return Object.keys(options).length === 0 ? undefined : options;
}

function readCommonOptions(message: Messages["HttpProtocolOptions"] | null, options: ProtocolOptions): void {
  if (message === null) return;
  const idleTimeout = durationText(message.idle_timeout);
  if (idleTimeout !== undefined) options.idleTimeout = idleTimeout;
  const maxConnectionDuration = durationText(message.max_connection_duration);
  if (maxConnectionDuration !== undefined) options.maxConnectionDuration = maxConnectionDuration;
  const maxRequests = unwrap(message.max_requests_per_connection);
  if (maxRequests) options.maxRequestsPerConnection = maxRequests;
}

function readHttp2(message: Messages["Http2ProtocolOptions"] | null, options: ProtocolOptions): void {
  if (message === null) return;
  options.protocol = "HTTP2";
  const streams = unwrap(message.max_concurrent_streams);
  if (streams) options.maxConcurrentStreams = streams;
  const keepalive = message.connection_keepalive;
  if (keepalive !== null) {
    options.connectionKeepalive = {
      interval: durationText(keepalive.interval) ?? "0s",
      timeout: durationText(keepalive.timeout) ?? "0s",
    };
  }
}

function tcpKeepalive(message: Messages["TcpKeepalive"]): NonNullable<Cluster["tcpKeepalive"]> {
  const probes = unwrap(message.keepalive_probes);
  const time = unwrap(message.keepalive_time);
  const interval = unwrap(message.keepalive_interval);
  return {
    ...(probes === undefined ? {} : { probes }),
    ...(time === undefined ? {} : { time: `${time}s` }),
    ...(interval === undefined ? {} : { interval: `${interval}s` }),
  };
}

function readTls(
  schema: Schema,
  message: ClusterMessage,
  cluster: Mutable<Cluster>,
  found: Findings,
): void {
  const tls = message.tls_context !== null
    ? decodeTlsContext(message.tls_context)
    : decodeTransportSocket(schema, message.transport_socket, "transport_socket", found);
  if (tls !== undefined) cluster.tls = tls;
  const matches = message.transport_socket_matches;
  for (let i = 0; i < matches.length; i++) {
    const { match, transport_socket } = matches[i]!;
    const field = `transport_socket_matches[${i}].transport_socket`;
    if (match?.fields["tlsMode"]?.string_value === "istio") {
      const toIstio = decodeTransportSocket(schema, transport_socket, field, found);
      if (toIstio !== undefined) cluster.tlsModeIstio ??= toIstio;
    } else if (match !== null && Object.keys(match.fields).length === 0 && tls === undefined) {
      // The one for everybody else.
      const toOthers = decodeTransportSocket(schema, transport_socket, field, found);
      if (toOthers !== undefined) cluster.tls ??= toOthers;
    }
  }
}
