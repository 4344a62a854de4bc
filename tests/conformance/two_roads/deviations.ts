/**
 * Where the two roads are meant to part. Each deviation is as narrow as it can be said, has its reason, and must occur.
 *
 * Who is right was looked up in what Istio and Envoy of the time do: nothing stands here that our code could do better.
 */
import type { ClusterTold, RetryTold, Told } from "./told.ts";
import type { GeneratedRequest } from "./requests.ts";

export interface DecisionCase {
  /** `istiod-2026-08/bookinfo/sotw`. */
  readonly scenario: string;
  readonly request: GeneratedRequest;
  readonly field: keyof Told;
  /** By the rule files, and by what was recorded. */
  readonly files: Told;
  readonly recorded: Told;
}

export interface DecisionDeviation {
  readonly reason: string;
  /** Of the path of the scenario. */
  readonly scenario: RegExp;
  readonly field: keyof Told;
  when(c: DecisionCase): boolean;
}

export interface ClusterCase {
  readonly scenario: string;
  readonly name: string;
  readonly files: ClusterTold;
  readonly recorded: ClusterTold;
}

export interface ClusterDeviation {
  readonly reason: string;
  readonly scenario: RegExp;
  readonly field: keyof ClusterTold;
  when(c: ClusterCase): boolean;
}

const PILOT = /^pilot-/;
const PILOT_0_8 = /^pilot-0\.8/;
const ISTIOD = /^istiod/;

/** `sink.default.svc.cluster` and the like. */
const cutName = ({ request }: DecisionCase) => request.view.host.endsWith(".svc.cluster");
const passesThrough = ({ virtualHost, destinations }: Told) =>
  virtualHost === "allow_any" && String(destinations) === "PassthroughCluster 1.0000";
const blocks = ({ virtualHost, direct }: Told) => virtualHost === "block_all" && direct === "502 ";
const isAddress = ({ request }: DecisionCase) => /^[\d.]+$|:/.test(request.view.host);
const sameButFor = (a: RetryTold | null, b: RetryTold | null, ...fields: (keyof RetryTold)[]) =>
  a !== null && b !== null &&
  (Object.keys(a) as (keyof RetryTold)[]).every((key) => fields.includes(key) || a[key] === b[key]);
/** The ports of `unknownPort`. */
const portsOf = (told: Told) => /^unknownPort, known: (.*)$/.exec(told.kind)?.[1]?.split(",") ?? [];
const leftOut = ({ files, recorded, request }: DecisionCase) =>
  files.virtualHost === "web.ks.example.com:80" && request.view.port === 80 && blocks(recorded);
const BY_DEFAULT = "cancelled,connect-failure,refused-stream,retriable-status-codes,unavailable";
const BY_PILOT = "5xx,connect-failure,refused-stream";

export const DECISIONS: readonly DecisionDeviation[] = [
  {
    reason:
      "istiod's http_proxy has a catch-all also for ports without a service; from files the outbound policy decides there, to the same end",
    scenario: ISTIOD,
    field: "kind",
    when: ({ files, recorded }) =>
      files.kind === "unknownHost" && (passesThrough(recorded) || blocks(recorded)),
  },
  {
    reason:
      "istiod's http_proxy ignores ports: a host is decided by its virtual host of port 80 on ports that it does not have",
    scenario: /^istiod.*kitchen_sink/,
    field: "kind",
    when: ({ files, recorded, request }) =>
      portsOf(files).includes("80") && recorded.virtualHost.endsWith(":80") && request.view.port !== 80,
  },
  {
    reason:
      "the egress listener of port 80 of the Sidecar resource imports less; from files such resources are not read",
    scenario: /sidecar-resource$/,
    field: "kind",
    when: leftOut,
  },
  {
    reason:
      "the egress listener of port 80 of the Sidecar resource imports less (where both answer themselves)",
    scenario: /sidecar-resource$/,
    field: "virtualHost",
    when: leftOut,
  },
  {
    reason: "no catch-all before 1.1: hosts that nobody knows are left to the outbound policy",
    scenario: PILOT,
    field: "kind",
    when: (c) => passesThrough(c.files) && c.recorded.kind === "unknownHost",
  },
  {
    reason: "0.8 and 1.0 also take a host by each beginning of its name, down to NAME.svc.cluster",
    scenario: PILOT,
    field: "virtualHost",
    when: (c) => passesThrough(c.files) && cutName(c),
  },
  {
    reason:
      "0.8 and 1.0 also take a host by each beginning of its name, down to NAME.svc.cluster (here on a port that it has or has not)",
    scenario: PILOT,
    field: "kind",
    when: (c) =>
      cutName(c) && (passesThrough(c.files) || c.files.kind === "unknownHost") &&
      c.recorded.kind !== "unknownHost",
  },
  {
    reason: "0.8 keeps the mask in the domains of an address (10.0.0.5/32:8084), which no request has",
    scenario: PILOT_0_8,
    field: "kind",
    when: (c) =>
      isAddress(c) && c.recorded.kind === "unknownHost" && c.files.kind !== "unknownHost" &&
      !passesThrough(c.files),
  },
  {
    reason: "0.8 and 1.0 put hosts of a VirtualService that are on other ports into table 80 as well",
    scenario: /^pilot-.*kitchen_sink/,
    field: "kind",
    when: ({ files, recorded, request }) =>
      files.kind.startsWith("unknownPort") && !portsOf(files).includes("80") &&
      (request.view.port === 80
        ? recorded.virtualHost.endsWith(":80")
        : String(portsOf(recorded)) === ["80", ...portsOf(files)].join()),
  },
  {
    reason: "routes have no name before 1.1",
    scenario: PILOT,
    field: "route",
    when: ({ files, recorded }) => files.route === "default" && recorded.route === "",
  },
  {
    reason: "0.8 leaves the timeout out, which is Envoy's 15 s; none since 1.0",
    scenario: PILOT_0_8,
    field: "timeout",
    when: ({ files, recorded }) => files.timeout === 0 && recorded.timeout === 15_000,
  },
  {
    reason: "max_grpc_timeout is not sent before 1.1: grpc-timeout is not looked at",
    scenario: PILOT,
    field: "maxGrpcTimeout",
    when: ({ recorded }) => recorded.maxGrpcTimeout === "",
  },
  {
    reason: "no retries by default before 1.1",
    scenario: PILOT,
    field: "retry",
    when: ({ files, recorded }) =>
      recorded.retry === null && files.retry?.numRetries === 2 && files.retry.on === BY_DEFAULT,
  },
  {
    reason: "before 1.1 retries that a rule asks for are on 5xx, and may go to the endpoint that just failed",
    scenario: PILOT,
    field: "retry",
    when: ({ files, recorded }) =>
      files.retry?.on === BY_DEFAULT && recorded.retry?.on === BY_PILOT &&
      sameButFor(files.retry, recorded.retry, "on", "avoidPreviousHosts", "hostSelectionRetryMaxAttempts"),
  },
  {
    reason: "0.8 sends weight 0 as 100",
    scenario: PILOT_0_8,
    field: "destinations",
    when: ({ files, recorded }) => {
      const sent = recorded.destinations.map((destination) => destination.split(" "));
      return files.destinations.length === 1 && sent.length > 1 &&
        sent.some(([cluster]) => files.destinations[0] === `${cluster} 1.0000`) &&
        sent.every(([, share]) => share === (1 / sent.length).toFixed(4));
    },
  },
  {
    reason: "0.8 and 1.0 do not complete the short host of a destination in files",
    scenario: PILOT,
    field: "destinations",
    when: ({ files, recorded }) =>
      String(files.destinations).replace(".default.svc.cluster.local ", ".default ") ===
        String(recorded.destinations),
  },
  {
    reason: "a destination port by name is the black hole in 0.8 and 1.0, an error today",
    scenario: /^pilot-.*kitchen_sink/,
    field: "destinations",
    when: ({ request, recorded }) =>
      request.view.path.startsWith("/port-name") &&
      String(recorded.destinations) === "BlackHoleCluster 1.0000",
  },
  {
    reason: "0.8 drops consistentHash",
    scenario: /^pilot-0\.8.*kitchen_sink/,
    field: "hash",
    when: ({ files, recorded }) => recorded.hash === null && files.virtualHost.startsWith("hash."),
  },
];

export const CLUSTERS: readonly ClusterDeviation[] = [
  {
    reason: "nothing is proxied inbound",
    scenario: /./,
    field: "there",
    when: ({ name, files }) => files.there === "" && /^inbound\||^InboundPassthroughCluster$/.test(name),
  },
  {
    reason: "no cluster to pass through to before 1.1",
    scenario: PILOT,
    field: "there",
    when: ({ name, recorded }) => recorded.there === "" && name === "PassthroughCluster",
  },
  {
    reason: "LEAST_REQUEST is the default since 1.14; it was ROUND_ROBIN",
    scenario: PILOT,
    field: "lbPolicy",
    when: ({ files, recorded }) => files.lbPolicy === "LEAST_REQUEST" && recorded.lbPolicy === "ROUND_ROBIN",
  },
  {
    reason: "0.8 drops consistentHash",
    scenario: /^pilot-0\.8.*kitchen_sink/,
    field: "lbPolicy",
    when: ({ files, recorded }) => files.lbPolicy === "RING_HASH" && recorded.lbPolicy === "ROUND_ROBIN",
  },
  {
    reason: "10 s to connect is the default; it was 1 s up to 1.1",
    scenario: PILOT,
    field: "connectTimeout",
    when: ({ files, recorded }) => files.connectTimeout === "10s" && recorded.connectTimeout === "1s",
  },
  {
    reason: "0.8 says nothing of the time to connect to no endpoint",
    scenario: PILOT_0_8,
    field: "connectTimeout",
    when: ({ name }) => name === "BlackHoleCluster",
  },
  {
    reason: "istiod ranks localities where outliers are ejected; from files localities are not looked at",
    scenario: /^istiod.*kitchen_sink/,
    field: "endpoints",
    when: ({ files, recorded }) =>
      recorded.endpoints.some((e) => / priority [12]$/.test(e)) &&
      String(files.endpoints) === recorded.endpoints.map((e) => e.replace(/ priority [12]$/, "")).join(),
  },
  {
    reason:
      "localityLbSetting.distribute empties localities that it does not name; from files localities are not looked at",
    scenario: /^istiod.*kitchen_sink/,
    field: "endpoints",
    when: ({ name, files, recorded }) =>
      /^outbound\|(50051|3306)\|(v2|v3)?\|web\.ks\.example\.com$/.test(name) &&
      String(files.endpoints.filter((e) => !/^(10\.0\.20\.4|2001:db8::5):/.test(e))) ===
        String(recorded.endpoints),
  },
];
