/** GET /v1/clusters/CLUSTER/NODE -> clusters. */
import { type Diagnostic, type Origin } from "../../core/diagnostics.ts";
import { formatDuration } from "../../core/duration.ts";
import { normalAddress } from "../../core/ip.ts";
import { isSame } from "../../istio/share.ts";
import type { Cluster, ClusterType, LbEndpoint, LbPolicy, OutlierDetection } from "../../model/model.ts";
import { finish, type Steps } from "./json_steps.ts";
import { join, type JsonObject, Reading } from "./reading.ts";
import { keepAbsent } from "./registration.ts";
import { parseServiceKey } from "./service_key.ts";

const TYPES: ReadonlyMap<string, ClusterType> = new Map([
  ["sds", "EDS"],
  ["static", "STATIC"],
  ["strict_dns", "STRICT_DNS"],
  ["logical_dns", "LOGICAL_DNS"],
  ["original_dst", "ORIGINAL_DST"],
]);
const POLICIES: ReadonlyMap<string, LbPolicy> = new Map([
  ["round_robin", "ROUND_ROBIN"],
  ["least_request", "LEAST_REQUEST"],
  ["random", "RANDOM"],
  ["ring_hash", "RING_HASH"],
  ["original_dst_lb", "CLUSTER_PROVIDED"],
]);

/** Pilot's own, which lead to the workload itself. */
const INBOUND = /^in\./;

/**
 * The clusters by name, those of inbound traffic left out. One that cannot be used keeps its value of `previous`, or stays
 * out; an equal one is that object again, with the version it came with. While one has no name, nothing is deleted. Undefined
 * when the answer has no list of clusters.
 */
export function decodeClusters(
  value: unknown,
  origin: Origin,
  previous?: ReadonlyMap<string, Cluster>,
): DecodedClusters | undefined {
  return finish(clusterSteps(value, origin, previous));
}

export interface DecodedClusters {
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly problems: readonly Diagnostic[];
}

/** The same in steps, one for each cluster. */
export function* clusterSteps(
  value: unknown,
  origin: Origin,
  previous: ReadonlyMap<string, Cluster> = new Map(),
): Steps<DecodedClusters | undefined> {
  const list = listIn(value, "clusters");
  if (list === undefined) return undefined;
  const clusters = new Map<string, Cluster>();
  const problems: Diagnostic[] = [];
  let nameless = false;
  for (const [i, item] of list.entries()) {
    yield;
    const path = `clusters[${i}]`;
    const name = (item as JsonObject | null)?.name;
    const own: Origin = typeof name === "string" ? { ...origin, kind: "Cluster", resource: name } : origin;
    const reading = new Reading(own);
    const from = reading.object(item, path);
    const cluster = from && readCluster(from, path, reading);
    problems.push(...reading.problems);
    if (cluster === null) continue;
    if (typeof name !== "string" || name === "") nameless = true;
    const known = typeof name === "string" ? previous.get(name) : undefined;
    if (cluster === undefined || reading.problems.length > 0) {
      if (known !== undefined && !clusters.has(known.name)) clusters.set(known.name, known);
      continue;
    }
    if (clusters.has(cluster.name)) {
      reading.fail(path, `Cannot use cluster "${cluster.name}" again: it is there already`, "D213");
      problems.push(...reading.problems);
      continue;
    }
    const placed: Cluster = { ...cluster, origin: reading.originOf(path) };
    const same = known !== undefined &&
      isSame({ ...known, origin: undefined }, { ...placed, origin: undefined });
    clusters.set(cluster.name, same ? known : placed);
  }
  if (nameless) keepAbsent(clusters, previous);
  return { clusters, problems };
}

/** The list under `name` of an answer; null counts as an empty one. */
export function listIn(value: unknown, name: string): readonly unknown[] | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const list = (value as JsonObject)[name];
  if (list === null) return [];
  return Array.isArray(list) ? list : undefined;
}

/** Null for a cluster of inbound traffic. */
function readCluster(from: JsonObject, path: string, reading: Reading): Cluster | null | undefined {
  const name = reading.needText(from, "name", path);
  if (name === undefined) return undefined;
  if (INBOUND.test(name)) return null;
  const written = reading.text(from, "type", path) ?? "";
  const type = TYPES.get(written);
  if (type === undefined) {
    return reading.fail(
      join(path, "type"),
      `Cannot use cluster "${name}": its type is "${written}"; want one of ${[...TYPES.keys()].join(", ")}`,
    );
  }
  const balancer = reading.text(from, "lb_type", path) ?? "round_robin";
  const lbPolicy = POLICIES.get(balancer);
  if (lbPolicy === undefined) {
    return reading.fail(
      join(path, "lb_type"),
      `Cannot use cluster "${name}": its lb_type is "${balancer}"; want one of ${
        [...POLICIES.keys()].join(", ")
      }`,
    );
  }
  const timeoutMs = reading.count(from, "connect_timeout_ms", path, 1) ?? 10_000;
  const service = reading.text(from, "service_name", path);
  if (type === "EDS" && (service === undefined || parseServiceKey(service) === undefined)) {
    return reading.fail(
      join(path, "service_name"),
      `Cannot use cluster "${name}": it takes its endpoints from service_name "${
        service ?? ""
      }"; want a service key`,
    );
  }
  const hosts = readHosts(from, name, path, reading);
  const labels = service === undefined ? undefined : parseServiceKey(service)?.labels;
  const options = readProtocol(from, path, reading);
  const breakers = reading.part(from, "circuit_breakers", path);
  const outlier = reading.part(from, "outlier_detection", path);
  const tls = reading.part(from, "ssl_context", path);
  return {
    name,
    type,
    lbPolicy: type === "ORIGINAL_DST" ? "CLUSTER_PROVIDED" : lbPolicy,
    connectTimeout: formatDuration(timeoutMs),
    ...(type === "EDS" ? { edsServiceName: service as string } : {}),
    ...(type === "EDS" || type === "ORIGINAL_DST"
      ? {}
      : { loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: hosts }] } }),
    ...(breakers === undefined ? {} : readBreakers(breakers, join(path, "circuit_breakers"), reading)),
    ...(outlier === undefined
      ? {}
      : { outlierDetection: readOutlier(outlier, join(path, "outlier_detection"), reading) }),
    ...(options === undefined ? {} : { httpProtocolOptions: options }),
    ...(tls === undefined ? {} : { tls: readTls(tls, join(path, "ssl_context"), reading) }),
    ...(labels?.length === 1 ? { subsetLabels: labels[0] as Readonly<Record<string, string>> } : {}),
  };
}

function readHosts(from: JsonObject, name: string, path: string, reading: Reading): LbEndpoint[] {
  const endpoints: LbEndpoint[] = [];
  for (const [i, item] of reading.list(from, "hosts", path).entries()) {
    const at = `${path}.hosts[${i}]`;
    const host = reading.object(item, at);
    const url = host && reading.needText(host, "url", at);
    if (url === undefined) continue;
    const m = /^tcp:\/\/(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]]+)):(\d{1,5})$/.exec(url);
    const port = Number(m?.[3] ?? 0);
    if (m === null || port < 1 || port > 65_535) {
      reading.fail(
        join(at, "url"),
        `Cannot use host "${url}" of cluster "${name}": it is no address; want tcp://host:port`,
      );
      continue;
    }
    const address = (m[1] ?? m[2]) as string;
    endpoints.push({ address: normalAddress(address) ?? address.toLowerCase(), port });
  }
  return endpoints;
}

type ProtocolOptions = NonNullable<Cluster["httpProtocolOptions"]>;

function readProtocol(from: JsonObject, path: string, reading: Reading): ProtocolOptions | undefined {
  const perConnection = reading.count(from, "max_requests_per_connection", path);
  const features = reading.text(from, "features", path) ?? "";
  const http2 = reading.part(from, "http2_settings", path);
  const streams = http2 && reading.count(http2, "max_concurrent_streams", join(path, "http2_settings"));
  if (perConnection === undefined && http2 === undefined && !features.includes("http2")) return undefined;
  return {
    ...(perConnection === undefined || perConnection === 0
      ? {}
      : { maxRequestsPerConnection: perConnection }),
    ...(streams === undefined ? {} : { maxConcurrentStreams: streams }),
    ...(http2 !== undefined || features.includes("http2") ? { protocol: "HTTP2" } : {}),
  };
}

function readBreakers(from: JsonObject, path: string, reading: Reading): Pick<Cluster, "circuitBreakers"> {
  const standard = reading.part(from, "default", path);
  if (standard === undefined) return {};
  const at = join(path, "default");
  const maxConnections = reading.count(standard, "max_connections", at);
  const maxPendingRequests = reading.count(standard, "max_pending_requests", at);
  const maxRequests = reading.count(standard, "max_requests", at);
  const maxRetries = reading.count(standard, "max_retries", at);
  return {
    circuitBreakers: {
      ...(maxConnections === undefined ? {} : { maxConnections }),
      ...(maxPendingRequests === undefined ? {} : { maxPendingRequests }),
      ...(maxRequests === undefined ? {} : { maxRequests }),
      ...(maxRetries === undefined ? {} : { maxRetries }),
    },
  };
}

function readOutlier(from: JsonObject, path: string, reading: Reading): OutlierDetection {
  const consecutive5xx = reading.count(from, "consecutive_5xx", path);
  const intervalMs = reading.count(from, "interval_ms", path);
  const ejectionMs = reading.count(from, "base_ejection_time_ms", path);
  const maxEjectionPercent = reading.count(from, "max_ejection_percent", path, 0, 100);
  return {
    ...(consecutive5xx === undefined ? {} : { consecutive5xx }),
    ...(intervalMs === undefined ? {} : { interval: formatDuration(intervalMs) }),
    ...(ejectionMs === undefined ? {} : { baseEjectionTime: formatDuration(ejectionMs) }),
    ...(maxEjectionPercent === undefined ? {} : { maxEjectionPercent }),
  };
}

function readTls(from: JsonObject, path: string, reading: Reading): NonNullable<Cluster["tls"]> {
  const clientCertificate = reading.text(from, "cert_chain_file", path);
  const privateKey = reading.text(from, "private_key_file", path);
  const caCertificates = reading.text(from, "ca_cert_file", path);
  const names = reading.list(from, "verify_subject_alt_name", path).filter((n) => typeof n === "string");
  return {
    mode: clientCertificate === undefined ? "SIMPLE" : "MUTUAL",
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(caCertificates === undefined ? {} : { caCertificates }),
    ...(names.length === 0 ? {} : { subjectAltNames: names }),
  };
}
