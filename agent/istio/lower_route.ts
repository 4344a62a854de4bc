/**
 * VirtualService http[] -> ordered Envoy routes for one port (istio-semantics 1.4 and 1.7 to 1.9), and the default route of
 * a service without rules (1.13).
 *
 * In: the (merged) http entries, the port, what the destinations' DestinationRules say about hashing. Out: routes in order,
 * ending at the first that takes everything.
 */
import type { PathPart } from "../core/yaml.ts";
import {
  clusterName,
  type ClusterWeight,
  type HashPolicy,
  type RedirectAction,
  type RequestMirrorPolicy,
  type RetryPolicy,
  type Route,
  type RouteAction,
} from "../model/model.ts";
import { fullHost } from "./host_pattern.ts";
import { lowerCors, lowerFault } from "./lower_filters.ts";
import { type HeaderEdits, lowerHeaders } from "./lower_headers.ts";
import { guardsHold, isCatchAll, lowerMatch } from "./lower_match.ts";
import { lowerPercent, normalDuration } from "./lower_values.ts";
import type { Places } from "./origin.ts";
import type {
  Destination,
  HTTPMatchRequest,
  HTTPRedirect,
  HTTPRetry,
  HTTPRoute,
  HTTPRouteDestination,
  Percent,
  ProxyContext,
} from "./resources.ts";

/** One http entry to lower: as written, or merged from a root and its delegate. */
export interface HttpEntry {
  readonly route: HTTPRoute;
  /** Namespace that completes short names. */
  readonly namespace: string;
  readonly place: Places;
  /** Place of the entry in its document. */
  readonly path: readonly PathPart[];
  /** Place of each match block; absent when they stand at `path.match[i]`. */
  readonly matchPaths?: readonly { readonly place: Places; readonly path: readonly PathPart[] }[];
}

export interface RouteInput {
  readonly port: number;
  readonly proxy: ProxyContext;
  /** What the DestinationRule of a destination says about hashing; `port` as written, if so. */
  hashPolicyOf(host: string, subset: string, port: number | undefined): HashPolicy | undefined;
}

/** Names a cluster that never exists: a destination without a host. */
const UNKNOWN_SERVICE = "UnknownService";
const DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const HOST_SELECTION_ATTEMPTS = 5;

/** Istio's retries when the rule says nothing. */
export const DEFAULT_RETRY: RetryPolicy = {
  retryOn: DEFAULT_RETRY_ON,
  numRetries: 2,
  avoidPreviousHosts: true,
  hostSelectionRetryMaxAttempts: HOST_SELECTION_ATTEMPTS,
};
const DEFAULT_RETRY_SAME_HOST: RetryPolicy = {
  retryOn: DEFAULT_RETRY_ON,
  numRetries: 2,
  hostSelectionRetryMaxAttempts: HOST_SELECTION_ATTEMPTS,
};

export function lowerRoutes(entries: readonly HttpEntry[], input: RouteInput): Route[] {
  const routes: Route[] = [];
  for (const entry of entries) {
    const matches = entry.route.match ?? [];
    if (matches.length === 0) {
      routes.push(lowerRoute(entry, undefined, 0, input));
      return routes;
    }
    for (let i = 0; i < matches.length; i++) {
      const match = matches[i] ?? {};
      if (!guardsHold(match, input.port, input.proxy)) continue;
      const route = lowerRoute(entry, match, i, input);
      routes.push(route);
      if (isCatchAll(route.match)) return routes;
    }
  }
  return routes;
}

/** The route of a service that no VirtualService covers. */
export function defaultRoute(
  cluster: string,
  hashPolicy: HashPolicy | undefined,
  origin: Route["origin"],
): Route {
  return {
    name: "default",
    match: { prefix: "/" },
    route: {
      cluster,
      timeout: "0s",
      maxGrpcTimeout: "0s",
      retryPolicy: DEFAULT_RETRY,
      ...(hashPolicy === undefined ? {} : { hashPolicy: [hashPolicy] }),
    },
    ...(origin === undefined ? {} : { origin }),
  };
}

function lowerRoute(
  entry: HttpEntry,
  match: HTTPMatchRequest | undefined,
  index: number,
  input: RouteInput,
): Route {
  const { route } = entry;
  const name = (route.name ?? "") + (match?.name ? `.${match.name}` : "");
  const at = entry.matchPaths?.[index] ??
    { place: entry.place, path: match === undefined ? entry.path : [...entry.path, "match", index] };
  const edits = lowerHeaders(route.headers);
  const destinations = chosenDestinations(route);
  const single = destinations.length === 1 ? destinations[0] as HTTPRouteDestination : undefined;
  const isRoute = route.redirect === undefined && route.directResponse === undefined;
  const own = isRoute && single?.headers !== undefined ? lowerHeaders(single.headers) : undefined;
  const fault = lowerFault(route.fault);
  const cors = lowerCors(route.corsPolicy);
  const lowered: Route = {
    ...(name === "" ? {} : { name }),
    match: lowerMatch(match),
    ...lowerAction(entry, destinations, edits, own, input),
    ...headerFields(edits, own),
    ...(fault === undefined && cors === undefined ? {} : {
      typedPerFilterConfig: {
        ...(fault === undefined ? {} : { "envoy.filters.http.fault": fault }),
        ...(cors === undefined ? {} : { "envoy.filters.http.cors": cors }),
      },
    }),
    ...(match?.statPrefix ? { statPrefix: match.statPrefix } : {}),
    origin: at.place(at.path),
  };
  return lowered;
}

function lowerAction(
  entry: HttpEntry,
  destinations: readonly HTTPRouteDestination[],
  edits: HeaderEdits,
  own: HeaderEdits | undefined,
  input: RouteInput,
): Pick<Route, "route" | "redirect" | "directResponse"> {
  const { route } = entry;
  if (route.redirect !== undefined) return { redirect: lowerRedirect(route.redirect, input.port) };
  if (route.directResponse !== undefined) {
    const { status, body } = route.directResponse;
    const inline = body?.string !== undefined
      ? { inlineString: body.string }
      : body?.bytes !== undefined
      ? { inlineBytes: body.bytes }
      : undefined;
    return { directResponse: { status, ...(inline === undefined ? {} : { body: inline }) } };
  }
  const clusterOf = (destination: Destination | undefined): string => {
    const host = fullHost(destination?.host ?? "", entry.namespace, input.proxy.domainSuffix);
    if (host === "") return UNKNOWN_SERVICE;
    return clusterName(destination?.port?.number ?? input.port, destination?.subset ?? "", host);
  };
  const hashPolicy: HashPolicy[] = [];
  for (const { destination } of destinations) {
    if (destination === undefined) continue;
    const host = fullHost(destination.host, entry.namespace, input.proxy.domainSuffix);
    const policy = input.hashPolicyOf(host, destination.subset ?? "", destination.port?.number);
    if (policy !== undefined) hashPolicy.push(policy);
  }
  const { rewrite } = route;
  const hostRewrite = rewrite?.authority || edits.host || own?.host;
  const timeout = normalDuration(route.timeout) ?? "0s";
  const retryPolicy = lowerRetry(route.retries, destinations.length === 1 && hashPolicy.length > 0);
  const mirrors = lowerMirrors(route, clusterOf);
  const regexRewrite = rewrite?.uriRegexRewrite;
  const only = destinations.length === 1 || destinations.length === 0;
  const action: RouteAction = {
    ...(only
      ? { cluster: clusterOf(destinations[0]?.destination) }
      : { weightedClusters: { clusters: destinations.map((d) => clusterWeight(d, clusterOf)) } }),
    ...(regexRewrite?.match
      ? {
        regexRewrite: {
          pattern: { regex: regexRewrite.match },
          substitution: regexRewrite.rewrite ?? "",
        },
      }
      : rewrite?.uri
      ? { prefixRewrite: rewrite.uri }
      : {}),
    ...(hostRewrite ? { hostRewriteLiteral: hostRewrite } : {}),
    timeout,
    maxGrpcTimeout: timeout,
    ...(retryPolicy === undefined ? {} : { retryPolicy }),
    ...(mirrors.length === 0 ? {} : { requestMirrorPolicies: mirrors }),
    ...(hashPolicy.length === 0 ? {} : { hashPolicy }),
  };
  return { route: action };
}

/** Of several destinations, those with a weight; a single one counts whatever its weight. */
function chosenDestinations(route: HTTPRoute): readonly HTTPRouteDestination[] {
  const all = (route.route ?? []).filter((d) => d !== null);
  if (all.length <= 1) return all;
  const weighted = all.filter((d) => (d.weight ?? 0) > 0);
  return weighted.length === 0 ? all : weighted;
}

function clusterWeight(
  destination: HTTPRouteDestination,
  clusterOf: (d: Destination | undefined) => string,
): ClusterWeight {
  const name = clusterOf(destination.destination);
  const weight = destination.weight ?? 0;
  if (destination.headers === undefined) return { name, weight };
  const edits = lowerHeaders(destination.headers);
  return {
    name,
    weight,
    ...headerFields(edits),
    ...(edits.host === undefined ? {} : { hostRewriteLiteral: edits.host }),
  };
}

type HeaderFields = Pick<
  Route,
  "requestHeadersToAdd" | "requestHeadersToRemove" | "responseHeadersToAdd" | "responseHeadersToRemove"
>;

/** `then` is written after `first`, as the headers of a single destination are. */
function headerFields(first: HeaderEdits, then?: HeaderEdits): HeaderFields {
  if (first.empty && (then === undefined || then.empty)) return {};
  const join = <T>(a: readonly T[], b: readonly T[] | undefined): readonly T[] =>
    b === undefined || b.length === 0 ? a : a.length === 0 ? b : [...a, ...b];
  const requestAdd = join(first.requestAdd, then?.requestAdd);
  const requestRemove = join(first.requestRemove, then?.requestRemove);
  const responseAdd = join(first.responseAdd, then?.responseAdd);
  const responseRemove = join(first.responseRemove, then?.responseRemove);
  return {
    ...(requestAdd.length === 0 ? {} : { requestHeadersToAdd: requestAdd }),
    ...(requestRemove.length === 0 ? {} : { requestHeadersToRemove: requestRemove }),
    ...(responseAdd.length === 0 ? {} : { responseHeadersToAdd: responseAdd }),
    ...(responseRemove.length === 0 ? {} : { responseHeadersToRemove: responseRemove }),
  };
}

const REDIRECT_CODES = [301, 302, 303, 307, 308];

function lowerRedirect(redirect: HTTPRedirect, listenerPort: number): RedirectAction {
  const written = redirect.derivePort === "FROM_REQUEST_PORT" ? listenerPort : redirect.port ?? 0;
  const scheme = redirect.scheme || "http";
  const usual = (scheme === "http" && written === 80) || (scheme === "https" && written === 443);
  const code = redirect.redirectCode ?? 301;
  const path = redirect.uri
    ? { pathRedirect: redirect.uri }
    : redirect.prefixRewrite
    ? { prefixRewrite: redirect.prefixRewrite }
    : {};
  return {
    ...path,
    ...(redirect.authority ? { hostRedirect: redirect.authority } : {}),
    ...(redirect.scheme ? { schemeRedirect: redirect.scheme as "http" | "https" } : {}),
    ...(written === 0 || usual ? {} : { portRedirect: written }),
    responseCode: (REDIRECT_CODES.includes(code) ? code : 301) as RedirectAction["responseCode"],
  };
}

/** Statuses that have a name in Go's net/http; only those leave the list of conditions. */
const KNOWN_STATUSES = new Set(
  ("100 101 102 103 200 201 202 203 204 205 206 207 208 226 300 301 302 303 304 305 307 308 400 401 402 403 404 405 406 " +
    "407 408 409 410 411 412 413 414 415 416 417 418 421 422 423 424 425 426 428 429 431 451 500 501 502 503 504 505 506 " +
    "507 508 510 511").split(" ").map(Number),
);

function lowerRetry(retries: HTTPRetry | undefined, sticky: boolean): RetryPolicy | undefined {
  // A consistent hash that leads to one cluster must be free to meet the same endpoint again.
  if (retries === undefined || retries === null) return sticky ? DEFAULT_RETRY_SAME_HOST : DEFAULT_RETRY;
  const attempts = retries.attempts ?? 0;
  if (attempts <= 0) return undefined;
  const codes: number[] = [];
  let retryOn = DEFAULT_RETRY_ON;
  if (retries.retryOn) {
    const conditions: string[] = [];
    for (const part of retries.retryOn.split(",")) {
      const token = part.trim();
      if (token === "") continue;
      if (/^\d+$/.test(token) && KNOWN_STATUSES.has(Number(token))) codes.push(Number(token));
      else conditions.push(token);
    }
    if (codes.length > 0) conditions.push("retriable-status-codes");
    retryOn = conditions.join(",");
  }
  const perTryTimeout = normalDuration(retries.perTryTimeout);
  const backoff = normalDuration(retries.backoff);
  return {
    retryOn,
    numRetries: attempts,
    ...(perTryTimeout === undefined ? {} : { perTryTimeout }),
    ...(codes.length === 0 ? {} : { retriableStatusCodes: codes }),
    ...(backoff === undefined ? {} : { retryBackOff: { baseInterval: backoff } }),
    ...(retries.retryRemoteLocalities === true ? { retryPriority: { updateFrequency: 2 } } : {}),
    ...(retries.retryIgnorePreviousHosts ?? !sticky ? { avoidPreviousHosts: true } : {}),
    hostSelectionRetryMaxAttempts: HOST_SELECTION_ATTEMPTS,
  };
}

function lowerMirrors(
  route: HTTPRoute,
  clusterOf: (d: Destination | undefined) => string,
): RequestMirrorPolicy[] {
  const policies: RequestMirrorPolicy[] = [];
  const add = (
    destination: Destination | undefined,
    percentage: Percent | undefined | null,
    percent?: number,
  ): void => {
    const runtimeFraction = lowerPercent(percentage) ??
      { numerator: percent ?? 100, denominator: "HUNDRED" as const };
    if (runtimeFraction.numerator <= 0) return;
    policies.push({ cluster: clusterOf(destination), runtimeFraction, disableShadowHostSuffixAppend: true });
  };
  if (route.mirror !== undefined && route.mirror !== null) {
    add(route.mirror, route.mirrorPercentage, route.mirrorPercent);
  }
  for (const mirror of route.mirrors ?? []) {
    if (mirror !== null) add(mirror.destination, mirror.percentage);
  }
  return policies;
}
