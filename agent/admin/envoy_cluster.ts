/** Clusters of the model as Envoy's JSON, with their endpoints inline (there is no control plane to ask). */
import type { Cluster, ClusterLoadAssignment, LbEndpoint, Program } from "../model/model.ts";
import { extension, type Json, type JsonObject, plain } from "./envoy_json.ts";

/** The dynamic-forward-proxy filter and its clusters must name one and the same cache. */
export const DNS_CACHE: JsonObject = { name: "outbound", dnsLookupFamily: "V4_PREFERRED" };

/** The destination is the request's own host: in an explicit proxy that is Envoy's dynamic forward proxy. */
export function needsForwardProxy(cluster: Cluster): boolean {
  return cluster.type === "ORIGINAL_DST";
}

export function forwardProxyCluster(name: string, connectTimeout = "10s"): JsonObject {
  return {
    name,
    connectTimeout,
    lbPolicy: "CLUSTER_PROVIDED",
    clusterType: extension(
      "envoy.clusters.dynamic_forward_proxy",
      "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
      { dnsCacheConfig: DNS_CACHE },
    ),
  };
}

export function envoyCluster(cluster: Cluster, program: Program): JsonObject {
  if (needsForwardProxy(cluster)) return forwardProxyCluster(cluster.name, cluster.connectTimeout);
  const assignment = cluster.loadAssignment ??
    program.loadAssignments.get(cluster.edsServiceName ?? cluster.name);
  const localities = assignment?.endpoints ?? [];
  const named = localities.some((l) => l.lbEndpoints.some((e) => isDnsName(e.address)));
  const dns = cluster.type === "STRICT_DNS" || cluster.type === "LOGICAL_DNS";
  const common: Record<string, Json> = {};
  if (cluster.healthyPanicThreshold !== undefined) {
    common["healthyPanicThreshold"] = { value: cluster.healthyPanicThreshold };
  }
  if (localities.some((l) => l.loadBalancingWeight !== undefined)) common["localityWeightedLbConfig"] = {};
  return {
    name: cluster.name,
    type: dns ? cluster.type : named ? "STRICT_DNS" : "STATIC",
    connectTimeout: cluster.connectTimeout,
    lbPolicy: cluster.lbPolicy,
    loadAssignment: envoyAssignment(cluster.name, assignment),
    ...(dns || named ? { dnsLookupFamily: "V4_PREFERRED" } : {}),
    ...(dns && cluster.dnsRefreshRate !== undefined ? { dnsRefreshRate: cluster.dnsRefreshRate } : {}),
    ...(Object.keys(common).length === 0 ? {} : { commonLbConfig: common }),
    ...circuitBreakers(cluster),
    ...(cluster.outlierDetection === undefined
      ? {}
      : { outlierDetection: plain(cluster.outlierDetection, "httpErrorCodes") }),
    ...protocolOptions(cluster),
    ...balancing(cluster),
    ...keepalive(cluster),
    ...transport(cluster),
  };
}

function isDnsName(address: string): boolean {
  return !address.startsWith("unix://") && !/^[\d.]+$/.test(address) && !address.includes(":");
}

function envoyAssignment(clusterName: string, assignment: ClusterLoadAssignment | undefined): JsonObject {
  return {
    clusterName,
    endpoints: (assignment?.endpoints ?? []).map((locality) => ({
      ...plain(locality, "lbEndpoints"),
      lbEndpoints: locality.lbEndpoints.map(envoyEndpoint),
    })),
  };
}

function envoyEndpoint(e: LbEndpoint): JsonObject {
  const address: JsonObject = e.address.startsWith("unix://")
    ? { pipe: { path: e.address.slice("unix://".length) } }
    : { socketAddress: { address: e.address, portValue: e.port } };
  return {
    endpoint: { address },
    ...(e.loadBalancingWeight === undefined ? {} : { loadBalancingWeight: e.loadBalancingWeight }),
    ...(e.healthStatus === undefined ? {} : { healthStatus: e.healthStatus }),
  };
}

function circuitBreakers(cluster: Cluster): JsonObject {
  const limits = cluster.circuitBreakers;
  if (limits === undefined) return {};
  const { retryBudget } = limits;
  return {
    circuitBreakers: {
      thresholds: [{
        ...plain(limits, "retryBudget"),
        ...(retryBudget === undefined ? {} : {
          retryBudget: {
            budgetPercent: { value: retryBudget.budgetPercent },
            minRetryConcurrency: retryBudget.minRetryConcurrency,
            ...(retryBudget.budgetInterval === undefined
              ? {}
              : { budgetInterval: retryBudget.budgetInterval }),
          },
        }),
      }],
    },
  };
}

function protocolOptions(cluster: Cluster): JsonObject {
  const options = cluster.httpProtocolOptions;
  if (options === undefined) return {};
  const common = plain(options, "maxConcurrentStreams", "connectionKeepalive", "protocol", "autoSni");
  const http2: JsonObject = {
    ...(options.maxConcurrentStreams === undefined
      ? {}
      : { maxConcurrentStreams: options.maxConcurrentStreams }),
    ...(options.connectionKeepalive === undefined
      ? {}
      : { connectionKeepalive: plain(options.connectionKeepalive) }),
  };
  const protocol: JsonObject = options.protocol === "USE_DOWNSTREAM"
    ? { useDownstreamProtocolConfig: { httpProtocolOptions: {}, http2ProtocolOptions: http2 } }
    : {
      explicitHttpConfig: options.protocol === "HTTP2"
        ? { http2ProtocolOptions: http2 }
        : { httpProtocolOptions: {} },
    };
  const message = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return {
    typedExtensionProtocolOptions: {
      [message]: {
        "@type": `type.googleapis.com/${message}`,
        ...(Object.keys(common).length === 0 ? {} : { commonHttpProtocolOptions: common }),
        ...(options.autoSni === true ? { upstreamHttpProtocolOptions: { autoSni: true } } : {}),
        ...protocol,
      },
    },
  };
}

function balancing(cluster: Cluster): JsonObject {
  const out: Record<string, Json> = {};
  if (cluster.ringHash !== undefined) out["ringHashLbConfig"] = plain(cluster.ringHash);
  if (cluster.maglev !== undefined) out["maglevLbConfig"] = plain(cluster.maglev);
  if (cluster.slowStart !== undefined) {
    const { window, aggression, minWeightPercent } = cluster.slowStart;
    const slowStartConfig: JsonObject = {
      slowStartWindow: window,
      ...(aggression === undefined ? {} : { aggression: { defaultValue: aggression, runtimeKey: "" } }),
      ...(minWeightPercent === undefined ? {} : { minWeightPercent: { value: minWeightPercent } }),
    };
    if (cluster.lbPolicy === "ROUND_ROBIN") out["roundRobinLbConfig"] = { slowStartConfig };
    else if (cluster.lbPolicy === "LEAST_REQUEST") out["leastRequestLbConfig"] = { slowStartConfig };
  }
  return out;
}

function keepalive(cluster: Cluster): JsonObject {
  const k = cluster.tcpKeepalive;
  if (k === undefined) return {};
  const seconds = (text: string) => Math.max(1, Math.round(Number(text.replace(/s$/, ""))));
  return {
    upstreamConnectionOptions: {
      tcpKeepalive: {
        ...(k.probes === undefined ? {} : { keepaliveProbes: k.probes }),
        ...(k.time === undefined ? {} : { keepaliveTime: seconds(k.time) }),
        ...(k.interval === undefined ? {} : { keepaliveInterval: seconds(k.interval) }),
      },
    },
  };
}

/** TLS origination from files. Certificates by credential name need a control plane and stay out. */
function transport(cluster: Cluster): JsonObject {
  const tls = cluster.tls;
  if (tls === undefined || tls.mode === "ISTIO_MUTUAL") return {};
  const certificate =
    tls.mode === "MUTUAL" && tls.clientCertificate !== undefined && tls.privateKey !== undefined
      ? {
        tlsCertificates: [{
          certificateChain: { filename: tls.clientCertificate },
          privateKey: { filename: tls.privateKey },
        }],
      }
      : {};
  const trust = tls.caCertificates !== undefined && tls.insecureSkipVerify !== true
    ? {
      validationContext: {
        trustedCa: { filename: tls.caCertificates },
        ...(tls.subjectAltNames === undefined ? {} : {
          matchTypedSubjectAltNames: tls.subjectAltNames.flatMap((name) =>
            ["DNS", "URI"].map((sanType) => ({ sanType, matcher: { exact: name } }))
          ),
        }),
      },
    }
    : {};
  return {
    transportSocket: extension(
      "envoy.transport_sockets.tls",
      "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      {
        ...(tls.sni === undefined ? {} : { sni: tls.sni }),
        commonTlsContext: { ...certificate, ...trust },
      },
    ),
  };
}
