/** What an HTTP route does: rows VS-E19 to VS-E28 and VS-W1 to VS-W3. */
import { parseDuration } from "../core/duration.ts";
import { type At, type Remarks } from "./remark.ts";
import type {
  Headers,
  HTTPDirectResponse,
  HTTPFaultInjection,
  HTTPMatchRequest,
  HTTPRedirect,
  HTTPRetry,
  HTTPRewrite,
  HTTPRoute,
  IstioCorsPolicy,
} from "./resources.ts";
import {
  durationProblem,
  GRPC_CODES,
  headerOperationNameProblem,
  headerValueProblem,
  httpStatusProblem,
  isHeaderToken,
  judgeDestination,
  judgeDuration,
  percentIntProblem,
  percentProblem,
  regexProblem,
} from "./validate_primitives.ts";

/** VS-E19 */
export function judgeHeaders(headers: Headers, at: At, out: Remarks): void {
  for (const side of ["request", "response"] as const) {
    const operations = headers[side];
    if (operations === undefined) continue;
    for (const operation of ["set", "add"] as const) {
      const values = operations[operation] ?? {};
      for (const name of Object.keys(values)) {
        const field = at.to(side).to(operation).to(name);
        const value = values[name] as string;
        const nameProblem = headerOperationNameProblem(name, side === "request");
        if (nameProblem !== undefined) out.refuse("R119", field, "header", name, nameProblem, { key: true });
        const valueProblem = headerValueProblem(value);
        if (valueProblem !== undefined) {
          out.refuse("R119", field, `value of header ${name}`, value, valueProblem);
        }
      }
    }
    for (const [i, name] of (operations.remove ?? []).entries()) {
      const problem = headerOperationNameProblem(name, false);
      if (problem !== undefined) out.refuse("R119", at.to(side).to("remove").to(i), "header", name, problem);
    }
  }
}

const CORS_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"];

/** VS-E20 */
export function judgeCors(cors: IstioCorsPolicy, at: At, out: Remarks): void {
  for (const [i, origin] of (cors.allowOrigins ?? []).entries()) {
    const field = at.to("allowOrigins").to(i);
    if (origin === null || Object.keys(origin).length === 0) {
      out.refuse("R120", field, "allowOrigins entry", undefined, "it is empty; give exact, prefix or regex");
    } else if (origin.regex !== undefined) {
      const problem = regexProblem(origin.regex);
      if (problem !== undefined) out.refuse("R120", field.to("regex"), "regex", origin.regex, problem);
    }
  }
  for (const [i, method] of (cors.allowMethods ?? []).entries()) {
    if (CORS_METHODS.includes(method)) continue;
    out.refuse(
      "R120",
      at.to("allowMethods").to(i),
      "method",
      method,
      `it is unknown; want one of ${CORS_METHODS.join(", ")}`,
    );
  }
  for (const field of ["allowHeaders", "exposeHeaders"] as const) {
    for (const [i, name] of (cors[field] ?? []).entries()) {
      if (isHeaderToken(name)) continue;
      out.refuse("R120", at.to(field).to(i), "header", name, "it is no header name; want a token or *");
    }
  }
  if (cors.maxAge === undefined) return;
  const problem = durationProblem(cors.maxAge) ??
    ((parseDuration(cors.maxAge) as number) % 1000 === 0
      ? undefined
      : "it has fractions of a second; give whole seconds");
  if (problem !== undefined) out.refuse("R120", at.to("maxAge"), "maxAge", cors.maxAge, problem);
}

/** VS-E21, VS-E22, VS-W2 */
export function judgeFault(fault: HTTPFaultInjection, at: At, out: Remarks): void {
  const { abort, delay } = fault;
  if (abort === undefined && delay === undefined) {
    out.refuse("R121", at, "fault", undefined, "it has neither abort nor delay; give one");
  }
  if (abort !== undefined) {
    const place = at.to("abort");
    judgePercent(abort.percentage?.value, place.to("percentage"), out, "R121");
    const percent = abort.percent === undefined ? undefined : percentIntProblem(abort.percent);
    if (percent !== undefined) out.refuse("R121", place.to("percent"), "percent", abort.percent, percent);
    if (abort.httpStatus !== undefined) {
      const problem = httpStatusProblem(abort.httpStatus);
      if (problem !== undefined) {
        out.refuse("R121", place.to("httpStatus"), "httpStatus", abort.httpStatus, problem);
      }
    }
    if (abort.grpcStatus !== undefined && !GRPC_CODES.includes(abort.grpcStatus)) {
      out.refuse(
        "R121",
        place.to("grpcStatus"),
        "grpcStatus",
        abort.grpcStatus,
        "it is no gRPC code; want a name such as UNAVAILABLE",
      );
    }
    if (abort.http2Error !== undefined) {
      out.refuse(
        "R121",
        place.to("http2Error"),
        "http2Error",
        abort.http2Error,
        "it is not supported; give httpStatus",
      );
    }
    if (abort.httpStatus === undefined && abort.grpcStatus === undefined && abort.http2Error === undefined) {
      out.add("R152", place, "The abort says no status, so it does nothing");
    }
  }
  if (delay !== undefined) {
    const place = at.to("delay");
    judgePercent(delay.percentage?.value, place.to("percentage"), out, "R122");
    const percent = delay.percent === undefined ? undefined : percentIntProblem(delay.percent);
    if (percent !== undefined) out.refuse("R122", place.to("percent"), "percent", delay.percent, percent);
    judgeDuration(delay.fixedDelay, place.to("fixedDelay"), out, "R122", "fixedDelay");
    if (delay.exponentialDelay !== undefined) {
      out.refuse(
        "R122",
        place.to("exponentialDelay"),
        "exponentialDelay",
        delay.exponentialDelay,
        "it is not supported; give fixedDelay",
      );
    }
  }
}

function judgePercent(value: number | undefined, at: At, out: Remarks, code: "R121" | "R122"): void {
  const problem = value === undefined ? undefined : percentProblem(value);
  if (problem !== undefined) out.refuse(code, at.to("value"), "percentage", value, problem);
}

/** VS-E23, VS-E24, VS-W1 */
export function judgeMirrors(route: HTTPRoute, at: At, out: Remarks): void {
  if (route.mirrorPercent !== undefined) {
    out.add("R151", at.to("mirrorPercent"), "mirrorPercent is deprecated", { key: true });
    if (route.mirrorPercent > 100) {
      out.refuse(
        "R123",
        at.to("mirrorPercent"),
        "mirrorPercent",
        route.mirrorPercent,
        "it is above 100; want 0 to 100",
      );
    }
  }
  const outside = (value: number | undefined) => value !== undefined && !(value >= 0 && value <= 100);
  if (outside(route.mirrorPercentage?.value)) {
    out.refuse(
      "R123",
      at.to("mirrorPercentage").to("value"),
      "mirrorPercentage",
      route.mirrorPercentage?.value,
      "it is no percentage; want 0 to 100",
    );
  }
  if (route.mirror !== undefined) judgeDestination(route.mirror, at.to("mirror"), out, "R124");
  for (const [i, mirror] of (route.mirrors ?? []).entries()) {
    const place = at.to("mirrors").to(i);
    if (mirror === null) {
      out.refuse("R124", place, "mirrors entry", undefined, "it is empty; give destination");
      continue;
    }
    if (mirror.destination === undefined) {
      out.refuse("R124", place, "mirrors entry", undefined, "it has no destination; give destination.host");
    } else judgeDestination(mirror.destination, place.to("destination"), out, "R124");
    if (outside(mirror.percentage?.value)) {
      out.refuse(
        "R124",
        place.to("percentage").to("value"),
        "percentage",
        mirror.percentage?.value,
        "it is no percentage; want 0 to 100",
      );
    }
  }
}

/** VS-E25: the first failure only, as in Istio. */
export function judgeRedirect(
  redirect: HTTPRedirect,
  matches: readonly (HTTPMatchRequest | null)[] | undefined,
  at: At,
  out: Remarks,
): void {
  const refuse = (field: string, value: unknown, problem: string) =>
    out.refuse("R125", field === "" ? at : at.to(field), field === "" ? "redirect" : field, value, problem);
  const { uri, prefixRewrite, redirectCode, scheme, port } = redirect;
  const rewrites = prefixRewrite !== undefined && prefixRewrite !== "";
  if (uri !== undefined && uri !== "" && rewrites) {
    return refuse("prefixRewrite", prefixRewrite, "uri is given too; give one of them");
  }
  if (
    rewrites && (matches ?? []).some((match) => match?.uri !== undefined && match.uri.prefix === undefined)
  ) {
    return refuse(
      "prefixRewrite",
      prefixRewrite,
      "a match has uri exact or regex, which has no prefix; give uri",
    );
  }
  if (
    (uri ?? "") === "" && !rewrites && (redirect.authority ?? "") === "" && port === undefined &&
    redirect.derivePort === undefined && (scheme ?? "") === ""
  ) {
    return refuse("", undefined, "it changes nothing; give uri, prefixRewrite, authority, port or scheme");
  }
  if (redirectCode !== undefined && redirectCode !== 0 && (redirectCode < 300 || redirectCode > 399)) {
    return refuse("redirectCode", redirectCode, "it is no 3xx status; want 301, 302, 303, 307 or 308");
  }
  if (scheme !== undefined && scheme !== "" && scheme !== "http" && scheme !== "https") {
    return refuse("scheme", scheme, "it is unknown; want http or https");
  }
  if (port !== undefined && port > 65535) refuse("port", port, "it is out of range; want 1 to 65535");
}

const MAX_BODY_BYTES = 1024 * 1024;
const WARN_BODY_BYTES = 100 * 1024;

/** VS-E26, VS-W3 */
export function judgeDirectResponse(direct: HTTPDirectResponse, at: At, out: Remarks): void {
  const status = httpStatusProblem(direct.status ?? 0);
  if (status !== undefined) {
    out.refuse(
      "R126",
      direct.status === undefined ? at : at.to("status"),
      "status",
      direct.status ?? 0,
      status,
    );
  }
  const { string, bytes } = direct.body ?? {};
  const size = string !== undefined
    ? new TextEncoder().encode(string).length
    : Math.floor((bytes ?? "").replace(/=+$/, "").length * 3 / 4);
  const body = at.to("body").to(string !== undefined ? "string" : "bytes");
  if (size > MAX_BODY_BYTES) {
    out.refuse(
      "R126",
      body,
      "body",
      undefined,
      `it has ${size} bytes; at most ${MAX_BODY_BYTES} are allowed`,
    );
  } else if (size > WARN_BODY_BYTES) {
    out.add("R153", body, `The body has ${size} bytes, more than ${WARN_BODY_BYTES}`);
  }
}

/** Retry conditions of Envoy that Istio takes. */
export const RETRY_CONDITIONS = [
  "5xx",
  "gateway-error",
  "reset",
  "reset-before-request",
  "connect-failure",
  "retriable-4xx",
  "refused-stream",
  "retriable-status-codes",
  "retriable-headers",
  "envoy-ratelimited",
  "http3-post-connect-failure",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
];

/** Statuses with a name of their own in Go's net/http, which is what Istio asks. */
const KNOWN_STATUSES: ReadonlySet<number> = new Set([
  ...[100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226],
  ...[300, 301, 302, 303, 304, 305, 307, 308],
  ...[400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418],
  ...[421, 422, 423, 424, 425, 426, 428, 429, 431, 451],
  ...[500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511],
]);

/** VS-E27. Conditions are not trimmed here, though the translation trims them. */
export function judgeRetries(retries: HTTPRetry, at: At, out: Remarks): void {
  const attempts = retries.attempts ?? 0;
  if (attempts < 0) {
    out.refuse("R127", at.to("attempts"), "attempts", attempts, "it is negative; want 0 or more");
  }
  if (attempts === 0) {
    for (const field of ["perTryTimeout", "retryOn", "retryRemoteLocalities"] as const) {
      const value = retries[field];
      if (value === undefined || value === "") continue;
      out.refuse(
        "R127",
        at.to(field),
        field,
        value,
        "attempts is 0, so nothing is retried; give attempts or delete it",
      );
    }
  }
  judgeDuration(retries.perTryTimeout, at.to("perTryTimeout"), out, "R127", "perTryTimeout");
  judgeDuration(retries.backoff, at.to("backoff"), out, "R127", "backoff");
  if (retries.retryOn === undefined || retries.retryOn === "") return;
  for (const condition of retries.retryOn.split(",")) {
    if (RETRY_CONDITIONS.includes(condition)) continue;
    if (/^[+-]?\d+$/.test(condition) && KNOWN_STATUSES.has(Number(condition))) continue;
    out.refuse(
      "R127",
      at.to("retryOn"),
      "retry condition",
      condition,
      condition.trim() !== condition
        ? "it has spaces around it; part conditions by a comma alone"
        : `it is unknown; want an HTTP status or one of ${RETRY_CONDITIONS.join(", ")}`,
    );
  }
}

/** VS-E28 */
export function judgeRewrite(rewrite: HTTPRewrite, at: At, out: Remarks): void {
  const { uri = "", authority = "", uriRegexRewrite } = rewrite;
  if (uri !== "" && uriRegexRewrite !== undefined) {
    out.refuse(
      "R128",
      at.to("uriRegexRewrite"),
      "uriRegexRewrite",
      undefined,
      "uri is given too; give one of them",
      {
        key: true,
      },
    );
  }
  if (uri === "" && authority === "" && uriRegexRewrite === undefined) {
    out.refuse(
      "R128",
      at,
      "rewrite",
      undefined,
      "it changes nothing; give uri, uriRegexRewrite or authority",
    );
  }
  if (uriRegexRewrite === undefined) return;
  const { match = "", rewrite: substitution = "" } = uriRegexRewrite;
  const place = at.to("uriRegexRewrite");
  if (match === "" || substitution === "") {
    out.refuse("R128", place, "uriRegexRewrite", undefined, "it lacks match or rewrite; give both");
  }
  const problem = match === "" ? undefined : regexProblem(match);
  if (problem !== undefined) out.refuse("R128", place.to("match"), "regex", match, problem);
}
