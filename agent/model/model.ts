/**
 * The model in which everything meets: the part of Envoy's v3 API that we honour, with its names and JSON spelling
 * (lowerCamel), plus `origin`. Rules from files and answers of every Pilot generation become this; route tables, dumps,
 * `explain` and `program --format envoy` are made from it. All values are frozen by convention (readonly) and
 * structured-clone. Durations are proto-JSON texts (`"1.5s"`).
 *
 * Sources: envoy.config.route.v3, envoy.config.cluster.v3, envoy.config.endpoint.v3, extensions.filters.http.{fault,cors}.
 *
 * Rules or xDS bytes -> Program -> route tables and clusters.
 *
 * @example
 * ```ts
 * import type { VirtualHost } from "./model.ts";
 * const host: VirtualHost = {
 *   name: "reviews:9080",
 *   domains: ["reviews"],
 *   routes: [{ match: { prefix: "/" }, route: { cluster: "outbound|9080||reviews" } }],
 * };
 * ```
 */
import type { Origin } from "../core/diagnostics.ts";

/** Proto-JSON duration, `"0s"`, `"0.025s"`. */
export type Duration = string;

// ---------------------------------------------------------------- routes

/** Header operations of one level. Envoy runs the most specific level first, so that the outermost has the last word. */
export interface HeaderFields {
  readonly requestHeadersToAdd?: readonly HeaderValueOption[];
  readonly requestHeadersToRemove?: readonly string[];
  readonly responseHeadersToAdd?: readonly HeaderValueOption[];
  readonly responseHeadersToRemove?: readonly string[];
}

export interface RouteConfiguration extends HeaderFields {
  /** RDS name: `"8084"`, `"host:port"`, `"http_proxy"`. */
  readonly name: string;
  readonly virtualHosts: readonly VirtualHost[];
  readonly ignorePortInHostMatching?: boolean;
  /** Header operations of the table run first, then the virtual host's, then the route's; a weighted cluster's before all. */
  readonly mostSpecificHeaderMutationsWins?: boolean;
}

export interface VirtualHost extends HeaderFields {
  /** `host:port`; `host:*` in table `http_proxy`: its domains without a port are for every port. */
  readonly name: string;
  /** Lower-case: exact, `*.x`, `*-x`, `x.*`, `*`; with a port only in tables without ignorePortInHostMatching. */
  readonly domains: readonly string[];
  readonly routes: readonly Route[];
  readonly origin?: Origin;
}

export interface Route extends HeaderFields {
  readonly name?: string;
  readonly match: RouteMatch;
  /** Exactly one of route, redirect, directResponse. */
  readonly route?: RouteAction;
  readonly redirect?: RedirectAction;
  readonly directResponse?: DirectResponseAction;
  readonly typedPerFilterConfig?: {
    readonly "envoy.filters.http.fault"?: HTTPFault;
    readonly "envoy.filters.http.cors"?: CorsPolicy;
  };
  readonly statPrefix?: string;
  readonly origin?: Origin;
}

/** Exactly one of prefix, path, safeRegex, pathSeparatedPrefix. */
export interface RouteMatch {
  readonly prefix?: string;
  readonly path?: string;
  readonly safeRegex?: RegexMatcher;
  /** The path itself, or followed by `/`; only from control planes. */
  readonly pathSeparatedPrefix?: string;
  /** Default true; has no effect on safeRegex. */
  readonly caseSensitive?: boolean;
  readonly headers?: readonly HeaderMatcher[];
  readonly queryParameters?: readonly QueryParameterMatcher[];
}

/** RE2 syntax, full match. */
export interface RegexMatcher {
  readonly regex: string;
}

/** Exactly one of the kinds. */
export interface StringMatcher {
  readonly exact?: string;
  readonly prefix?: string;
  readonly suffix?: string;
  readonly contains?: string;
  readonly safeRegex?: RegexMatcher;
  readonly ignoreCase?: boolean;
}

export interface HeaderMatcher {
  /** Lower-case; `:method`, `:authority`, `:scheme`, `:path` for pseudo headers. */
  readonly name: string;
  readonly stringMatch?: StringMatcher;
  readonly presentMatch?: boolean;
  readonly rangeMatch?: { readonly start: number; readonly end: number };
  readonly invertMatch?: boolean;
  readonly treatMissingHeaderAsEmpty?: boolean;
}

export interface QueryParameterMatcher {
  readonly name: string;
  readonly stringMatch?: StringMatcher;
  readonly presentMatch?: boolean;
}

export interface RouteAction {
  /** Exactly one of cluster, weightedClusters. */
  readonly cluster?: string;
  readonly weightedClusters?: { readonly clusters: readonly ClusterWeight[] };
  readonly prefixRewrite?: string;
  readonly regexRewrite?: { readonly pattern: RegexMatcher; readonly substitution: string };
  readonly hostRewriteLiteral?: string;
  /** `"0s"` = no timeout. Absent = 15 s (Envoy), which only Pilots before 1.0 leave so. */
  readonly timeout?: Duration;
  readonly maxGrpcTimeout?: Duration;
  readonly retryPolicy?: RetryPolicy;
  readonly requestMirrorPolicies?: readonly RequestMirrorPolicy[];
  readonly hashPolicy?: readonly HashPolicy[];
}

export interface ClusterWeight extends HeaderFields {
  readonly name: string;
  readonly weight: number;
  readonly hostRewriteLiteral?: string;
}

export interface RetryPolicy {
  /** Comma list in Envoy's words. */
  readonly retryOn: string;
  readonly numRetries: number;
  readonly perTryTimeout?: Duration;
  readonly retriableStatusCodes?: readonly number[];
  readonly retryBackOff?: { readonly baseInterval: Duration; readonly maxInterval?: Duration };
  readonly retryPriority?: { readonly updateFrequency: number };
  /** `previous_hosts` predicate present. */
  readonly avoidPreviousHosts?: boolean;
  readonly hostSelectionRetryMaxAttempts?: number;
}

export interface RequestMirrorPolicy {
  readonly cluster: string;
  readonly runtimeFraction?: FractionalPercent;
  readonly disableShadowHostSuffixAppend?: boolean;
}

export interface FractionalPercent {
  readonly numerator: number;
  readonly denominator: "HUNDRED" | "TEN_THOUSAND" | "MILLION";
}

export interface HashPolicy {
  readonly header?: { readonly headerName: string };
  readonly cookie?: {
    readonly name: string;
    readonly ttl?: Duration;
    readonly path?: string;
    readonly attributes?: readonly { readonly name: string; readonly value: string }[];
  };
  readonly connectionProperties?: { readonly sourceIp: boolean };
  readonly queryParameter?: { readonly name: string };
}

export interface RedirectAction {
  readonly pathRedirect?: string;
  readonly prefixRewrite?: string;
  readonly hostRedirect?: string;
  readonly schemeRedirect?: "http" | "https";
  readonly portRedirect?: number;
  readonly stripQuery?: boolean;
  readonly responseCode: 301 | 302 | 303 | 307 | 308;
}

export interface DirectResponseAction {
  readonly status: number;
  readonly body?: { readonly inlineString?: string; readonly inlineBytes?: string /* base64 */ };
}

export interface HeaderValueOption {
  readonly header: { readonly key: string; readonly value: string };
  readonly appendAction:
    | "APPEND_IF_EXISTS_OR_ADD"
    | "ADD_IF_ABSENT"
    | "OVERWRITE_IF_EXISTS_OR_ADD"
    | "OVERWRITE_IF_EXISTS";
}

export interface HTTPFault {
  readonly delay?: { readonly fixedDelay: Duration; readonly percentage: FractionalPercent };
  readonly abort?: {
    readonly httpStatus?: number;
    /** gRPC status number. */
    readonly grpcStatus?: number;
    readonly percentage: FractionalPercent;
  };
}

export interface CorsPolicy {
  readonly allowOriginStringMatch: readonly StringMatcher[];
  readonly allowMethods?: string;
  readonly allowHeaders?: string;
  readonly exposeHeaders?: string;
  /** Whole seconds as text. */
  readonly maxAge?: string;
  readonly allowCredentials?: boolean;
  /** Default true. */
  readonly forwardNotMatchingPreflights?: boolean;
}

// ---------------------------------------------------------------- clusters and endpoints

export type ClusterType = "STATIC" | "EDS" | "STRICT_DNS" | "LOGICAL_DNS" | "ORIGINAL_DST";
export type LbPolicy =
  | "ROUND_ROBIN"
  | "LEAST_REQUEST"
  | "RANDOM"
  | "RING_HASH"
  | "MAGLEV"
  | "CLUSTER_PROVIDED";

export interface Cluster {
  /** `outbound|PORT|SUBSET|HOST`, `PassthroughCluster`, `BlackHoleCluster`, … */
  readonly name: string;
  readonly type: ClusterType;
  readonly lbPolicy: LbPolicy;
  readonly connectTimeout: Duration;
  /** Inline endpoints: STATIC, STRICT_DNS, LOGICAL_DNS. For EDS they come in {@link Program.loadAssignments}. */
  readonly loadAssignment?: ClusterLoadAssignment;
  readonly edsServiceName?: string;
  /** How long a first assignment is waited for; `"0s"` = for ever. Absent = Envoy's 15 s. */
  readonly edsInitialFetchTimeout?: Duration;
  readonly dnsRefreshRate?: Duration;
  readonly circuitBreakers?: {
    readonly maxConnections?: number;
    readonly maxPendingRequests?: number;
    readonly maxRequests?: number;
    readonly maxRetries?: number;
    readonly retryBudget?: {
      readonly budgetPercent: number;
      readonly minRetryConcurrency: number;
      readonly budgetInterval?: Duration;
    };
  };
  readonly outlierDetection?: OutlierDetection;
  /** Healthy-panic threshold in percent; absent = Envoy's 50. */
  readonly healthyPanicThreshold?: number;
  readonly httpProtocolOptions?: {
    readonly idleTimeout?: Duration;
    readonly maxConnectionDuration?: Duration;
    readonly maxRequestsPerConnection?: number;
    readonly maxConcurrentStreams?: number;
    readonly connectionKeepalive?: { readonly interval: Duration; readonly timeout: Duration };
    /** Upstream protocol; default HTTP1. */
    readonly protocol?: "HTTP1" | "HTTP2" | "USE_DOWNSTREAM";
    readonly autoSni?: boolean;
  };
  readonly tcpKeepalive?: {
    readonly probes?: number;
    readonly time?: Duration;
    readonly interval?: Duration;
  };
  readonly ringHash?: { readonly minimumRingSize?: number; readonly maximumRingSize?: number };
  readonly maglev?: { readonly tableSize?: number };
  readonly slowStart?: {
    readonly window: Duration;
    readonly aggression?: number;
    readonly minWeightPercent?: number;
  };
  /** TLS origination; executed later. */
  readonly tls?: {
    readonly mode: "SIMPLE" | "MUTUAL" | "ISTIO_MUTUAL";
    readonly clientCertificate?: string;
    readonly privateKey?: string;
    readonly caCertificates?: string;
    readonly credentialName?: string;
    readonly subjectAltNames?: readonly string[];
    readonly sni?: string;
    readonly insecureSkipVerify?: boolean;
  };
  /** The same, only to endpoints with {@link LbEndpoint.tlsMode}; executed later. */
  readonly tlsModeIstio?: NonNullable<Cluster["tls"]>;
  /** Labels that the subset selects by; absent for the whole service. */
  readonly subsetLabels?: Readonly<Record<string, string>>;
  readonly origin?: Origin;
}

export interface OutlierDetection {
  readonly consecutive5xx?: number;
  readonly consecutiveGatewayFailure?: number;
  readonly enforcingConsecutive5xx?: number;
  readonly enforcingConsecutiveGatewayFailure?: number;
  readonly interval?: Duration;
  readonly baseEjectionTime?: Duration;
  readonly maxEjectionPercent?: number;
  readonly splitExternalLocalOriginErrors?: boolean;
  readonly consecutiveLocalOriginFailure?: number;
  readonly httpErrorCodes?: readonly number[];
}

export interface ClusterLoadAssignment {
  readonly clusterName: string;
  readonly endpoints: readonly LocalityLbEndpoints[];
  /** Only from control planes. */
  readonly origin?: Origin;
}

export interface LocalityLbEndpoints {
  readonly locality?: { readonly region: string; readonly zone?: string; readonly subZone?: string };
  readonly loadBalancingWeight?: number;
  /** Default 0. */
  readonly priority?: number;
  readonly lbEndpoints: readonly LbEndpoint[];
}

/** Flat where Envoy nests (endpoint.address.socketAddress), because there are a hundred thousand of them. */
export interface LbEndpoint {
  /** IP literal without brackets, DNS name (DNS clusters), or `unix:///path`. */
  readonly address: string;
  /** 0 for unix paths. */
  readonly port: number;
  /** Default 1. */
  readonly loadBalancingWeight?: number;
  /** Default UNKNOWN, which counts as healthy. */
  readonly healthStatus?: "UNKNOWN" | "HEALTHY" | "UNHEALTHY" | "DRAINING" | "TIMEOUT" | "DEGRADED";
  /** The workload takes Istio's mutual TLS (metadata `envoy.transport_socket_match`). */
  readonly tlsMode?: "istio";
  /** Known in file mode; xDS does not carry them. */
  readonly labels?: Readonly<Record<string, string>>;
}

// ---------------------------------------------------------------- listeners

/**
 * Outbound listeners as a control plane describes them. HTTP chains name route tables; TCP and SNI chains decide tunnels and
 * local ports. In file mode only for ports that carry more than HTTP.
 */
export interface Listener {
  /** `0.0.0.0_8084`, `10.0.0.5_3306`, `virtualOutbound`, `127.0.0.1_15002`, … */
  readonly name: string;
  /** An IP address, or the host of a service that only CONNECT by name can tell apart. */
  readonly address: string;
  /** 0 for unix paths. */
  readonly port: number;
  /** Of the same port. */
  readonly additionalAddresses?: readonly string[];
  readonly filterChains: readonly FilterChain[];
  readonly defaultFilterChain?: FilterChain;
  readonly trafficDirection?: "INBOUND" | "OUTBOUND";
  readonly bindToPort?: boolean;
  readonly useOriginalDst?: boolean;
  readonly origin?: Origin;
}

export interface FilterChain {
  readonly name?: string;
  readonly match?: FilterChainMatch;
  /** At most one of http, tcp; none = a chain of network filters that we do not know. */
  readonly http?: {
    readonly statPrefix: string;
    /** Exactly one of the two. */
    readonly routeConfigName?: string;
    readonly routeConfig?: RouteConfiguration;
  };
  readonly tcp?: TcpProxy;
  /** Host of the service that the chain was made for; known in file mode. */
  readonly service?: string;
  /** Length of the longest range of `match` that holds the whole range of the service, so that its name stands for it; known in file mode. */
  readonly servicePrefix?: number;
  /** It is the service's own: no rule says where it leads; known in file mode. */
  readonly ruleless?: true;
  readonly origin?: Origin;
}

/** Absent fields match everything. */
export interface FilterChainMatch {
  readonly destinationPort?: number;
  /** CIDR texts, `10.0.0.0/8`. */
  readonly prefixRanges?: readonly string[];
  readonly sourcePrefixRanges?: readonly string[];
  readonly serverNames?: readonly string[];
  /** `raw_buffer`, `tls`. */
  readonly transportProtocol?: string;
  readonly applicationProtocols?: readonly string[];
}

export interface TcpProxy {
  readonly statPrefix: string;
  /** Exactly one of cluster, weightedClusters. */
  readonly cluster?: string;
  readonly weightedClusters?: readonly { readonly name: string; readonly weight: number }[];
  /** Without a byte either way; `"0s"` = none. Absent = 1 h. */
  readonly idleTimeout?: Duration;
  readonly maxDownstreamConnectionDuration?: Duration;
  /** Default 1. */
  readonly maxConnectAttempts?: number;
}

/** A port of the workload that a control plane wants led to the local application. */
export interface ApplicationPort {
  /** The workload's; `0.0.0.0` = whichever a connection was made to. */
  readonly address: string;
  readonly port: number;
  readonly protocol: "http" | "http2" | "tcp";
  /** On 127.0.0.1. */
  readonly localPort: number;
  /** Why the agent cannot take it, as the rest of a sentence. */
  readonly refused?: string;
}

// ---------------------------------------------------------------- the whole

/** Everything that a source of rules says, in one value. Maps keep insertion order; values are shared between versions. */
export interface Program {
  /** By RDS name. In file mode one per HTTP port, named by the port. */
  readonly routeConfigurations: ReadonlyMap<string, RouteConfiguration>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  /** By EDS service name (= cluster name). */
  readonly loadAssignments: ReadonlyMap<string, ClusterLoadAssignment>;
  /** By name. */
  readonly listeners?: ReadonlyMap<string, Listener>;
  /** By name: listener, or listener and port. Absent when there are none. */
  readonly inbound?: ReadonlyMap<string, ApplicationPort>;
}

export const EMPTY_PROGRAM: Program = {
  routeConfigurations: new Map(),
  clusters: new Map(),
  loadAssignments: new Map(),
};

export const PASSTHROUGH_CLUSTER = "PassthroughCluster";
export const BLACKHOLE_CLUSTER = "BlackHoleCluster";

/** `outbound|PORT|SUBSET|HOST`. */
export function clusterName(port: number, subset: string, host: string): string {
  return `outbound|${port}|${subset}|${host}`;
}

export function parseClusterName(
  name: string,
): { direction: string; port: number; subset: string; host: string } | undefined {
  const parts = name.split("|");
  if (parts.length !== 4) return undefined;
  return {
    direction: parts[0] as string,
    port: Number(parts[1]),
    subset: parts[2] as string,
    host: parts[3] as string,
  };
}
