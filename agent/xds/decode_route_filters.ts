/**
 * Per-route configuration of HTTP filters -> the two that decide what happens to a request: fault and CORS. It comes as Struct
 * under the filter's name (Pilot up to 1.3), as Any under the filter's name, as Any in a FilterConfig or TypedStruct
 * (EnvoyFilter), and CORS also as a field of its own. All other filters are left out: they do not choose destinations.
 */
import { parseDuration } from "../core/duration.ts";
import type { CorsPolicy, FractionalPercent, HTTPFault, Route, StringMatcher } from "../model/model.ts";
import { messageOfTypeUrl, type Messages, type Schema } from "../../protos/schema.ts";
import { checkRegex, decodeString, shareOf } from "./decode_route_match.ts";
import { durationText, type Findings, fractionalPercent } from "./values.ts";

/** What a level (table, virtual host, route) says; null switches an outer level's off. */
export interface PerFilter {
  readonly fault?: HTTPFault | null;
  readonly cors?: CorsPolicy | null;
}

const NO_FILTERS: PerFilter = {};

interface FilterLevel {
  readonly per_filter_config?: Readonly<Record<string, Messages["Struct"]>>;
  readonly typed_per_filter_config: Readonly<Record<string, Messages["Any"]>>;
}

/** `cors` is the field of that name of older versions, at `corsAt`; the filter's own configuration goes before it. */
export function decodePerFilter(
  schema: Schema,
  level: FilterLevel,
  cors: Messages["CorsPolicy"] | null,
  at: string,
  found: Findings,
  corsAt = `${at}.cors`,
): PerFilter {
  const prefix = at === "" ? "" : `${at}.`;
  const result: { -readonly [K in keyof PerFilter]: PerFilter[K] } = {};
  if (cors !== null) result.cors = decodeCors(cors, corsAt, found);
  for (const [name, struct] of Object.entries(level.per_filter_config ?? {})) {
    const place = `${prefix}per_filter_config[${JSON.stringify(name)}]`;
    if (name === "envoy.fault" || name === "envoy.filters.http.fault") {
      result.fault = decodeFault(schema.structToMessage("HTTPFault", struct), place, found);
    } else if (name === "envoy.cors" || name === "envoy.filters.http.cors") {
      result.cors = decodeCors(schema.structToMessage("CorsPolicy", struct), place, found);
    }
  }
  for (const [name, any] of Object.entries(level.typed_per_filter_config)) {
    readTyped(schema, any, `${prefix}typed_per_filter_config[${JSON.stringify(name)}]`, found, name, result);
  }
  return Object.keys(result).length === 0 ? NO_FILTERS : result;
}

function readTyped(
  schema: Schema,
  any: Messages["Any"],
  at: string,
  found: Findings,
  name: string,
  into: { -readonly [K in keyof PerFilter]: PerFilter[K] },
): void {
  switch (messageOfTypeUrl(any.type_url)) {
    case "HTTPFault":
      into.fault = decodeFault(schema.decode("HTTPFault", any.value), at, found);
      return;
    case "CorsFilterPolicy":
      into.cors = decodeCors(schema.decode("CorsFilterPolicy", any.value), at, found);
      return;
    case "FilterConfig": {
      const { config, disabled } = schema.decode("FilterConfig", any.value);
      if (disabled) {
        if (name === "envoy.filters.http.fault") into.fault = null;
        if (name === "envoy.filters.http.cors") into.cors = null;
      } else if (config !== null && messageOfTypeUrl(config.type_url) !== "FilterConfig") {
        readTyped(schema, config, `${at}.config`, found, name, into);
      }
      return;
    }
    case "TypedStruct": {
      const { type_url, value } = schema.decode("TypedStruct", any.value);
      const type = messageOfTypeUrl(type_url);
      if (value === null) return;
      if (type === "HTTPFault") into.fault = decodeFault(schema.structToMessage(type, value), at, found);
      if (type === "CorsFilterPolicy") into.cors = decodeCors(schema.structToMessage(type, value), at, found);
    }
  }
}

/** What is in force at a route: its own, else the virtual host's, else the table's; a CORS policy is completed field by field. */
export function mergePerFilter(levels: readonly PerFilter[]): Route["typedPerFilterConfig"] {
  let fault: HTTPFault | null | undefined;
  let cors: CorsPolicy | null | undefined;
  for (const level of levels) {
    if (fault === undefined) fault = level.fault;
    if (level.cors === undefined || cors === null) continue;
    cors = cors === undefined || level.cors === null ? cors ?? level.cors : completed(cors, level.cors);
  }
  if (!fault && !cors) return undefined;
  return {
    ...(fault ? { "envoy.filters.http.fault": fault } : {}),
    ...(cors ? { "envoy.filters.http.cors": cors } : {}),
  };
}

function completed(own: CorsPolicy, outer: CorsPolicy): CorsPolicy {
  const origins = own.allowOriginStringMatch.length > 0
    ? own.allowOriginStringMatch
    : outer.allowOriginStringMatch;
  return { ...outer, ...own, allowOriginStringMatch: origins };
}

type AnyCors = Messages["CorsFilterPolicy"] & Partial<Messages["CorsPolicy"]>;

/** Null when the policy is switched off. */
function decodeCors(
  m: Messages["CorsPolicy"] | Messages["CorsFilterPolicy"],
  at: string,
  found: Findings,
): CorsPolicy | null {
  const cors: AnyCors = m;
  const enabled = cors.filter_enabled === null ? 1 : shareOf(cors.filter_enabled.default_value);
  if (cors.enabled?.value === false || enabled <= 0) return null;
  if (enabled < 1) {
    found.note(`${at}.filter_enabled`, "Cannot apply CORS to a share of the requests: it is applied to all");
  }
  const origins: StringMatcher[] = cors.allow_origin_string_match.map((matcher, i) =>
    decodeString(matcher, `${at}.allow_origin_string_match[${i}]`, found)
  );
  for (const exact of cors.allow_origin ?? []) origins.push({ exact });
  (cors.allow_origin_regex ?? []).forEach((regex, i) =>
    origins.push({ safeRegex: { regex: checkRegex(regex, `${at}.allow_origin_regex[${i}]`, found) } })
  );
  return {
    allowOriginStringMatch: origins,
    ...(cors.allow_methods === "" ? {} : { allowMethods: cors.allow_methods }),
    ...(cors.allow_headers === "" ? {} : { allowHeaders: cors.allow_headers }),
    ...(cors.expose_headers === "" ? {} : { exposeHeaders: cors.expose_headers }),
    ...(cors.max_age === "" ? {} : { maxAge: wholeSeconds(cors.max_age) }),
    ...(cors.allow_credentials?.value === true ? { allowCredentials: true } : {}),
    ...(cors.forward_not_matching_preflights?.value === false ? { forwardNotMatchingPreflights: false } : {}),
  };
}

/** Pilots before 1.1 wrote Go's `1h0m0s`, which no browser reads. */
function wholeSeconds(text: string): string {
  if (/^\d+$/.test(text)) return text;
  const ms = parseDuration(text);
  return ms === undefined ? text : String(Math.trunc(ms / 1000));
}

/** Undefined when nothing of it is left to do. */
function decodeFault(m: Messages["HTTPFault"], at: string, found: Findings): HTTPFault | null {
  if (m.headers.length > 0) {
    found.note(
      `${at}.headers`,
      "Cannot inject a fault into requests with certain headers only: no fault is injected",
    );
    return null;
  }
  const delay = decodeDelay(m.delay, `${at}.delay`, found);
  const abort = decodeAbort(m.abort, `${at}.abort`, found);
  if (delay === undefined && abort === undefined) return null;
  return { ...(delay === undefined ? {} : { delay }), ...(abort === undefined ? {} : { abort }) };
}

function decodeDelay(
  m: Messages["FaultDelay"] | null,
  at: string,
  found: Findings,
): HTTPFault["delay"] {
  if (m === null) return undefined;
  const fixedDelay = durationText(m.fixed_delay);
  if (fixedDelay === undefined) {
    if (m.header_delay !== null) {
      found.note(`${at}.header_delay`, "Cannot delay as a request header says: no delay is injected");
    }
    return undefined;
  }
  return { fixedDelay, percentage: percentageOf(m, at, found) };
}

function decodeAbort(
  m: Messages["FaultAbort"] | null,
  at: string,
  found: Findings,
): HTTPFault["abort"] {
  if (m === null) return undefined;
  if (m.http_status !== null) {
    if (m.http_status < 200 || m.http_status >= 600) {
      found.problem(
        `${at}.http_status`,
        `Cannot abort with status "${m.http_status}": it is no final HTTP status; 200 to 599 are wanted`,
      );
    }
    return { httpStatus: m.http_status, percentage: percentageOf(m, at, found) };
  }
  if (m.grpc_status !== null) {
    return { grpcStatus: m.grpc_status, percentage: percentageOf(m, at, found) };
  }
  if (m.header_abort !== null) {
    found.note(`${at}.header_abort`, "Cannot abort as a request header says: no abort is injected");
  }
  return undefined;
}

/** 0.8 has whole percents; later an absent percentage is none. */
function percentageOf(
  m: { readonly percent: number; readonly percentage: Messages["FractionalPercent"] | null },
  at: string,
  found: Findings,
): FractionalPercent {
  if (m.percentage === null) return { numerator: m.percent, denominator: "HUNDRED" };
  const percentage = fractionalPercent(m.percentage);
  if (percentage !== undefined) return percentage;
  found.problem(
    `${at}.percentage.denominator`,
    `Cannot use denominator "${m.percentage.denominator}": HUNDRED, TEN_THOUSAND or MILLION is wanted`,
  );
  return { numerator: 0, denominator: "HUNDRED" };
}
