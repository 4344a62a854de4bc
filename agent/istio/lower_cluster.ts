/**
 * A service and its DestinationRule -> clusters, one per port and subset (istio-semantics 2.3 to 2.7 and 3.1), and the two
 * clusters of every program: pass on to where the client wanted to go, and nowhere.
 */
import { parseDuration } from "../core/duration.ts";
import {
  BLACKHOLE_CLUSTER,
  type Cluster,
  type ClusterLoadAssignment,
  clusterName,
  type ClusterType,
  type LbPolicy,
  type OutlierDetection,
  PASSTHROUGH_CLUSTER,
} from "../model/model.ts";
import {
  type EffectivePolicy,
  effectivePolicy,
  type MergedRule,
  type MergedSubset,
} from "./destination_rules.ts";
import {
  endpointsOf,
  isResolved,
  loadAssignment,
  type PlacedEndpoint,
  selectEndpoints,
} from "./lower_endpoints.ts";
import { normalDuration } from "./lower_values.ts";
import { type Places, placesOf } from "./origin.ts";
import type {
  ClientTLSSettings,
  ConnectionPoolSettings,
  LoadBalancerSettings,
  OutlierDetectionSettings,
  RuleDocument,
} from "./resources.ts";
import type { PortOfService, Service, Services } from "./services.ts";

/** Istio's "no limit". */
const UNLIMITED = 4_294_967_295;
const CONNECT_TIMEOUT = "10s";
const DNS_REFRESH_RATE = "60s";

type Breakers = NonNullable<Cluster["circuitBreakers"]>;
/** Thresholds of a service without a rule. */
export const NO_LIMITS: Breakers = {
  maxConnections: UNLIMITED,
  maxPendingRequests: UNLIMITED,
  maxRequests: UNLIMITED,
  maxRetries: UNLIMITED,
};

/** Clusters that every program has. */
export const STANDING_CLUSTERS: readonly Cluster[] = [
  { name: BLACKHOLE_CLUSTER, type: "STATIC", lbPolicy: "ROUND_ROBIN", connectTimeout: CONNECT_TIMEOUT },
  {
    name: PASSTHROUGH_CLUSTER,
    type: "ORIGINAL_DST",
    lbPolicy: "CLUSTER_PROVIDED",
    connectTimeout: CONNECT_TIMEOUT,
    circuitBreakers: NO_LIMITS,
    httpProtocolOptions: { idleTimeout: "300s", protocol: "USE_DOWNSTREAM" },
  },
];

export interface LoweredClusters {
  readonly clusters: readonly Cluster[];
  readonly assignments: readonly ClusterLoadAssignment[];
}

/** Every cluster of a service, in the order of ports and subsets. */
export function lowerClusters(
  service: Service,
  rule: MergedRule | undefined,
  services: Services,
): LoweredClusters {
  const clusters: Cluster[] = [];
  const assignments: ClusterLoadAssignment[] = [];
  const places = new Map<RuleDocument, Places>();
  const placeIn = (document: RuleDocument): Places => {
    let place = places.get(document);
    if (place === undefined) places.set(document, place = placesOf(document));
    return place;
  };
  for (const port of service.ports) {
    const placed = endpointsOf(service, port, services);
    const add = (own: MergedSubset | undefined): void => {
      const subset = own?.subset;
      const name = clusterName(port.number, subset?.name ?? "", service.host);
      const labels = subset?.labels ?? {};
      const chosen = subset === undefined ? placed : selectEndpoints(placed, labels);
      const policy = effectivePolicy(rule, port.number, subset);
      const type = clusterType(service, policy);
      const inline = type === "STRICT_DNS" || type === "LOGICAL_DNS";
      // Istio gives no cluster to a name without endpoints.
      if (inline && chosen.length === 0) return;
      const origin = own === undefined
        ? placeIn(port.document)(["spec", "ports", port.index])
        : placeIn(own.document)(own.path);
      clusters.push({
        ...lowerCluster(name, service, port, policy, type, inline ? chosen : undefined),
        ...(subset === undefined ? {} : { subsetLabels: labels }),
        origin,
      });
      if (type === "EDS") assignments.push(loadAssignment(name, chosen));
    };
    add(undefined);
    for (const subset of rule?.subsets ?? []) add(subset);
  }
  return { clusters, assignments };
}

/** Only the load assignments of a service whose clusters are known. */
export function lowerAssignments(
  service: Service,
  clusters: readonly Cluster[],
  services: Services,
): ClusterLoadAssignment[] {
  const byPort = new Map<number, PlacedEndpoint[]>();
  for (const port of service.ports) byPort.set(port.number, endpointsOf(service, port, services));
  const assignments: ClusterLoadAssignment[] = [];
  for (const cluster of clusters) {
    if (cluster.type !== "EDS") continue;
    const placed = byPort.get(Number(cluster.name.split("|")[1])) ?? [];
    const chosen = cluster.subsetLabels === undefined
      ? placed
      : selectEndpoints(placed, cluster.subsetLabels);
    assignments.push(loadAssignment(cluster.name, chosen));
  }
  return assignments;
}

function clusterType(service: Service, policy: EffectivePolicy): ClusterType {
  if (policy.loadBalancer?.simple === "PASSTHROUGH") return "ORIGINAL_DST";
  switch (service.resolution) {
    case "STATIC":
      return "EDS";
    case "DNS":
      return "STRICT_DNS";
    case "DNS_ROUND_ROBIN":
      return "LOGICAL_DNS";
    default:
      return "ORIGINAL_DST";
  }
}

function lowerCluster(
  name: string,
  service: Service,
  port: PortOfService,
  policy: EffectivePolicy,
  type: ClusterType,
  inline: readonly PlacedEndpoint[] | undefined,
): Cluster {
  const { connectionPool, outlierDetection } = policy;
  const outlier = outlierDetection == null ? undefined : lowerOutlier(outlierDetection);
  const protocol = lowerProtocol(port, connectionPool, policy.tls);
  const keepalive = lowerKeepalive(connectionPool);
  const tls = lowerTls(policy.tls, port, name, service);
  return {
    name,
    type,
    connectTimeout: normalDuration(connectionPool?.tcp?.connectTimeout) ?? CONNECT_TIMEOUT,
    ...lowerBalancer(policy.loadBalancer, type),
    ...(type === "EDS" ? { edsServiceName: name } : {}),
    ...(inline === undefined ? {} : { loadAssignment: loadAssignment(name, inline) }),
    ...(isResolved(service) && inline !== undefined ? { dnsRefreshRate: DNS_REFRESH_RATE } : {}),
    circuitBreakers: lowerBreakers(connectionPool, policy.retryBudget),
    ...(outlier === undefined ? {} : { outlierDetection: outlier }),
    // Istio switches Envoy's panic mode off unless the rule asks for a minimum.
    healthyPanicThreshold: Math.max(0, outlierDetection?.minHealthPercent ?? 0),
    ...(protocol === undefined ? {} : { httpProtocolOptions: protocol }),
    ...(keepalive === undefined ? {} : { tcpKeepalive: keepalive }),
    ...(tls === undefined ? {} : { tls }),
  };
}

const POLICIES: Readonly<Record<string, LbPolicy>> = {
  ROUND_ROBIN: "ROUND_ROBIN",
  RANDOM: "RANDOM",
  LEAST_CONN: "LEAST_REQUEST",
  LEAST_REQUEST: "LEAST_REQUEST",
};

function lowerBalancer(
  settings: LoadBalancerSettings | null | undefined,
  type: ClusterType,
): Pick<Cluster, "lbPolicy" | "ringHash" | "maglev" | "slowStart"> {
  if (type === "ORIGINAL_DST") return { lbPolicy: "CLUSTER_PROVIDED" };
  const hash = settings?.consistentHash;
  if (hash !== undefined && hash !== null) {
    if (hash.maglev !== undefined) {
      const tableSize = positive(hash.maglev?.tableSize);
      return { lbPolicy: "MAGLEV", maglev: tableSize === undefined ? {} : { tableSize } };
    }
    const size = hash.ringHash === undefined
      ? positive(hash.minimumRingSize) ?? 1024
      : positive(hash.ringHash?.minimumRingSize);
    return { lbPolicy: "RING_HASH", ringHash: size === undefined ? {} : { minimumRingSize: size } };
  }
  const lbPolicy = POLICIES[settings?.simple ?? ""] ?? "LEAST_REQUEST";
  if (lbPolicy === "RANDOM") return { lbPolicy };
  const slowStart = lowerWarmup(settings);
  return slowStart === undefined ? { lbPolicy } : { lbPolicy, slowStart };
}

function lowerWarmup(settings: LoadBalancerSettings | null | undefined): Cluster["slowStart"] | undefined {
  const { warmup } = settings ?? {};
  const window = normalDuration(warmup?.duration ?? settings?.warmupDurationSecs);
  if (window === undefined) return undefined;
  return {
    window,
    ...(warmup?.aggression === undefined ? {} : { aggression: warmup.aggression }),
    ...(warmup?.minimumPercent === undefined ? {} : { minWeightPercent: warmup.minimumPercent }),
  };
}

const positive = (n: number | null | undefined): number | undefined =>
  n !== undefined && n !== null && n > 0 ? n : undefined;

function lowerBreakers(
  pool: ConnectionPoolSettings | null | undefined,
  budget: EffectivePolicy["retryBudget"],
): Breakers {
  if (pool == null && budget == null) return NO_LIMITS;
  const percent = typeof budget?.percent === "number" ? budget.percent : budget?.percent?.value;
  const interval = normalDuration(budget?.budgetInterval);
  return {
    maxConnections: positive(pool?.tcp?.maxConnections) ?? UNLIMITED,
    maxPendingRequests: positive(pool?.http?.http1MaxPendingRequests) ?? UNLIMITED,
    maxRequests: positive(pool?.http?.http2MaxRequests) ?? UNLIMITED,
    maxRetries: positive(pool?.http?.maxRetries) ?? UNLIMITED,
    ...(budget == null ? {} : {
      retryBudget: {
        budgetPercent: percent ?? 20,
        minRetryConcurrency: budget.minRetryConcurrency || 3,
        ...(interval === undefined ? {} : { budgetInterval: interval }),
      },
    }),
  };
}

function lowerOutlier(settings: OutlierDetectionSettings): OutlierDetection {
  const { consecutive5xxErrors, consecutiveGatewayErrors, consecutiveLocalOriginFailures } = settings;
  const interval = normalDuration(settings.interval);
  const baseEjectionTime = normalDuration(settings.baseEjectionTime);
  const split = settings.splitExternalLocalOriginErrors === true;
  const codes = settings.outlierDetectionHttpErrorCodes;
  return {
    ...(consecutive5xxErrors == null ? {} : {
      consecutive5xx: consecutive5xxErrors,
      enforcingConsecutive5xx: consecutive5xxErrors > 0 ? 100 : 0,
    }),
    ...(consecutiveGatewayErrors == null ? {} : {
      consecutiveGatewayFailure: consecutiveGatewayErrors,
      enforcingConsecutiveGatewayFailure: consecutiveGatewayErrors > 0 ? 100 : 0,
    }),
    ...(interval === undefined ? {} : { interval }),
    ...(baseEjectionTime === undefined ? {} : { baseEjectionTime }),
    ...(positive(settings.maxEjectionPercent) === undefined
      ? {}
      : { maxEjectionPercent: settings.maxEjectionPercent as number }),
    ...(split ? { splitExternalLocalOriginErrors: true } : {}),
    ...(split && consecutiveLocalOriginFailures != null
      ? { consecutiveLocalOriginFailure: consecutiveLocalOriginFailures }
      : {}),
    ...(codes && codes.length > 0 ? { httpErrorCodes: codes } : {}),
  };
}

type ProtocolOptions = NonNullable<Cluster["httpProtocolOptions"]>;

function lowerProtocol(
  port: PortOfService,
  pool: ConnectionPoolSettings | null | undefined,
  tls: ClientTLSSettings | null | undefined,
): ProtocolOptions | undefined {
  const http = pool?.http;
  const options: { -readonly [K in keyof ProtocolOptions]: ProtocolOptions[K] } = {};
  const idleTimeout = normalDuration(http?.idleTimeout) ?? normalDuration(pool?.tcp?.idleTimeout);
  if (idleTimeout !== undefined) options.idleTimeout = idleTimeout;
  const maxConnectionDuration = normalDuration(pool?.tcp?.maxConnectionDuration);
  if (maxConnectionDuration !== undefined) options.maxConnectionDuration = maxConnectionDuration;
  const maxRequests = positive(http?.maxRequestsPerConnection);
  if (maxRequests !== undefined) options.maxRequestsPerConnection = maxRequests;
  if (http?.useClientProtocol === true) options.protocol = "USE_DOWNSTREAM";
  else if (port.kind === "http2" || http?.h2UpgradePolicy === "UPGRADE") {
    options.protocol = "HTTP2";
    const streams = positive(http?.maxConcurrentStreams);
    if (streams !== undefined) options.maxConcurrentStreams = streams;
    const { interval, timeout } = http?.http2KeepAlive ?? {};
    if (interval !== undefined || timeout !== undefined) {
      options.connectionKeepalive = {
        interval: normalDuration(interval) ?? "0s",
        timeout: normalDuration(timeout) ?? "0s",
      };
    }
  } else if (port.kind === "sniffed") options.protocol = "USE_DOWNSTREAM";
  if ((tls?.mode === "SIMPLE" || tls?.mode === "MUTUAL") && !tls.sni) options.autoSni = true;
  return Object.keys(options).length === 0 ? undefined : options;
}

function lowerKeepalive(
  pool: ConnectionPoolSettings | null | undefined,
): Cluster["tcpKeepalive"] | undefined {
  const keepalive = pool?.tcp?.tcpKeepalive;
  if (keepalive === undefined || keepalive === null) return undefined;
  const seconds = (text: string | undefined): string | undefined => {
    const ms = text === undefined ? undefined : parseDuration(text);
    return ms === undefined ? undefined : `${Math.trunc(ms / 1000)}s`;
  };
  const [time, interval] = [seconds(keepalive.time), seconds(keepalive.interval)];
  return {
    ...(positive(keepalive.probes) === undefined ? {} : { probes: keepalive.probes as number }),
    ...(time === undefined ? {} : { time }),
    ...(interval === undefined ? {} : { interval }),
  };
}

function lowerTls(
  tls: ClientTLSSettings | null | undefined,
  port: PortOfService,
  name: string,
  service: Service,
): Cluster["tls"] | undefined {
  if (tls === undefined || tls === null) return undefined;
  const { mode } = tls;
  if (mode !== "SIMPLE" && mode !== "MUTUAL" && mode !== "ISTIO_MUTUAL") return undefined;
  const sni = tls.sni ||
    (mode === "ISTIO_MUTUAL"
      ? `outbound_.${port.number}_.${name.split("|")[2] ?? ""}_.${service.host}`
      : undefined);
  return {
    mode,
    ...(tls.clientCertificate ? { clientCertificate: tls.clientCertificate } : {}),
    ...(tls.privateKey ? { privateKey: tls.privateKey } : {}),
    ...(tls.caCertificates ? { caCertificates: tls.caCertificates } : {}),
    ...(tls.credentialName ? { credentialName: tls.credentialName } : {}),
    ...(tls.subjectAltNames && tls.subjectAltNames.length > 0
      ? { subjectAltNames: tls.subjectAltNames }
      : {}),
    ...(sni ? { sni } : {}),
    ...(tls.insecureSkipVerify === true ? { insecureSkipVerify: true } : {}),
  };
}
