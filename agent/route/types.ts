/**
 * What the request path reads: the contract between `route/` (which makes it) and `proxy/` and `admin/` (which use it).
 */
import type { Origin } from "../core/diagnostics.ts";
import type { Route, VirtualHost } from "../model/model.ts";

/**
 * What routing may look at. Implemented lazily by the engines over received bytes. All texts are byte strings: one
 * char per received byte (latin1), so that rules compare as Envoy does.
 */
export interface RequestView {
  readonly method: string;
  readonly scheme: "http" | "https";
  /** As received (absolute-form authority or Host), port included. */
  readonly authority: string;
  /** Lower-case host without port, trailing dot and IPv6 brackets kept off: `reviews`, `::1`. */
  readonly host: string;
  /** Port of the authority; 80 or 443 by scheme when absent. */
  readonly port: number;
  /** Normalised path without query and fragment, begins with `/` (or is `*`). */
  readonly path: string;
  /** Raw text after `?`, without it; undefined when there is no `?`. */
  readonly query: string | undefined;
  /** All values of the header joined with `,`; undefined when missing. `name` is lower-case. */
  header(name: string): string | undefined;
}

/** One weighted (or the single) destination of a route. */
export interface CompiledDestination {
  readonly cluster: string;
  readonly weight: number;
  /** Level order of Envoy already resolved: operations to run on the request, then on the response. */
  readonly requestOps: HeaderOps | null;
  readonly responseOps: HeaderOps | null;
  /** Host to write instead of the received authority. */
  readonly hostRewrite: string | null;
}

/** Header operations of all levels, in execution order. */
export interface HeaderOps {
  readonly steps: readonly HeaderStep[];
}

export interface HeaderStep {
  /** `addAbsent` and `setPresent` only where the header is missing, or there, before the level's first change. */
  readonly action: "remove" | "set" | "add" | "addAbsent" | "setPresent";
  /** Lower-case, for comparing. */
  readonly name: string;
  /** As written by the rule, for sending. */
  readonly key: string;
  /** Literal text, or parts when it holds %COMMAND% operators; null for remove. */
  readonly value: readonly ValuePart[] | null;
  /** Steps of one number were written at one level (cluster weight, route, …); their values are formatted together. */
  readonly level?: number;
}

export type ValuePart = string | {
  readonly command: string;
  readonly argument: string;
  readonly maxLength: number;
};

export interface CompiledRetry {
  readonly numRetries: number;
  readonly on: ReadonlySet<string>;
  readonly retriableStatusCodes: ReadonlySet<number>;
  readonly perTryTimeoutMs: number;
  readonly baseIntervalMs: number;
  readonly maxIntervalMs: number;
  readonly avoidPreviousHosts: boolean;
  readonly hostSelectionRetryMaxAttempts: number;
}

export interface CompiledFault {
  /** Per million. */
  readonly delayPerMillion: number;
  readonly delayMs: number;
  readonly abortPerMillion: number;
  readonly httpStatus: number;
  /** -1 when the abort is an HTTP one. */
  readonly grpcStatus: number;
}

export interface CompiledCors {
  originAllowed(origin: string): boolean;
  readonly allowMethods: string;
  readonly allowHeaders: string;
  readonly exposeHeaders: string;
  readonly maxAge: string;
  readonly allowCredentials: boolean;
  readonly forwardNotMatchingPreflights: boolean;
}

export interface CompiledRoute {
  readonly source: Route;
  readonly name: string;
  readonly origin: Origin | undefined;
  matches(view: RequestView): boolean;
  /** The first condition that this request fails, in plain words; undefined when it matches. For `explain`. */
  firstFailure(view: RequestView): string | undefined;
  readonly kind: "route" | "redirect" | "directResponse";
  /** Non-empty for kind `route`. */
  readonly destinations: readonly CompiledDestination[];
  readonly totalWeight: number;
  /** 0 = none. */
  readonly timeoutMs: number;
  /** Bound of the client's grpc-timeout, which then is the timeout; 0 = no bound, -1 = grpc-timeout does not count. */
  readonly maxGrpcTimeoutMs: number;
  readonly retry: CompiledRetry | null;
  readonly fault: CompiledFault | null;
  readonly cors: CompiledCors | null;
  /** Response operations for redirects and direct responses. */
  readonly responseOps: HeaderOps | null;
  /** New path (query not included) for the upstream; the same text when there is no rewrite. */
  rewritePath(path: string): string;
  readonly rewritesPath: boolean;
  /** For kind `redirect`: the Location value and status. */
  redirect(view: RequestView): { readonly status: number; readonly location: string };
  /** For kind `directResponse`. */
  readonly direct: { readonly status: number; readonly body: Uint8Array } | null;
}

export interface CompiledVirtualHost {
  readonly source: VirtualHost;
  readonly routes: readonly CompiledRoute[];
}

/** What `select` decided. */
export type Decision =
  | {
    readonly kind: "route";
    readonly virtualHost: CompiledVirtualHost;
    readonly route: CompiledRoute;
    readonly destination: CompiledDestination;
  }
  | {
    readonly kind: "redirect" | "directResponse";
    readonly virtualHost: CompiledVirtualHost;
    readonly route: CompiledRoute;
  }
  /** A virtual host matched, no route did: 404 NR. */
  | { readonly kind: "noRoute"; readonly virtualHost: CompiledVirtualHost }
  /** The host is known, but not on this port: 404 that names the ports. */
  | { readonly kind: "unknownPort"; readonly ports: readonly number[] }
  /** No virtual host at all (not even `*`): the outbound policy decides. */
  | { readonly kind: "unknownHost" };

/** All tables of a world. Built once per publication; sharing compiled hosts with the one before. */
export interface RouteTables {
  /** Hot path: about 1 us. `random` in [0,1) makes the weighted choice. */
  select(view: RequestView, random: number): Decision;
  /** The virtual host that would serve, without looking at routes (for explain and CONNECT). */
  findVirtualHost(host: string, port: number): CompiledVirtualHost | undefined;
  /** Ports on which this host is known, ascending; empty when unknown. */
  portsOf(host: string): readonly number[];
}
