/**
 * The shape of each kind: every field of networking.istio.io VirtualService, DestinationRule, ServiceEntry and
 * WorkloadEntry with its type, as one table. Source: istio/api, networking/v1 (Apache-2.0), in proto-JSON names.
 *
 * In: nothing. Out: {@link MESSAGES} for the walker in shape.ts, for help texts and for "did you mean".
 */

/** Scalars, `message:NAME`, or a list or map of one of these. Unions of message fields (`oneof`) are judged by validate. */
export type FieldType =
  | Scalar
  | { readonly enum: readonly string[] }
  | { readonly list: FieldType }
  | { readonly map: FieldType }
  | { readonly message: MessageName; readonly orNumber?: boolean };

export type Scalar = "string" | "int32" | "uint32" | "double" | "bool" | "duration" | "bytes";

export type MessageName = string;
export type Message = Readonly<Record<string, FieldType>>;

const list = (item: FieldType): FieldType => ({ list: item });
const map = (value: FieldType): FieldType => ({ map: value });
const message = (name: MessageName): FieldType => ({ message: name });
const strings = list("string");
const labels = map("string");
const port: FieldType = message("PortSelector");
const destination = message("Destination");
const percent = message("Percent");
const match = message("StringMatch");

const policyBlocks: Message = {
  loadBalancer: message("LoadBalancerSettings"),
  connectionPool: message("ConnectionPoolSettings"),
  outlierDetection: message("OutlierDetection"),
  tls: message("ClientTLSSettings"),
};

/** Enums by number: the index of a name is its number. */
const SIMPLE_LB = ["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"];

export const MESSAGES: Readonly<Record<MessageName, Message>> = {
  // ---------------------------------------------------------------- VirtualService
  VirtualService: {
    hosts: strings,
    gateways: strings,
    http: list(message("HTTPRoute")),
    tls: list(message("TLSRoute")),
    tcp: list(message("TCPRoute")),
    exportTo: strings,
  },
  HTTPRoute: {
    name: "string",
    match: list(message("HTTPMatchRequest")),
    route: list(message("HTTPRouteDestination")),
    redirect: message("HTTPRedirect"),
    directResponse: message("HTTPDirectResponse"),
    delegate: message("Delegate"),
    rewrite: message("HTTPRewrite"),
    timeout: "duration",
    retries: message("HTTPRetry"),
    fault: message("HTTPFaultInjection"),
    mirror: destination,
    mirrors: list(message("HTTPMirrorPolicy")),
    mirrorPercent: "uint32",
    mirrorPercentage: percent,
    corsPolicy: message("CorsPolicy"),
    headers: message("Headers"),
  },
  HTTPMatchRequest: {
    name: "string",
    uri: match,
    scheme: match,
    method: match,
    authority: match,
    headers: map(match),
    port: "uint32",
    sourceLabels: labels,
    gateways: strings,
    queryParams: map(match),
    ignoreUriCase: "bool",
    withoutHeaders: map(match),
    sourceNamespace: "string",
    statPrefix: "string",
  },
  StringMatch: { exact: "string", prefix: "string", regex: "string" },
  HTTPRouteDestination: { destination, weight: "int32", headers: message("Headers") },
  Destination: { host: "string", subset: "string", port },
  PortSelector: { number: "uint32" },
  Headers: { request: message("HeaderOperations"), response: message("HeaderOperations") },
  HeaderOperations: { set: labels, add: labels, remove: strings },
  HTTPRedirect: {
    uri: "string",
    authority: "string",
    port: "uint32",
    derivePort: { enum: ["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] },
    scheme: "string",
    redirectCode: "uint32",
    prefixRewrite: "string",
  },
  HTTPDirectResponse: { status: "uint32", body: message("HTTPBody") },
  HTTPBody: { string: "string", bytes: "bytes" },
  Delegate: { name: "string", namespace: "string" },
  HTTPRewrite: { uri: "string", authority: "string", uriRegexRewrite: message("RegexRewrite") },
  RegexRewrite: { match: "string", rewrite: "string" },
  HTTPRetry: {
    attempts: "int32",
    perTryTimeout: "duration",
    retryOn: "string",
    retryRemoteLocalities: "bool",
    retryIgnorePreviousHosts: "bool",
    backoff: "duration",
  },
  HTTPFaultInjection: { delay: message("FaultDelay"), abort: message("FaultAbort") },
  FaultDelay: {
    percent: "int32",
    fixedDelay: "duration",
    exponentialDelay: "duration",
    percentage: percent,
  },
  FaultAbort: {
    // Gone from Istio's API since 1.1; rules of that time still have it.
    percent: "int32",
    httpStatus: "int32",
    grpcStatus: "string",
    http2Error: "string",
    percentage: percent,
  },
  HTTPMirrorPolicy: { destination, percentage: percent },
  CorsPolicy: {
    allowOrigin: strings,
    allowOrigins: list(match),
    allowMethods: strings,
    allowHeaders: strings,
    exposeHeaders: strings,
    maxAge: "duration",
    allowCredentials: "bool",
    unmatchedPreflights: { enum: ["UNSPECIFIED", "FORWARD", "IGNORE"] },
  },
  Percent: { value: "double" },
  TLSRoute: { match: list(message("TLSMatchAttributes")), route: list(message("RouteDestination")) },
  TLSMatchAttributes: {
    sniHosts: strings,
    destinationSubnets: strings,
    port: "uint32",
    sourceLabels: labels,
    gateways: strings,
    sourceNamespace: "string",
  },
  TCPRoute: { match: list(message("L4MatchAttributes")), route: list(message("RouteDestination")) },
  L4MatchAttributes: {
    destinationSubnets: strings,
    port: "uint32",
    sourceSubnet: "string",
    sourceLabels: labels,
    gateways: strings,
    sourceNamespace: "string",
  },
  RouteDestination: { destination, weight: "int32" },

  // ---------------------------------------------------------------- DestinationRule
  DestinationRule: {
    host: "string",
    trafficPolicy: message("TrafficPolicy"),
    subsets: list(message("Subset")),
    exportTo: strings,
    workloadSelector: message("PolicySelector"),
  },
  PolicySelector: { matchLabels: labels },
  Subset: { name: "string", labels, trafficPolicy: message("TrafficPolicy") },
  TrafficPolicy: {
    ...policyBlocks,
    portLevelSettings: list(message("PortTrafficPolicy")),
    tunnel: message("TunnelSettings"),
    proxyProtocol: message("ProxyProtocol"),
    retryBudget: message("RetryBudget"),
  },
  PortTrafficPolicy: { port, ...policyBlocks },
  TunnelSettings: { protocol: "string", targetHost: "string", targetPort: "uint32" },
  ProxyProtocol: { version: { enum: ["V1", "V2"] } },
  // Written both as a plain number and as {value: N}.
  RetryBudget: {
    percent: { message: "Percent", orNumber: true },
    minRetryConcurrency: "uint32",
    budgetInterval: "duration",
  },
  LoadBalancerSettings: {
    simple: { enum: SIMPLE_LB },
    consistentHash: message("ConsistentHashLB"),
    localityLbSetting: message("LocalityLbSetting"),
    warmupDurationSecs: "duration",
    warmup: message("WarmupConfiguration"),
    zoneAwareLbSetting: message("ZoneAwareLbSetting"),
  },
  ConsistentHashLB: {
    httpHeaderName: "string",
    httpCookie: message("HTTPCookie"),
    useSourceIp: "bool",
    httpQueryParameterName: "string",
    minimumRingSize: "uint32",
    ringHash: message("RingHash"),
    maglev: message("MagLev"),
  },
  HTTPCookie: {
    name: "string",
    path: "string",
    ttl: "duration",
    attributes: list(message("CookieAttribute")),
  },
  CookieAttribute: { name: "string", value: "string" },
  RingHash: { minimumRingSize: "uint32" },
  MagLev: { tableSize: "uint32" },
  LocalityLbSetting: {
    distribute: list(message("Distribute")),
    failover: list(message("Failover")),
    enabled: "bool",
    failoverPriority: strings,
  },
  Distribute: { from: "string", to: map("uint32") },
  Failover: { from: "string", to: "string" },
  ZoneAwareLbSetting: {
    enabled: "bool",
    failover: list(message("Failover")),
    failoverPriority: strings,
    minClusterSize: "uint32",
  },
  WarmupConfiguration: { duration: "duration", minimumPercent: "double", aggression: "double" },
  ConnectionPoolSettings: { tcp: message("TCPSettings"), http: message("HTTPSettings") },
  TCPSettings: {
    maxConnections: "int32",
    connectTimeout: "duration",
    tcpKeepalive: message("TcpKeepalive"),
    maxConnectionDuration: "duration",
    idleTimeout: "duration",
  },
  TcpKeepalive: { probes: "uint32", time: "duration", interval: "duration" },
  HTTPSettings: {
    http1MaxPendingRequests: "int32",
    http2MaxRequests: "int32",
    maxRequestsPerConnection: "int32",
    maxRetries: "int32",
    idleTimeout: "duration",
    h2UpgradePolicy: { enum: ["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] },
    useClientProtocol: "bool",
    maxConcurrentStreams: "int32",
    http2KeepAlive: message("Http2KeepAlive"),
  },
  Http2KeepAlive: { interval: "duration", timeout: "duration" },
  OutlierDetection: {
    consecutiveErrors: "int32",
    interval: "duration",
    baseEjectionTime: "duration",
    maxEjectionPercent: "int32",
    minHealthPercent: "int32",
    consecutiveGatewayErrors: "uint32",
    consecutive5xxErrors: "uint32",
    splitExternalLocalOriginErrors: "bool",
    consecutiveLocalOriginFailures: "uint32",
    outlierDetectionHttpErrorCodes: list("uint32"),
  },
  ClientTLSSettings: {
    mode: { enum: ["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] },
    clientCertificate: "string",
    privateKey: "string",
    caCertificates: "string",
    subjectAltNames: strings,
    sni: "string",
    credentialName: "string",
    insecureSkipVerify: "bool",
    caCrl: "string",
  },

  // ---------------------------------------------------------------- ServiceEntry, WorkloadEntry
  ServiceEntry: {
    hosts: strings,
    addresses: strings,
    ports: list(message("ServicePort")),
    location: { enum: ["MESH_EXTERNAL", "MESH_INTERNAL"] },
    resolution: { enum: ["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] },
    endpoints: list(message("WorkloadEntry")),
    exportTo: strings,
    subjectAltNames: strings,
    workloadSelector: message("WorkloadSelector"),
  },
  ServicePort: { number: "uint32", protocol: "string", name: "string", targetPort: "uint32" },
  WorkloadSelector: { labels },
  WorkloadEntry: {
    address: "string",
    ports: map("uint32"),
    labels,
    network: "string",
    locality: "string",
    weight: "uint32",
    serviceAccount: "string",
  },
};

/** Fields of which proto allows only one at a time. */
export const ONE_OF: Readonly<Record<MessageName, readonly (readonly string[])[]>> = {
  StringMatch: [["exact", "prefix", "regex"]],
  HTTPRedirect: [["port", "derivePort"]],
  HTTPBody: [["string", "bytes"]],
  FaultDelay: [["fixedDelay", "exponentialDelay"]],
  FaultAbort: [["httpStatus", "grpcStatus", "http2Error"]],
  LoadBalancerSettings: [["simple", "consistentHash"]],
  ConsistentHashLB: [
    ["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"],
    ["ringHash", "maglev"],
  ],
};

/** `snake_case` -> `snakeCase`; other texts stay. */
export function lowerCamel(key: string): string {
  return key.includes("_") ? key.replace(/_+([a-z0-9])/g, (_, c: string) => c.toUpperCase()) : key;
}
