/** The one settings object that everything else is handed. Made by `readSettings`; every value knows its origin. */
import type { Origin } from "../core/diagnostics.ts";

export interface ListenAddress {
  readonly hostname: string;
  readonly port: number;
}

/** A port for connections that are no HTTP, and where they are meant for. */
export interface TcpForward {
  readonly listen: ListenAddress;
  /** Lower-case name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** A port of the workload that leads to the local application. */
export interface ServicePort {
  /** `rest`: HTTP/1.1 to the application, whatever the client speaks; `grpc`: HTTP/2. */
  readonly protocol: "rest" | "grpc" | "tcp";
  /** On the workload's address; 0 = any free one. */
  readonly port: number;
  /** On 127.0.0.1. */
  readonly localPort: number;
}

/** An entry of `localHealthCheck`. */
export interface LocalHealthCheck {
  /** The application's, on 127.0.0.1. */
  readonly port: number;
  readonly protocol: "rest" | "tcp";
  /** Path of the GET. Default `/`. */
  readonly uri: string;
  /** Default 30000. */
  readonly intervalMs: number;
  /** Connecting and answer together. Default 3000. */
  readonly timeoutMs: number;
  /** Wanted status; absent = 200 to 399. */
  readonly status?: number;
  /** Regular expression (RE2) that the body must contain a match of. */
  readonly body?: string;
}

export type SourceType = "file" | "pilot" | "pilotv2" | "pilotv3";
export type RouterInfra = SourceType | "cse";

/** Times in ms, sizes in bytes. Every field has its default in `settings/schema.ts`. */
export interface AgentConfig {
  /** Absolute path of the conf directory; empty when there is none (library use). */
  readonly confDirectory: string;
  readonly listen: {
    /** `cse.protocols.http.listenAddress`, default 127.0.0.1:30101. */
    readonly http: ListenAddress;
    /** `cse.protocols.grpc.listenAddress`: a second one that takes the same; absent when it is not set. */
    readonly grpc?: ListenAddress;
    /** `cse.protocols.rest-admin.listenAddress`, default 127.0.0.1:30102; null when admin is off. */
    readonly admin: ListenAddress | null;
    /** `cse.mesh.healthListenAddress`: GET /ready and /live only; absent when it is not set. */
    readonly health?: ListenAddress;
    /** `cse.mesh.tcp.listeners`; absent when there are none. */
    readonly tcp?: readonly TcpForward[];
  };
  /** Traffic to the local application; absent when there is none. */
  readonly inbound?: {
    readonly servicePorts: readonly ServicePort[];
    readonly fromControlPlane: boolean;
    readonly healthChecks: readonly LocalHealthCheck[];
  };
  readonly service: { readonly name: string; readonly version: string; readonly application: string };
  readonly workload: {
    readonly podName: string;
    readonly namespace: string;
    readonly instanceIp: string;
    readonly labels: Readonly<Record<string, string>>;
    /** ISTIO_META_* and ISTIO_METAJSON_*. */
    readonly metadata: Readonly<Record<string, unknown>>;
  };
  readonly serviceDiscovery: {
    readonly type: SourceType;
    /** For file: absolute path of the rules directory. */
    readonly address: string;
    readonly refreshIntervalMs: number;
  };
  /** The way to a control plane. */
  readonly discovery: DiscoverySettings;
  readonly router: { readonly infra: RouterInfra; readonly address: string };
  readonly proxy: {
    readonly engine: "native" | "serve";
    readonly outboundTrafficPolicy: "ALLOW_ANY" | "REGISTRY_ONLY";
    readonly accessLog: "text" | "json" | "off";
    readonly limits: ProxyLimits;
    readonly timeouts: ProxyTimeouts;
    readonly drainMs: number;
  };
  /** `run` only: the agent in a worker of its own with no more rights than it needs. Default true. */
  readonly isolation: boolean;
  readonly permissions: {
    /** `cse.mesh.permissions.net`, entries as net_entry.ts reads them. Default `private`. */
    readonly net: readonly string[];
    /** `cse.mesh.permissions.read`, absolute. Default none. */
    readonly read: readonly string[];
  };
  /** `cse.mesh.cacheDir`, absolute; empty = the last good rules are not kept. */
  readonly cacheDir: string;
  /** `cse.mesh.readinessFile`, absolute; empty = none. */
  readonly readinessFile: string;
  readonly log: { readonly level: "debug" | "info" | "warn" | "error" };
  /** Dotted key -> where its effective value came from, for `--print-config`. */
  readonly origins: ReadonlyMap<string, SettingOrigin>;
}

export type Transport = "native" | "grpc-js";

/** `discovery.*`. Paths are absolute. */
export interface DiscoverySettings {
  /** Patterns (`reviews`, `*.shop.svc.cluster.local`) of the hosts to keep and subscribe; empty = all. Lower-case. */
  readonly hosts: readonly string[];
  /** xDS v3: incremental; falls back to state-of-the-world when refused. Default true. */
  readonly delta: boolean;
  /** Sent as `clusterid` metadata and CLUSTER_ID of the node. Default `Kubernetes`. */
  readonly clusterId: string;
  /** Directory of root-cert.pem, cert-chain.pem and key.pem. Default /etc/certs. */
  readonly certDirectory: string;
  /** JWT for 15012. Default /var/run/secrets/tokens/istio-token; empty = none. */
  readonly tokenFile: string;
  /** Name in the control plane's certificate; empty = the host of the address. */
  readonly serverName: string;
  /** Default 10000 ms. */
  readonly connectTimeoutMs: number;
  /** Who carries calls to control planes. Default native. */
  readonly transport: Transport;
  /** Control planes in the order of preference, parsed from serviceDiscovery.address; empty for file. */
  readonly addresses: readonly ControlPlaneAddress[];
  /**
   * Where `router.infra` has its rules from. Scheme http: by v1 (then the same as `addresses`); grpc, grpcs: by xDS, whatever
   * was written. With pilotv2 and pilotv3 always the same as `addresses`: one stream brings both.
   */
  readonly routerAddresses: readonly ControlPlaneAddress[];
}

export interface ControlPlaneAddress {
  /** As written, for messages. */
  readonly text: string;
  readonly scheme: "http" | "grpc" | "grpcs";
  readonly host: string;
  readonly port: number;
}

export interface SettingOrigin {
  readonly value: unknown;
  readonly from: "default" | "file" | "environment" | "flag";
  /** File place, or the variable or flag name in `field`. */
  readonly where: Origin;
}

export interface ProxyLimits {
  /** Request or response head, bytes. Default 65536: 431 above (upstream: 502). */
  readonly maxHeadBytes: number;
  /** Default 100. */
  readonly maxHeaderCount: number;
  /** Request target, bytes. Default 32768: 414 above. */
  readonly maxTargetBytes: number;
  /** Downstream connections. Default 16384: 503 overloaded above. */
  readonly maxConnections: number;
  /** Requests in flight. Default 8192: 503 overloaded above. */
  readonly maxInFlight: number;
  /** Unread request body that is drained after a local answer. Default 65536. */
  readonly maxDrainBytes: number;
  /** Idle keep-alive connections kept per endpoint. Default 1024. */
  readonly maxIdlePerEndpoint: number;
}

export interface ProxyTimeouts {
  /** Whole request head. Default 10000: 408. */
  readonly headMs: number;
  /** Body without a byte of progress, either side. Default 60000. */
  readonly bodyStallMs: number;
  /** Keep-alive downstream connection without a request. Default 3600000 as Envoy. */
  readonly idleMs: number;
  /** Idle pooled upstream connection; below common server values. Default 4000. */
  readonly upstreamIdleMs: number;
  /** Tunnel (CONNECT, Upgrade) without a byte either way. Default 3600000. */
  readonly tunnelIdleMs: number;
  /** Connect when the cluster sets none (PassthroughCluster). Default 10000. */
  readonly connectMs: number;
}
