/** Worlds and settings made in memory, for tests that run the proxy inside the test process. */
import { buildRouteTables } from "../../agent/route/table.ts";
import type { World } from "../../agent/discovery/types.ts";
import type { Program, Route } from "../../agent/model/model.ts";
import type { AgentConfig, ProxyLimits, ProxyTimeouts } from "../../agent/settings/types.ts";

/** `svc.test` on port 80 with one endpoint of 127.0.0.1 per port, in one cluster, by one route. */
export function worldOf(ports: readonly number[], route: Partial<Route> = {}): World {
  const cluster = "outbound|80||svc.test";
  const program: Program = {
    routeConfigurations: new Map([["80", {
      name: "80",
      ignorePortInHostMatching: true,
      virtualHosts: [{
        name: "svc.test:80",
        domains: ["svc.test"],
        routes: [{ match: { prefix: "/" }, route: { cluster, timeout: "0s" }, ...route }],
      }],
    }]]),
    clusters: new Map([[cluster, {
      name: cluster,
      type: "EDS",
      lbPolicy: "ROUND_ROBIN",
      connectTimeout: "1s",
    }]]),
    loadAssignments: new Map([[cluster, {
      clusterName: cluster,
      endpoints: [{ lbEndpoints: ports.map((port) => ({ address: "127.0.0.1", port })) }],
    }]]),
  };
  return {
    revision: 1,
    program,
    tables: buildRouteTables(program),
    diagnostics: [],
    publishedMs: 0,
    stats: {},
  };
}

export const LIMITS: ProxyLimits = {
  maxHeadBytes: 65_536,
  maxHeaderCount: 100,
  maxTargetBytes: 32_768,
  maxConnections: 16_384,
  maxInFlight: 8_192,
  maxDrainBytes: 65_536,
  maxIdlePerEndpoint: 256,
};

export const TIMEOUTS: ProxyTimeouts = {
  headMs: 10_000,
  bodyStallMs: 60_000,
  idleMs: 3_600_000,
  upstreamIdleMs: 4_000,
  tunnelIdleMs: 3_600_000,
  connectMs: 10_000,
};

/** The defaults of a proxy on a free port of 127.0.0.1, without admin and access log. */
export function configOf(
  more: {
    readonly engine?: AgentConfig["proxy"]["engine"];
    readonly policy?: AgentConfig["proxy"]["outboundTrafficPolicy"];
    readonly limits?: Partial<ProxyLimits>;
    readonly timeouts?: Partial<ProxyTimeouts>;
  } = {},
): AgentConfig {
  return {
    confDirectory: "",
    listen: { http: { hostname: "127.0.0.1", port: 0 }, admin: null },
    service: { name: "", version: "", application: "" },
    workload: { podName: "", namespace: "default", instanceIp: "", labels: {}, metadata: {} },
    serviceDiscovery: { type: "file", address: "", refreshIntervalMs: 0 },
    discovery: {
      hosts: [],
      delta: true,
      transport: "native",
      clusterId: "Kubernetes",
      certDirectory: "/etc/certs",
      tokenFile: "",
      serverName: "",
      connectTimeoutMs: 10_000,
      addresses: [],
      routerAddresses: [],
    },
    router: { infra: "file", address: "" },
    proxy: {
      engine: more.engine ?? "native",
      outboundTrafficPolicy: more.policy ?? "ALLOW_ANY",
      accessLog: "off",
      limits: { ...LIMITS, ...more.limits },
      timeouts: { ...TIMEOUTS, ...more.timeouts },
      drainMs: 5_000,
    },
    isolation: false,
    cacheDir: "",
    readinessFile: "",
    permissions: { net: ["private"], read: [] },
    log: { level: "error" },
    origins: new Map(),
  };
}
