/** What was decided about a request, in a form in which two programs can be compared field by field. */
import type { CorsPolicy, Program, RequestMirrorPolicy } from "../../../agent/model/model.ts";
import { applyHeaderOps } from "../../../agent/route/headers.ts";
import type {
  CompiledDestination,
  CompiledRetry,
  CompiledRoute,
  HeaderOps,
  RouteTables,
} from "../../../agent/route/types.ts";
import type { GeneratedRequest } from "./requests.ts";

export interface Road {
  readonly program: Program;
  readonly tables: RouteTables;
}

/** Fields that a kind of decision does not have are empty or null. */
export interface Told {
  readonly kind: string;
  readonly virtualHost: string;
  /** Name of the route. */
  readonly route: string;
  /** The destination for the request's random number. */
  readonly choice: string;
  /** Each cluster with its share, and what its being chosen does to the request. */
  readonly destinations: readonly string[];
  /** Of the destinations, those that are no cluster. */
  readonly missing: readonly string[];
  /** What its being chosen does to each destination's request and response. */
  readonly hosts: readonly string[];
  readonly requestHeaders: readonly string[];
  readonly responseHeaders: readonly string[];
  readonly path: string;
  readonly timeout: number;
  readonly maxGrpcTimeout: string;
  readonly retry: RetryTold | null;
  readonly fault: unknown;
  readonly cors: unknown;
  readonly mirrors: readonly string[];
  readonly hash: unknown;
  readonly redirect: string;
  readonly direct: string;
}

export type RetryTold = Omit<CompiledRetry, "on" | "retriableStatusCodes"> & {
  readonly on: string;
  readonly retriableStatusCodes: string;
};

const NOTHING: Told = {
  kind: "",
  virtualHost: "",
  route: "",
  choice: "",
  destinations: [],
  missing: [],
  hosts: [],
  requestHeaders: [],
  responseHeaders: [],
  path: "",
  timeout: 0,
  maxGrpcTimeout: "",
  retry: null,
  fault: null,
  cors: null,
  mirrors: [],
  hash: null,
  redirect: "",
  direct: "",
};

/** A decision, and the route behind it. */
export function tell(
  road: Road,
  request: GeneratedRequest,
): { readonly told: Told; readonly route?: CompiledRoute } {
  const decision = road.tables.select(request.view, request.random);
  if (decision.kind === "unknownHost") return { told: { ...NOTHING, kind: decision.kind } };
  if (decision.kind === "unknownPort") {
    return { told: { ...NOTHING, kind: `unknownPort, known: ${decision.ports}` } };
  }
  const where = { ...NOTHING, kind: decision.kind, virtualHost: decision.virtualHost.source.name };
  if (decision.kind === "noRoute") return { told: where };
  const { route } = decision;
  const common = { ...where, route: route.name };
  if (decision.kind !== "route") {
    const redirect = decision.kind === "redirect"
      ? Object.values(route.redirect(request.view)).join(" ")
      : "";
    const direct = route.direct === null
      ? ""
      : `${route.direct.status} ${new TextDecoder().decode(route.direct.body)}`;
    return {
      told: { ...common, redirect, direct, responseHeaders: [responseAfter(route.responseOps)] },
      route,
    };
  }
  const action = route.source.route!;
  const { destinations, totalWeight } = route;
  const each = (of: (destination: CompiledDestination) => string) => destinations.map(of).sort();
  const told: Told = {
    ...common,
    choice: decision.destination.cluster,
    destinations: each(({ cluster, weight }) => `${cluster} ${(weight / totalWeight).toFixed(4)}`),
    missing: destinations.map((d) => d.cluster).filter((name) => !road.program.clusters.has(name)).sort(),
    hosts: each(({ cluster, hostRewrite }) => `${cluster} ${hostRewrite ?? request.view.authority}`),
    requestHeaders: each(({ cluster, requestOps }) => `${cluster} ${requestAfter(requestOps, request)}`),
    responseHeaders: each(({ cluster, responseOps }) => `${cluster} ${responseAfter(responseOps)}`),
    path: route.rewritePath(request.view.path),
    timeout: route.timeoutMs,
    maxGrpcTimeout: action.maxGrpcTimeout ?? "",
    retry: retryOf(route),
    fault: route.fault,
    cors: corsOf(route, request),
    mirrors: (action.requestMirrorPolicies ?? []).map(mirrorOf),
    hash: action.hashPolicy ?? null,
  };
  return { told, route };
}

function retryOf({ retry }: CompiledRoute): RetryTold | null {
  if (retry === null) return null;
  const on = [...retry.on].sort().join(",");
  return { ...retry, on, retriableStatusCodes: [...retry.retriableStatusCodes].join(",") };
}

function corsOf({ cors }: CompiledRoute, request: GeneratedRequest): unknown {
  if (cors === null) return null;
  const origin = request.view.header("origin");
  const policy: Omit<CorsPolicy, "allowOriginStringMatch"> = cors;
  return { ...policy, allowed: origin !== undefined && cors.originAllowed(origin) };
}

const PER_HUNDRED = { HUNDRED: 1, TEN_THOUSAND: 100, MILLION: 10_000 } as const;

function mirrorOf({ cluster, runtimeFraction }: RequestMirrorPolicy): string {
  const percent = runtimeFraction === undefined
    ? 100
    : runtimeFraction.numerator / PER_HUNDRED[runtimeFraction.denominator];
  return `${cluster} ${percent} %`;
}

function requestAfter(ops: HeaderOps | null, { view, headers }: GeneratedRequest): string {
  const request = (name: string) =>
    name === ":path"
      ? view.path
      : name === ":method"
      ? view.method
      : name === ":authority"
      ? view.authority
      : view.header(name);
  return after(ops, headers, request);
}

/** Of a response with a line for each header that operations name. */
function responseAfter(ops: HeaderOps | null): string {
  const names = [...new Set((ops?.steps ?? []).map((step) => step.key))];
  return after(ops, names.map((name) => [name, "up"] as const), () => undefined);
}

function after(
  ops: HeaderOps | null,
  headers: readonly (readonly [string, string])[],
  request: (name: string) => string | undefined,
): string {
  if (ops === null) return "";
  let lines = headers.map(([key, value]) => [key.toLowerCase(), value] as const);
  applyHeaderOps(ops, {
    has: (name) => lines.some(([key]) => key === name),
    remove: (name) => void (lines = lines.filter(([key]) => key !== name)),
    set: (name, _key, value) => void (lines = [...lines.filter(([key]) => key !== name), [name, value]]),
    add: (name, _key, value) => void lines.push([name, value]),
  }, { request, command: (name, argument) => `<${name} ${argument}>` });
  return lines.map(([key, value]) => `${key}: ${value}`).sort().join("; ");
}

/** What a cluster is, as texts. */
export interface ClusterTold {
  /** `yes`, or empty with all others. */
  readonly there: string;
  readonly type: string;
  readonly lbPolicy: string;
  /** In any order. */
  readonly endpoints: readonly string[];
  readonly protocol: string;
  readonly tls: string;
  readonly connectTimeout: string;
}

const NO_CLUSTER: ClusterTold = {
  there: "",
  type: "",
  lbPolicy: "",
  endpoints: [],
  protocol: "",
  tls: "",
  connectTimeout: "",
};

export function tellCluster(program: Program, name: string): ClusterTold {
  const cluster = program.clusters.get(name);
  if (cluster === undefined) return NO_CLUSTER;
  const assignment = cluster.loadAssignment ?? program.loadAssignments.get(cluster.edsServiceName ?? name);
  const endpoints = (assignment?.endpoints ?? []).flatMap(({ priority, lbEndpoints }) =>
    lbEndpoints.map((e) =>
      `${e.address}:${e.port} weight ${e.loadBalancingWeight ?? 1}${priority ? ` priority ${priority}` : ""}`
    )
  );
  return {
    there: "yes",
    type: cluster.type,
    lbPolicy: cluster.lbPolicy,
    endpoints: endpoints.sort(),
    protocol: cluster.httpProtocolOptions?.protocol ?? "HTTP1",
    tls: cluster.tls?.mode ?? "",
    connectTimeout: cluster.connectTimeout,
  };
}

/** The fields in which two clusters differ. */
export function clusterDifferences(a: ClusterTold, b: ClusterTold): (keyof ClusterTold)[] {
  if (a.there !== b.there) return ["there"];
  return (Object.keys(a) as (keyof ClusterTold)[]).filter((field) => String(a[field]) !== String(b[field]));
}

const FOLLOWS_FROM_DESTINATIONS: readonly (keyof Told)[] = [
  "choice",
  "missing",
  "hosts",
  "requestHeaders",
  "responseHeaders",
];

/** The fields in which two decisions differ, without those that differ only because an earlier one does. */
export function differences(a: Told, b: Told): (keyof Told)[] {
  const differs = (field: keyof Told) => JSON.stringify(a[field]) !== JSON.stringify(b[field]);
  for (const field of ["kind", "virtualHost"] as const) if (differs(field)) return [field];
  const ignored = differs("destinations") ? FOLLOWS_FROM_DESTINATIONS : [];
  return (Object.keys(a) as (keyof Told)[]).filter((field) => !ignored.includes(field) && differs(field));
}
