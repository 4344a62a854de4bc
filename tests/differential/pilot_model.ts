/**
 * Route tables of Pilot 0.8.0 and 1.0.9 (v2 protojson with proto field names, as recorded) in the form of our model, so that
 * both can be compared by equality. Written from the recordings, independently of agent/xds.
 */
import { camel } from "./istiod_model.ts";

// Protojson as it is.
// deno-lint-ignore no-explicit-any
type Json = any;

/** What has no part in routing, or is read by its reader below. */
const LEFT_OUT = new Set(["use_websocket", "per_filter_config"]);

function camelKeys(value: Json): Json {
  if (Array.isArray(value)) return value.map(camelKeys);
  if (typeof value === "string") return duration(value);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([key, v]) => !LEFT_OUT.has(key) && v !== "");
  return Object.fromEntries(entries.map(([key, v]) => [camel(key), camelKeys(v)]));
}

/** The recorder wrote `3.000s` for whole seconds. */
function duration(text: string): string {
  return text.replace(/^(\d+)\.000s$/, "$1s");
}

export function tableOfPilot(table: Json): Json {
  return {
    name: table.name,
    virtualHosts: (table.virtual_hosts ?? []).map((host: Json) => ({
      name: host.name,
      domains: host.domains,
      routes: host.routes.map(routeOfPilot),
    })),
  };
}

function routeOfPilot(route: Json): Json {
  const { cors, request_headers_to_add, request_mirror_policy, host_rewrite, retry_policy, ...action } =
    route.route ?? {};
  const fault = route.per_filter_config?.["envoy.fault"];
  const filters = {
    ...(fault === undefined ? {} : { "envoy.filters.http.fault": faultOfPilot(fault) }),
    ...(cors === undefined ? {} : { "envoy.filters.http.cors": corsOfPilot(cors) }),
  };
  return {
    match: matchOfPilot(route.match),
    ...(route.route === undefined ? {} : {
      route: {
        ...camelKeys(action),
        ...(!host_rewrite ? {} : { hostRewriteLiteral: host_rewrite }),
        ...(retry_policy === undefined ? {} : { retryPolicy: retryOfPilot(retry_policy) }),
        ...(request_mirror_policy === undefined
          ? {}
          : { requestMirrorPolicies: [{ cluster: request_mirror_policy.cluster }] }),
      },
    }),
    ...(route.redirect === undefined
      ? {}
      : { redirect: { ...camelKeys(route.redirect), responseCode: 301 } }),
    ...(request_headers_to_add === undefined ? {} : {
      requestHeadersToAdd: request_headers_to_add.map((o: Json) => ({
        header: o.header,
        appendAction: "APPEND_IF_EXISTS_OR_ADD",
      })),
    }),
    ...(Object.keys(filters).length === 0 ? {} : { typedPerFilterConfig: filters }),
  };
}

function matchOfPilot({ regex, headers, ...match }: Json): Json {
  return {
    ...match,
    ...(regex === undefined ? {} : { safeRegex: { regex } }),
    ...(headers === undefined ? {} : { headers: headers.map(headerOfPilot) }),
  };
}

function headerOfPilot(h: Json): Json {
  const regex = h.regex_match ?? (h.regex === true ? h.value : undefined);
  const exact = h.exact_match ?? (h.regex === true ? undefined : h.value);
  return {
    name: h.name,
    ...(regex !== undefined
      ? { stringMatch: { safeRegex: { regex } } }
      : exact !== undefined
      ? { stringMatch: { exact } }
      : h.prefix_match !== undefined
      ? { stringMatch: { prefix: h.prefix_match } }
      : { presentMatch: true }),
  };
}

function retryOfPilot({ per_try_timeout, ...policy }: Json): Json {
  return {
    ...camelKeys(policy),
    ...(per_try_timeout === undefined || /^0(\.0*)?s$/.test(per_try_timeout)
      ? {}
      : { perTryTimeout: duration(per_try_timeout) }),
  };
}

const SECONDS: Readonly<Record<string, string>> = { "1h0m0s": "3600", "24h0m0s": "86400", "10m0s": "600" };

function corsOfPilot({ allow_origin, max_age, enabled, ...cors }: Json): Json {
  if (enabled !== true) throw new Error("a policy that is off is not recorded");
  return {
    ...camelKeys(cors),
    allowOriginStringMatch: allow_origin.map((exact: string) => ({ exact })),
    ...(max_age === undefined ? {} : { maxAge: SECONDS[max_age] }),
  };
}

function faultOfPilot({ delay, abort }: Json): Json {
  const percentage = (percent: number) => ({ numerator: percent, denominator: "HUNDRED" });
  return {
    ...(delay === undefined
      ? {}
      : { delay: { fixedDelay: duration(delay.fixed_delay), percentage: percentage(delay.percent) } }),
    ...(abort === undefined
      ? {}
      : { abort: { httpStatus: abort.http_status, percentage: percentage(abort.percent) } }),
  };
}
