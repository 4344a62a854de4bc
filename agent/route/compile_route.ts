/**
 * A Route of the model becomes a {@link CompiledRoute}: conditions as functions, levels of header operations in
 * execution order, durations in milliseconds. Nothing here fails: what cannot work matches nothing or stays out, and
 * the validator has said so.
 */
import { parseDuration } from "../core/duration.ts";
import type {
  ClusterWeight,
  FractionalPercent,
  HeaderFields,
  HTTPFault,
  RetryPolicy,
  Route,
  RouteAction,
  VirtualHost,
} from "../model/model.ts";
import { compileCors } from "./cors.ts";
import { compileHeaderOps } from "./headers.ts";
import { compileMatch, type Condition } from "./match.ts";
import { compilePathRewrite, compileRedirect } from "./redirect.ts";
import type {
  CompiledDestination,
  CompiledFault,
  CompiledRetry,
  CompiledRoute,
  CompiledVirtualHost,
  HeaderOps,
  RequestView,
} from "./types.ts";

/** Envoy's route timeout where the field is absent. */
const DEFAULT_TIMEOUT_MS = 15_000;
const DEFAULT_RETRY_BASE_MS = 25;

/** Header operations of a table, for all its virtual hosts. */
export interface TableHeaders extends HeaderFields {
  /** The table's run before the virtual host's and these before the route's, so that the most specific have the last word. */
  readonly mostSpecificHeaderMutationsWins?: boolean;
}

export function compileVirtualHost(source: VirtualHost, table?: TableHeaders): CompiledVirtualHost {
  const outer: OuterHeaders = {
    levels: table === undefined ? [source] : [source, table],
    first: table?.mostSpecificHeaderMutationsWins === true,
  };
  return { source, routes: source.routes.map((route) => compileRoute(route, outer)) };
}

/** Header operations of the levels around a route, innermost first. */
interface OuterHeaders {
  readonly levels: readonly HeaderFields[];
  readonly first: boolean;
}

const NOTHING_AROUND: OuterHeaders = { levels: [], first: false };

export function compileRoute(source: Route, outer: OuterHeaders = NOTHING_AROUND): CompiledRoute {
  return new RouteProgram(source, outer);
}

class RouteProgram implements CompiledRoute {
  readonly source: Route;
  readonly name: string;
  readonly origin: CompiledRoute["origin"];
  readonly kind: CompiledRoute["kind"];
  readonly destinations: readonly CompiledDestination[];
  readonly totalWeight: number;
  readonly timeoutMs: number;
  readonly maxGrpcTimeoutMs: number;
  readonly retry: CompiledRetry | null;
  readonly fault: CompiledFault | null;
  readonly cors: CompiledRoute["cors"];
  readonly responseOps: HeaderOps | null;
  readonly rewritesPath: boolean;
  readonly direct: CompiledRoute["direct"];
  readonly #conditions: readonly Condition[];
  readonly #rewrite: ((path: string) => string) | undefined;
  readonly #redirect:
    | ((view: RequestView) => { readonly status: number; readonly location: string })
    | undefined;

  constructor(source: Route, outer: OuterHeaders) {
    this.source = source;
    this.name = source.name ?? "";
    this.origin = source.origin;
    this.#conditions = compileMatch(source.match);
    this.kind = source.redirect !== undefined
      ? "redirect"
      : source.directResponse !== undefined
      ? "directResponse"
      : "route";
    this.#rewrite = compilePathRewrite(source);
    this.rewritesPath = this.#rewrite !== undefined && this.kind === "route";
    this.destinations = source.route === undefined ? [] : compileDestinations(source, source.route, outer);
    this.totalWeight = this.destinations.reduce((sum, d) => sum + d.weight, 0);
    this.maxGrpcTimeoutMs = source.route?.maxGrpcTimeout === undefined
      ? -1
      : milliseconds(source.route.maxGrpcTimeout, 0);
    this.timeoutMs = source.route === undefined ? 0 : milliseconds(source.route.timeout, DEFAULT_TIMEOUT_MS);
    this.retry = source.route?.retryPolicy === undefined ? null : compileRetry(source.route.retryPolicy);
    const perFilter = source.typedPerFilterConfig;
    const fault = perFilter?.["envoy.filters.http.fault"];
    this.fault = fault === undefined || this.kind !== "route" ? null : compileFault(fault);
    const cors = perFilter?.["envoy.filters.http.cors"];
    this.cors = cors === undefined || this.kind !== "route" ? null : compileCors(cors);
    this.responseOps = responseOps(source, outer);
    this.#redirect = source.redirect === undefined ? undefined : compileRedirect(source, source.redirect);
    this.direct = source.directResponse === undefined ? null : {
      status: source.directResponse.status,
      body: bodyOf(source.directResponse.body),
    };
  }

  matches(view: RequestView): boolean {
    const conditions = this.#conditions;
    for (let i = 0; i < conditions.length; i++) {
      if (!(conditions[i] as Condition).test(view)) return false;
    }
    return true;
  }

  firstFailure(view: RequestView): string | undefined {
    return this.#conditions.find((c) => !c.test(view))?.explain(view);
  }

  rewritePath(path: string): string {
    return this.#rewrite === undefined ? path : this.#rewrite(path);
  }

  redirect(view: RequestView): { readonly status: number; readonly location: string } {
    if (this.#redirect === undefined) {
      throw new TypeError(`Cannot redirect by route "${this.name}": it is a ${this.kind}`);
    }
    return this.#redirect(view);
  }
}

/**
 * Envoy evaluates route, virtual host, table, or the other way round if the table wants it so; a weighted cluster before
 * all of them in either case (measured on Envoy 1.40).
 */
function ordered(route: Route, outer: OuterHeaders, cluster?: ClusterWeight): readonly HeaderFields[] {
  const levels = [route, ...outer.levels];
  if (outer.first) levels.reverse();
  return cluster === undefined ? levels : [cluster, ...levels];
}

function requestOps(route: Route, outer: OuterHeaders, cluster?: ClusterWeight): HeaderOps | null {
  return compileHeaderOps(
    ordered(route, outer, cluster).map((level) => ({
      add: level.requestHeadersToAdd,
      remove: level.requestHeadersToRemove,
    })),
  );
}

function responseOps(route: Route, outer: OuterHeaders, cluster?: ClusterWeight): HeaderOps | null {
  return compileHeaderOps(
    ordered(route, outer, cluster).map((level) => ({
      add: level.responseHeadersToAdd,
      remove: level.responseHeadersToRemove,
    })),
  );
}

function compileDestinations(
  route: Route,
  action: RouteAction,
  outer: OuterHeaders,
): readonly CompiledDestination[] {
  const routeHost = action.hostRewriteLiteral;
  if (action.weightedClusters === undefined) {
    return [{
      cluster: action.cluster ?? "",
      weight: 1,
      requestOps: requestOps(route, outer),
      responseOps: responseOps(route, outer),
      hostRewrite: routeHost ?? null,
    }];
  }
  const { clusters } = action.weightedClusters;
  const live = clusters.filter((c) => c.weight > 0);
  // All weights 0 is refused by the validator; a source that sends it all the same gets the first.
  return (live.length > 0 ? live : clusters.slice(0, 1)).map((c) => ({
    cluster: c.name,
    weight: Math.max(c.weight, live.length > 0 ? 0 : 1),
    requestOps: requestOps(route, outer, c),
    responseOps: responseOps(route, outer, c),
    hostRewrite: routeHost ?? c.hostRewriteLiteral ?? null,
  }));
}

function milliseconds(text: string | undefined, otherwise: number): number {
  return text === undefined ? otherwise : parseDuration(text) ?? otherwise;
}

function compileRetry(policy: RetryPolicy): CompiledRetry | null {
  if (policy.numRetries <= 0) return null;
  const base = milliseconds(policy.retryBackOff?.baseInterval, DEFAULT_RETRY_BASE_MS);
  return {
    numRetries: policy.numRetries,
    on: new Set(policy.retryOn.split(",").map((t) => t.trim()).filter((t) => t !== "")),
    retriableStatusCodes: new Set(policy.retriableStatusCodes ?? []),
    perTryTimeoutMs: milliseconds(policy.perTryTimeout, 0),
    baseIntervalMs: base,
    maxIntervalMs: milliseconds(policy.retryBackOff?.maxInterval, base * 10),
    avoidPreviousHosts: policy.avoidPreviousHosts === true,
    hostSelectionRetryMaxAttempts: policy.hostSelectionRetryMaxAttempts ?? 1,
  };
}

const DENOMINATOR = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 } as const;

function perMillion(percent: FractionalPercent): number {
  return Math.min(percent.numerator * (1_000_000 / DENOMINATOR[percent.denominator]), 1_000_000);
}

function compileFault(fault: HTTPFault): CompiledFault {
  return {
    delayPerMillion: fault.delay === undefined ? 0 : perMillion(fault.delay.percentage),
    delayMs: milliseconds(fault.delay?.fixedDelay, 0),
    abortPerMillion: fault.abort === undefined ? 0 : perMillion(fault.abort.percentage),
    httpStatus: fault.abort?.httpStatus ?? 0,
    grpcStatus: fault.abort?.grpcStatus ?? -1,
  };
}

function bodyOf(
  body: { readonly inlineString?: string; readonly inlineBytes?: string } | undefined,
): Uint8Array {
  if (body?.inlineString !== undefined) return new TextEncoder().encode(body.inlineString);
  if (body?.inlineBytes === undefined) return new Uint8Array(0);
  return Uint8Array.from(atob(body.inlineBytes), (c) => c.charCodeAt(0));
}
