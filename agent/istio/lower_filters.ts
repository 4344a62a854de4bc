/** Fault and CORS of a rule -> the per-route configuration of Envoy's filters (istio-semantics 1.10). */
import { parseDuration } from "../core/duration.ts";
import type { CorsPolicy, FractionalPercent, HTTPFault, StringMatcher } from "../model/model.ts";
import { stringMatcher } from "./lower_match.ts";
import { lowerPercent, normalDuration } from "./lower_values.ts";
import type { HTTPFaultInjection, IstioCorsPolicy } from "./resources.ts";
import { GRPC_CODES } from "./validate_primitives.ts";

/** Without a percentage a fault never happens; Istio's documentation says otherwise, its proxies do this. */
const NEVER: FractionalPercent = { numerator: 0, denominator: "HUNDRED" };

export function lowerFault(fault: HTTPFaultInjection | null | undefined): HTTPFault | undefined {
  if (fault === undefined || fault === null) return undefined;
  const { delay, abort } = fault;
  const shareOf = (part: NonNullable<typeof delay | typeof abort>): FractionalPercent =>
    lowerPercent(part.percentage) ??
      (part.percent === undefined ? NEVER : { numerator: part.percent, denominator: "HUNDRED" });
  const fixedDelay = normalDuration(delay?.fixedDelay);
  const lowered: { -readonly [K in keyof HTTPFault]: HTTPFault[K] } = {};
  if (delay != null && fixedDelay !== undefined) {
    lowered.delay = { fixedDelay, percentage: shareOf(delay) };
  }
  if (abort?.httpStatus !== undefined) {
    lowered.abort = { httpStatus: abort.httpStatus, percentage: shareOf(abort) };
  } else if (abort?.grpcStatus !== undefined) {
    const status = GRPC_CODES.indexOf(abort.grpcStatus.toUpperCase());
    if (status >= 0) lowered.abort = { grpcStatus: status, percentage: shareOf(abort) };
  }
  return lowered.delay === undefined && lowered.abort === undefined ? undefined : lowered;
}

export function lowerCors(cors: IstioCorsPolicy | null | undefined): CorsPolicy | undefined {
  if (cors === undefined || cors === null) return undefined;
  const origins: StringMatcher[] = [];
  for (const origin of cors.allowOrigins ?? []) {
    const matcher = stringMatcher(origin);
    if (matcher !== undefined) origins.push(matcher);
  }
  if (origins.length === 0) {
    for (const exact of cors.allowOrigin ?? []) origins.push({ exact });
  }
  const join = (list: readonly string[] | null | undefined): string | undefined =>
    list === undefined || list === null || list.length === 0 ? undefined : list.join(",");
  const allowMethods = join(cors.allowMethods);
  const allowHeaders = join(cors.allowHeaders);
  const exposeHeaders = join(cors.exposeHeaders);
  const maxAgeMs = cors.maxAge === undefined ? undefined : parseDuration(cors.maxAge);
  return {
    allowOriginStringMatch: origins,
    ...(allowMethods === undefined ? {} : { allowMethods }),
    ...(allowHeaders === undefined ? {} : { allowHeaders }),
    ...(exposeHeaders === undefined ? {} : { exposeHeaders }),
    ...(maxAgeMs === undefined ? {} : { maxAge: String(Math.trunc(maxAgeMs / 1000)) }),
    ...(cors.allowCredentials === true ? { allowCredentials: true } : {}),
    ...(cors.unmatchedPreflights === "IGNORE" ? { forwardNotMatchingPreflights: false } : {}),
  };
}
