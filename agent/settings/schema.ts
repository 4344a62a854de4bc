/**
 * Every setting: its key, form, default, spellings in Mesher's files, variables and flag. Reading, `--print-config`,
 * the table of docs/settings.md and the permission list all iterate over this.
 *
 * One variable overrides each key: `CSE_` and the key without its root, in capitals, with `_` for `.` and `-`:
 * `cse.protocols.rest-admin.listenAddress` is `CSE_PROTOCOLS_REST_ADMIN_LISTENADDRESS`, `router.infra` is `CSE_ROUTER_INFRA`.
 *
 * Spellings of Mesher 1.5 to 1.8 and go-chassis 1 and 2; `cse` stands for both roots, cse and servicecomb.
 */

import { BOUND_VARIABLE, GRPC_VARIABLES, SYSTEMD_VARIABLES, YAML_VARIABLES } from "../core/variables.ts";

/** The form of a value as it is written. */
export type Form =
  | { readonly kind: "text" }
  /** Text to text; in a variable a JSON object. */
  | { readonly kind: "texts" }
  | { readonly kind: "boolean" }
  /** A whole number of at least `min`. */
  | { readonly kind: "count"; readonly min: number }
  /** A Go duration such as 1m30s; milliseconds when read. */
  | { readonly kind: "duration"; readonly zero: boolean }
  /** ADDRESS:PORT. */
  | { readonly kind: "address" }
  /** Host names, `*` before them allowed: a list, or a text with commas. Lower-case when read. */
  | { readonly kind: "hosts" }
  /** [ADDRESS:]PORT=HOST:PORT: a list, or a text with commas. */
  | { readonly kind: "forwards" }
  /** What may be connected to (net_entry.ts): a list, or a text with commas. */
  | { readonly kind: "places" }
  /** Paths of files and directories: a list, or a text with commas. */
  | { readonly kind: "paths" }
  /** PROTOCOL:PORT[:LOCALPORT] (inbound.ts): a list, or a text with commas. */
  | { readonly kind: "servicePorts" }
  /** Mesher's checks of the application (inbound.ts): a list of maps. */
  | { readonly kind: "healthChecks" }
  | { readonly kind: "word"; readonly words: readonly string[] };

/** Names of flags as `readSettings` takes them. */
export type FlagName = "http" | "admin" | "rules" | "namespace" | "no-isolation" | "service-ports";

export interface Setting {
  /** As messages and `--print-config` name it; the first spelling in files unless `fileless`. */
  readonly key: string;
  readonly form: Form;
  /** Undefined: no default, or one that follows from other settings (`about` says which). */
  readonly fallback?: unknown;
  /** One line for documentation. */
  readonly about: string;
  /** Further spellings in files. */
  readonly also?: readonly string[];
  /** Variables besides the one of the rule; the first that is set wins, the rule's before these. */
  readonly variables?: readonly string[];
  readonly flag?: FlagName;
  /** Set by variables only. */
  readonly fileless?: true;
}

const text: Form = { kind: "text" };
const count = (min = 1): Form => ({ kind: "count", min });
const duration = (zero = false): Form => ({ kind: "duration", zero });
const word = (...words: readonly string[]): Form => ({ kind: "word", words });

const REGISTRY = ["cse.service.registry", "cse.registry"] as const;
const registry = (rest: string) => ({ key: `${REGISTRY[0]}.${rest}`, also: [`${REGISTRY[1]}.${rest}`] });
const discovery = (name: string) => ({ key: `discovery.${name}`, also: [`cse.discovery.${name}`] });
const limit = (name: string, fallback: number, about: string): Setting => ({
  key: `cse.mesh.limits.${name}`,
  form: count(),
  fallback,
  about,
});
const timeout = (name: string, fallback: number, about: string): Setting => ({
  key: `cse.mesh.timeouts.${name}`,
  form: duration(),
  fallback,
  about,
});

export const TYPES = ["file", "pilot", "pilotv2", "pilotv3"] as const;
export const INFRAS = ["file", "cse", "pilot", "pilotv2", "pilotv3"] as const;

/** In the order of documentation. Fallbacks of durations are milliseconds, of sizes bytes. */
export const SETTINGS: readonly Setting[] = [
  {
    key: "cse.protocols.http.listenAddress",
    form: { kind: "address" },
    fallback: "127.0.0.1:30101",
    flag: "http",
    about: "address of the proxy; port 0 = any free one",
  },
  {
    key: "cse.protocols.grpc.listenAddress",
    form: { kind: "address" },
    about: "a second proxy address (Mesher: 127.0.0.1:40101); both take HTTP/1.1, HTTP/2, TLS; none = one",
  },
  {
    key: "cse.protocols.rest-admin.listenAddress",
    form: { kind: "address" },
    fallback: "127.0.0.1:30102",
    flag: "admin",
    about: "address of the admin API",
  },
  {
    key: "admin.enable",
    form: { kind: "boolean" },
    fallback: true,
    about: "false: no admin API (mesher.yaml)",
  },
  {
    ...registry("registrator.disabled"),
    form: { kind: "boolean" },
    fallback: true,
    about: "must be true: Istio learns of services from its platform",
  },
  {
    ...registry("serviceDiscovery.type"),
    also: ["cse.registry.serviceDiscovery.type", "cse.service.registry.type", "cse.registry.type"],
    form: word(...TYPES),
    fallback: "file",
    about: "where services come from",
  },
  {
    ...registry("serviceDiscovery.address"),
    form: text,
    fallback: "rules",
    variables: ["CSE_SERVICE_CENTER"],
    flag: "rules",
    about:
      "for file: the rules directory, from the conf directory; for pilot, pilotv2, pilotv3: the control plane, " +
      "several with commas",
  },
  {
    ...registry("serviceDiscovery.refreshInterval"),
    form: duration(true),
    fallback: 30_000,
    about: "for file: rereading besides watching, 0s = never; for pilot: between two polls",
  },
  {
    key: "router.infra",
    also: ["cse.router.infra"],
    form: word(...INFRAS),
    about: "where rules come from (router.yaml); default: where the services come from",
  },
  {
    key: "router.address",
    also: ["cse.router.address"],
    form: text,
    about: "default: the address that the services come from",
  },
  {
    ...discovery("hosts"),
    form: { kind: "hosts" },
    fallback: [],
    about:
      "of a control plane: only what these hosts need, such as reviews, *.shop.svc.cluster.local; none = all",
  },
  {
    ...discovery("delta"),
    form: { kind: "boolean" },
    fallback: true,
    about: "pilotv3: changes only; false, or refused: whole states",
  },
  {
    ...discovery("clusterId"),
    form: text,
    fallback: "Kubernetes",
    variables: ["ISTIO_META_CLUSTER_ID"],
    about: "cluster that the workload belongs to",
  },
  {
    ...discovery("certDirectory"),
    form: text,
    fallback: "/etc/certs",
    about: "for grpcs://: directory of root-cert.pem and, for mTLS, cert-chain.pem and key.pem",
  },
  {
    ...discovery("tokenFile"),
    form: text,
    fallback: "/var/run/secrets/tokens/istio-token",
    about: "for grpcs:// without a client certificate: file of the JWT; empty = none",
  },
  {
    ...discovery("serverName"),
    form: text,
    fallback: "",
    about: "for grpcs://: name in the control plane's certificate; default: the host of its address",
  },
  {
    ...discovery("connectTimeout"),
    form: duration(),
    fallback: 10_000,
    about: "connecting to a control plane, from DNS to the open connection",
  },
  {
    ...discovery("transport"),
    form: word("native", "grpc-js"),
    fallback: "native",
    about: "HTTP/2 to control planes: the agent's own, or that of the package grpc-js",
  },
  {
    key: "cse.service.name",
    also: ["service_description.name"],
    form: text,
    fallback: "",
    variables: ["SERVICE_NAME"],
    about: "name of the service beside the agent (microservice.yaml); its label app",
  },
  {
    key: "cse.service.version",
    also: ["service_description.version"],
    form: text,
    fallback: "",
    variables: ["VERSION"],
    about: "version of that service; its label version",
  },
  {
    key: "cse.service.app",
    also: ["APPLICATION_ID", "cse.service.application", "service_description.app"],
    form: text,
    fallback: "default",
    about: "application that the service belongs to",
  },
  {
    key: "cse.service.properties",
    also: ["service_description.properties"],
    form: { kind: "texts" },
    fallback: {},
    about: "labels of the workload, which sourceLabels test",
  },
  {
    key: "workload.podName",
    form: text,
    fallback: "pod_name_default",
    variables: ["POD_NAME"],
    fileless: true,
    about: "name of the pod",
  },
  {
    key: "workload.namespace",
    form: text,
    fallback: "default",
    variables: ["POD_NAMESPACE"],
    flag: "namespace",
    fileless: true,
    about: "namespace of the workload, and of rules that name none",
  },
  {
    key: "workload.instanceIp",
    form: text,
    fallback: "127.0.0.1",
    variables: ["INSTANCE_IP"],
    fileless: true,
    about: "address of the workload",
  },
  {
    key: "cse.mesh.engine",
    form: word("native", "serve"),
    fallback: "native",
    about: "HTTP engine: own codecs, or Deno.serve",
  },
  {
    key: "cse.mesh.outboundTrafficPolicy",
    form: word("ALLOW_ANY", "REGISTRY_ONLY"),
    fallback: "ALLOW_ANY",
    about: "hosts without a rule: passed through, or 502",
  },
  {
    key: "cse.mesh.accessLog",
    form: word("text", "json", "off"),
    fallback: "text",
    about: "one line per request on standard output",
  },
  {
    key: "cse.mesh.logLevel",
    form: word("debug", "info", "warn", "error"),
    fallback: "info",
    about: "least severity that is logged on standard error",
  },
  {
    key: "cse.mesh.drainTimeout",
    form: duration(true),
    fallback: 10_000,
    about: "after SIGTERM: time for what is under way",
  },
  {
    key: "cse.mesh.tcp.listeners",
    form: { kind: "forwards" },
    fallback: [],
    about:
      "ports for TCP, such as 3306=mysql:3306 (127.0.0.1) or 10.0.0.5:3306=mysql:3306, led by tcp and tls routes",
  },
  {
    key: "cse.mesh.inbound.servicePorts",
    form: { kind: "servicePorts" },
    fallback: [],
    variables: ["SERVICE_PORTS"],
    flag: "service-ports",
    about:
      "ports of INSTANCE_IP that lead to the application: PROTOCOL:PORT, such as rest:8084 (to 127.0.0.1:8084) or " +
      "grpc:9000:9001 (to 127.0.0.1:9001); rest or http, grpc or http2, tcp",
  },
  {
    key: "cse.mesh.inbound.fromControlPlane",
    form: { kind: "boolean" },
    fallback: false,
    about: "also the ports that the control plane names for this workload",
  },
  {
    key: "localHealthCheck",
    form: { kind: "healthChecks" },
    fallback: [],
    about:
      "checks of the application (mesher.yaml): port, protocol (rest, tcp), uri, interval (30s), timeout (3s), " +
      "match.status, match.body; while one fails, its service ports answer 503",
  },
  {
    key: "cse.mesh.isolation",
    form: { kind: "boolean" },
    fallback: true,
    flag: "no-isolation",
    about: "run: the agent in a worker with the rights below and no others; false: in the process itself",
  },
  {
    key: "cse.mesh.permissions.net",
    form: { kind: "places" },
    fallback: ["private"],
    about:
      "where the agent may connect to besides what settings and rule files name: ADDRESS, RANGE or HOST, each with " +
      "or without :PORT; private = private and loopback ranges; any = no bound",
  },
  {
    key: "cse.mesh.permissions.read",
    form: { kind: "paths" },
    fallback: [],
    about: "what the agent may read besides what settings name, from the conf directory",
  },
  {
    key: "cse.mesh.cacheDir",
    form: text,
    fallback: "",
    about:
      "directory that keeps the last good rules of a control plane, for a start without it; none = not kept",
  },
  {
    key: "cse.mesh.readinessFile",
    form: text,
    fallback: "",
    about: "file that is there while the agent is ready; none = no file",
  },
  {
    key: "cse.mesh.healthListenAddress",
    form: { kind: "address" },
    about:
      "listener with GET /ready and /live only, for probes from outside, such as 0.0.0.0:30103; none = no listener",
  },
  limit("maxHeadBytes", 65_536, "request or response head: 431, upstream 502"),
  limit("maxHeaderCount", 100, "header lines of a head: 431, upstream 502"),
  limit("maxTargetBytes", 32_768, "request target: 414"),
  limit("maxConnections", 16_384, "connections from applications: 503 overloaded"),
  limit("maxInFlight", 8_192, "requests under way: 503 overloaded"),
  limit("maxDrainBytes", 65_536, "unread body taken in after an own answer; above, the connection closes"),
  limit("maxIdlePerEndpoint", 1024, "idle connections kept per endpoint"),
  timeout("head", 10_000, "the whole request head: 408"),
  timeout("bodyStall", 60_000, "a body without a byte of progress, either side"),
  timeout("idle", 3_600_000, "a connection of an application without a request"),
  timeout("upstreamIdle", 4_000, "an idle connection to an endpoint; keep below what servers allow"),
  timeout("tunnelIdle", 3_600_000, "a tunnel (CONNECT, Upgrade) without a byte either way"),
  timeout("connect", 10_000, "connecting to hosts without a rule"),
];

/** The variable that overrides a key, by the rule above. */
export function variableOf(key: string): string {
  return "CSE_" + key.replace(/^cse\./, "").replace(/[.-]/g, "_").toUpperCase();
}

/** Variables that set a setting, the strongest first. */
export function variablesOf(setting: Setting): readonly string[] {
  const named = setting.variables ?? [];
  return setting.fileless === true ? named : [variableOf(setting.key), ...named];
}

/** Node metadata that Istio's own agent takes from the environment; under restricted permissions only these are seen. */
export const METADATA_NAMES: readonly string[] = [
  "ISTIO_METAJSON_ANNOTATIONS",
  "ISTIO_METAJSON_LABELS",
  "ISTIO_METAJSON_PLATFORM_METADATA",
  "ISTIO_METAJSON_STATIC_LABELS",
  "ISTIO_META_AUTO_REGISTER_GROUP",
  "ISTIO_META_CLUSTER_ID",
  "ISTIO_META_CONFIG_NAMESPACE",
  "ISTIO_META_DNS_CAPTURE",
  "ISTIO_META_GENERATOR",
  "ISTIO_META_HTTP10",
  "ISTIO_META_INSTANCE_IPS",
  "ISTIO_META_INTERCEPTION_MODE",
  "ISTIO_META_ISTIO_VERSION",
  "ISTIO_META_MESH_ID",
  "ISTIO_META_NAMESPACE",
  "ISTIO_META_NETWORK",
  "ISTIO_META_NODE_NAME",
  "ISTIO_META_OWNER",
  "ISTIO_META_POD_PORTS",
  "ISTIO_META_REQUESTED_NETWORK_VIEW",
  "ISTIO_META_ROUTER_MODE",
  "ISTIO_META_SERVICE_ACCOUNT",
  "ISTIO_META_WORKLOAD_NAME",
];

/** Every variable that the agent reads, sorted; what `${NAME}` in files names comes on top. */
export const ENV_NAMES: readonly string[] = [
  ...new Set(["CHASSIS_HOME", ...METADATA_NAMES, ...SETTINGS.flatMap(variablesOf)]),
].sort();

/**
 * What deno.json grants: {@link ENV_NAMES}, `MESH_*` for `${MESH_...}` in files, all of Istio's node metadata, the
 * runtime's bound on I/O events (net/read_gate.ts), what systemd says (net/announce.ts), and what libraries ask for: the position parser of YAML two, grpc-js its own
 * (it throws without them; no proxy variable is among them, so none can be obeyed).
 */
export const ENV_PERMISSIONS: readonly string[] = [
  ...ENV_NAMES.filter((name) => !name.startsWith("ISTIO_META")),
  BOUND_VARIABLE,
  ...GRPC_VARIABLES,
  ...SYSTEMD_VARIABLES,
  "ISTIO_METAJSON_*",
  "ISTIO_META_*",
  ...YAML_VARIABLES,
  "MESH_*",
].sort();

export type Reason = readonly [path: string, why: string];

/** Keys of Mesher and go-chassis that mean nothing here, with the reason; whatever stands below them is not looked at. */
export const INERT: readonly Reason[] = [
  ["cse.protocols.*", "the agent proxies under protocols.http and protocols.grpc"],
  ["cse.protocols.http.advertiseAddress", "nothing is registered"],
  ["cse.protocols.http.workerNumber", "the number of workers is not a setting"],
  ["cse.protocols.http.transport", "it is always tcp"],
  ["cse.protocols.http.cors", "a VirtualService's corsPolicy does this"],
  ["cse.protocols.grpc.advertiseAddress", "nothing is registered"],
  ["cse.protocols.grpc.workerNumber", "the number of workers is not a setting"],
  ["cse.protocols.grpc.transport", "it is always tcp"],
  ["cse.protocols.rest-admin.advertiseAddress", "nothing is registered"],
  ["cse.protocols.rest-admin.workerNumber", "the number of workers is not a setting"],
  ["cse.protocols.rest-admin.transport", "it is always tcp"],
  ...REGISTRY.flatMap((r): Reason[] =>
    [
      ...["address", "disabled", "scope", "watch", "autodiscovery", "autoIPIndex", "autoSchemaIndex"],
      ...[
        "refreshInterval",
        "tenant",
        "register",
        "api",
        "healthCheck",
        "cacheIndex",
        "configPath",
        "heartbeat",
      ],
      ...["registrator.*", "contractDiscovery"],
    ].map((name): Reason => [`${r}.${name}`, "no service centre is used"])
  ),
  ...REGISTRY.flatMap((r): Reason[] =>
    [
      "disabled",
      "scope",
      "watch",
      "autodiscovery",
      "autoIPIndex",
      "tenant",
      "configPath",
      "api",
      "healthCheck",
    ]
      .map((name) => [`${r}.serviceDiscovery.${name}`, "no service centre is used"])
  ),
  ...["hostname", "environment", "level", "instance_properties", "paths", "status"].flatMap((
    name,
  ): Reason[] => [
    [`cse.service.${name}`, "nothing is registered"],
    [`service_description.${name}`, "nothing is registered"],
  ]),
  ["cse.config", "there is no configuration centre"],
  ["cse.service.config", "there is no configuration centre"],
  ["cse.monitor", "numbers are at /stats/prometheus of the admin API"],
  ["cse.metrics", "numbers are at /stats/prometheus of the admin API"],
  ["cse.handler", "the stages of a request are fixed"],
  ["cse.references", "a host name names the service"],
  ["cse.loadbalance", "a DestinationRule's loadBalancer does this"],
  ["cse.isolation", "a DestinationRule's connectionPool does this"],
  ["cse.circuitBreaker", "a DestinationRule's outlierDetection does this"],
  ["cse.fallback", "there is none"],
  ["cse.fallbackpolicy", "there is none"],
  ["cse.flowcontrol", "there is no rate limit"],
  ["cse.governance", "a VirtualService's fault does this"],
  ["cse.credentials", "there is no public cloud to sign in to"],
  ["cse.transport", "limits and timeouts are under cse.mesh"],
  ["cse.noRefreshSchema", "there are no schemas"],
  ["cse.options", "there is no configuration centre"],
  ["cse.apm", "tracing is not exported"],
  ["cse.match", "a VirtualService's match does this"],
  ["control", "Istio rules control the traffic"],
  ["ssl", "the agent speaks plain HTTP to applications"],
  ["tracing", "tracing is not exported"],
  ["region", "an endpoint's locality is in its ServiceEntry"],
  ["Provider", "it is deprecated in Mesher, too"],
  ["admin.goRuntimeMetrics", "there is no Go runtime"],
  ["admin.serverUri", "the admin address is protocols.rest-admin.listenAddress"],
  ["pprof", "there is no Go runtime"],
  ["plugin", "the host of a request names its destination"],
  ["proxyedProtocol", "the protocol is read from the traffic"],
  ["routeRule", ""],
  ["sourceTemplate", ""],
  ["cse.routeRule", ""],
  ["cse.sourceTemplate", ""],
  ["egress", "hosts outside are ServiceEntries, or cse.mesh.outboundTrafficPolicy ALLOW_ANY"],
  ["egressRule", "hosts outside are ServiceEntries, or cse.mesh.outboundTrafficPolicy ALLOW_ANY"],
  ["mesher", "the edge is not part of the agent"],
];

/** The files that are read, in order. */
export const FILES = ["microservice.yaml", "chassis.yaml", "mesher.yaml", "router.yaml", "egress.yaml"];

/** Files of Mesher and go-chassis that are not read, with the reason. */
export const INERT_FILES: ReadonlyMap<string, string> = new Map([
  ["auth.yaml", "there is no public cloud to sign in to"],
  ["circuit_breaker.yaml", "a DestinationRule's outlierDetection does this"],
  ["fault.yaml", "a VirtualService's fault does this"],
  ["lager.yaml", "the log is set by cse.mesh.logLevel"],
  ["load_balancing.yaml", "a DestinationRule's loadBalancer does this"],
  ["monitoring.yaml", "numbers are at /stats/prometheus of the admin API"],
  ["rate_limiting.yaml", "there is no rate limit"],
  ["tls.yaml", "the agent speaks plain HTTP to applications"],
  ["tracing.yaml", "tracing is not exported"],
]);
