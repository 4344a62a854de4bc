/**
 * istiod's answers (protojson, proto field names) in our model, and our Programs in the same canonical form, so that both can
 * be compared by equality. Left out on both sides: what has no part in routing (metadata, decorators, filters, stat names) and
the weights and priorities of localities, which depend on the place of the node that istiod was told and rule files do not know.
 */
import type {
  Cluster,
  ClusterLoadAssignment,
  LbEndpoint,
  RouteConfiguration,
} from "../../agent/model/model.ts";

// Protojson as it is.
// deno-lint-ignore no-explicit-any
type Json = any;

/** Fields that only one side knows, or that say the same as their absence. */
const LEFT_OUT = new Set([
  "@type",
  "metadata",
  "decorator",
  "include_request_attempt_count",
  "validate_clusters",
  "max_direct_response_body_size_bytes",
  "filter_enabled",
  "trace_sampled",
  "origin",
]);

export function camel(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
}

function camelKeys(value: Json): Json {
  if (Array.isArray(value)) return value.map(camelKeys);
  if (typeof value !== "object" || value === null) return value;
  const out: Json = {};
  for (const [key, v] of Object.entries(value)) {
    if (LEFT_OUT.has(key)) continue;
    // Names of filters are keys too, but hold dots.
    out[key.includes(".") ? key : camel(key)] = camelKeys(v);
  }
  return out;
}

const REDIRECT_CODES: Readonly<Record<string, number>> = {
  MOVED_PERMANENTLY: 301,
  FOUND: 302,
  SEE_OTHER: 303,
  TEMPORARY_REDIRECT: 307,
  PERMANENT_REDIRECT: 308,
};

const percent = (p: Json): Json => ({
  numerator: p?.numerator ?? 0,
  denominator: p?.denominator ?? "HUNDRED",
});

function routeOfIstiod(route: Json): Json {
  const out = { ...route };
  if (out.match.caseSensitive === true) delete out.match.caseSensitive;
  out.match.queryParameters?.sort((a: Json, b: Json) => a.name < b.name ? -1 : 1);
  if (out.redirect !== undefined) {
    out.redirect.responseCode = REDIRECT_CODES[out.redirect.responseCode ?? "MOVED_PERMANENTLY"];
  }
  const action = out.route;
  const retry = action?.retryPolicy;
  if (retry !== undefined) {
    if (retry.retryHostPredicate !== undefined) retry.avoidPreviousHosts = true;
    delete retry.retryHostPredicate;
    if (retry.retryPriority !== undefined) {
      retry.retryPriority = { updateFrequency: retry.retryPriority.typedConfig.updateFrequency };
    }
    retry.hostSelectionRetryMaxAttempts = Number(retry.hostSelectionRetryMaxAttempts);
  }
  for (const mirror of action?.requestMirrorPolicies ?? []) {
    mirror.runtimeFraction = percent(mirror.runtimeFraction.defaultValue);
  }
  for (const list of headerLists(out)) {
    for (const option of list) option.appendAction ??= "APPEND_IF_EXISTS_OR_ADD";
  }
  const fault = out.typedPerFilterConfig?.["envoy.filters.http.fault"];
  if (fault?.delay !== undefined) fault.delay.percentage = percent(fault.delay.percentage);
  if (fault?.abort !== undefined) fault.abort.percentage = percent(fault.abort.percentage);
  return out;
}

function* headerLists(route: Json): Generator<Json[]> {
  for (const holder of [route, ...(route.route?.weightedClusters?.clusters ?? [])]) {
    for (const key of ["requestHeadersToAdd", "responseHeadersToAdd"]) {
      if (holder[key] !== undefined) yield holder[key];
    }
  }
}

export function routesOfIstiod(answer: Json): Map<string, Json> {
  const tables = new Map<string, Json>();
  for (const resource of answer.resources) {
    const table = camelKeys(resource);
    for (const host of table.virtualHosts) host.routes = (host.routes ?? []).map(routeOfIstiod);
    tables.set(table.name, table);
  }
  return tables;
}

export function routesOfOurs(tables: ReadonlyMap<string, RouteConfiguration>): Map<string, Json> {
  return new Map(Array.from(tables, ([name, table]) => [name, camelKeys(structuredClone(table))]));
}

export function clustersOfIstiod(answer: Json): Map<string, Json> {
  return new Map(answer.resources.map((r: Json) => [r.name, clusterOfIstiod(r)]));
}

function clusterOfIstiod(resource: Json): Json {
  const c = camelKeys(resource);
  const extension =
    c.typedExtensionProtocolOptions?.["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"] ?? {};
  const explicit = extension.explicitHttpConfig;
  const http2 = explicit?.http2ProtocolOptions;
  const protocol: Json = {
    ...extension.commonHttpProtocolOptions,
    ...http2,
    ...(http2 !== undefined ? { protocol: "HTTP2" } : {}),
    ...(extension.useDownstreamProtocolConfig !== undefined ? { protocol: "USE_DOWNSTREAM" } : {}),
    ...(extension.upstreamHttpProtocolOptions?.autoSni === true ? { autoSni: true } : {}),
  };
  const thresholds = c.circuitBreakers?.thresholds[0];
  const budget = thresholds?.retryBudget;
  const keepalive = c.upstreamConnectionOptions?.tcpKeepalive;
  const slow = (c.roundRobinLbConfig ?? c.leastRequestLbConfig)?.slowStartConfig;
  const outlier = c.outlierDetection && { ...c.outlierDetection };
  for (
    const key of [
      "enforcingSuccessRate",
      "enforcingLocalOriginSuccessRate",
      "enforcingConsecutiveLocalOriginFailure",
    ]
  ) {
    if (outlier !== undefined) delete outlier[key];
  }
  return compact({
    name: c.name,
    type: c.type ?? "(extension)",
    lbPolicy: c.lbPolicy ?? "ROUND_ROBIN",
    connectTimeout: c.connectTimeout,
    edsServiceName: c.edsClusterConfig?.serviceName,
    loadAssignment: c.loadAssignment && assignmentOfIstiod(c.loadAssignment),
    dnsRefreshRate: c.dnsRefreshRate,
    circuitBreakers: thresholds &&
      {
        ...thresholds,
        ...(budget === undefined
          ? {}
          : { retryBudget: { ...budget, budgetPercent: budget.budgetPercent.value } }),
      },
    outlierDetection: outlier,
    healthyPanicThreshold: c.commonLbConfig?.healthyPanicThreshold &&
      (c.commonLbConfig.healthyPanicThreshold.value ?? 0),
    httpProtocolOptions: Object.keys(protocol).length === 0 ? undefined : protocol,
    tcpKeepalive: keepalive && compact({
      probes: keepalive.keepaliveProbes,
      time: keepalive.keepaliveTime === undefined ? undefined : `${keepalive.keepaliveTime}s`,
      interval: keepalive.keepaliveInterval === undefined ? undefined : `${keepalive.keepaliveInterval}s`,
    }),
    ringHash: c.ringHashLbConfig && { minimumRingSize: Number(c.ringHashLbConfig.minimumRingSize) },
    maglev: c.maglevLbConfig && { tableSize: Number(c.maglevLbConfig.tableSize) },
    slowStart: slow && compact({
      window: slow.slowStartWindow,
      aggression: slow.aggression?.defaultValue,
      minWeightPercent: slow.minWeightPercent?.value,
    }),
    tls: tlsOfIstiod(c.transportSocket),
  });
}

/** Of TLS only the parts that name the peer: secrets are SDS names there and files here. */
function tlsOfIstiod(socket: Json): Json {
  const config = socket?.typedConfig;
  if (config?.commonTlsContext === undefined) return undefined;
  const names = config.commonTlsContext.combinedValidationContext?.defaultValidationContext
    ?.matchSubjectAltNames;
  return compact({ sni: config.sni, subjectAltNames: names?.map((n: Json) => n.exact) });
}

export function clustersOfOurs(clusters: ReadonlyMap<string, Cluster>): Map<string, Json> {
  const out = new Map<string, Json>();
  for (const [name, cluster] of clusters) {
    const { subsetLabels: _labels, origin: _origin, ...rest } = structuredClone(cluster) as Json;
    if (rest.loadAssignment !== undefined) rest.loadAssignment = assignmentOfOurs(rest.loadAssignment);
    if (rest.tls !== undefined) {
      rest.tls = compact({ sni: rest.tls.sni, subjectAltNames: rest.tls.subjectAltNames });
    }
    out.set(name, rest);
  }
  return out;
}

export interface PlainEndpoint {
  readonly locality: string;
  readonly endpoint: string;
}

/** Endpoints as `locality address:port weight`, in order. */
export function assignmentOfIstiod(assignment: Json): string[] {
  return (camelKeys(assignment).endpoints ?? []).flatMap((group: Json) =>
    (group.lbEndpoints ?? []).map((e: Json) => {
      const { socketAddress, pipe } = e.endpoint.address;
      const address = pipe === undefined
        ? `${socketAddress.address}:${socketAddress.portValue}`
        : `unix://${pipe.path}:0`;
      return plain(group.locality, address, e.loadBalancingWeight);
    })
  );
}

export function assignmentOfOurs(assignment: ClusterLoadAssignment): string[] {
  return assignment.endpoints.flatMap((group) =>
    group.lbEndpoints.map((e: LbEndpoint) =>
      plain(group.locality, `${e.address}:${e.port}`, e.loadBalancingWeight ?? 1)
    )
  );
}

function plain(locality: Json, address: string, weight: number): string {
  const where = [locality?.region, locality?.zone, locality?.subZone].filter((s) => s).join("/");
  return `${where} ${address} weight ${weight}`.trim();
}

function compact(value: Json): Json {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined));
}
