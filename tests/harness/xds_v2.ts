/** v3 proto-JSON as the Pilots of xDS v2 wrote it: older names, fewer fields, extensions as Struct. */
import type { Json, JsonObject } from "../../agent/admin/envoy_json.ts";

/** A message inside a google.protobuf.Struct: proto field names, as v2 called them. */
export function inStruct(value: JsonObject): JsonObject {
  return snakeCase(value) as JsonObject;
}

const V2_NAMES: Readonly<Record<string, string>> = { hostRewriteLiteral: "host_rewrite" };

function snakeCase(value: Json): Json {
  if (Array.isArray(value)) return value.map(snakeCase);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, v]) => [
      V2_NAMES[name] ?? name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`),
      snakeCase(v),
    ]),
  );
}

/** Endpoints of static and DNS clusters are `hosts`; protocol options are not extensions. */
export function v2Cluster(cluster: JsonObject): JsonObject {
  const { typedExtensionProtocolOptions: _, loadAssignment, ...rest } = cluster;
  if (loadAssignment === undefined) return rest;
  const { endpoints } = loadAssignment as unknown as {
    endpoints: readonly { lbEndpoints: readonly { endpoint: { address: JsonObject } }[] }[];
  };
  return { ...rest, hosts: endpoints.flatMap((l) => l.lbEndpoints.map((e) => e.endpoint.address)) };
}

export function v2Table(table: JsonObject, dialect: "pilot-0.8.0" | "pilot-1.0.9"): JsonObject {
  const hosts = table["virtualHosts"] as readonly JsonObject[];
  return {
    ...table,
    virtualHosts: hosts.map((host) => ({
      ...host,
      routes: (host["routes"] as readonly JsonObject[]).map((route) => v2Route(route, dialect)),
    })),
  };
}

/** Per-filter configuration, and the names of routes, came later. */
function v2Route(route: JsonObject, dialect: "pilot-0.8.0" | "pilot-1.0.9"): JsonObject {
  const { name: _, statPrefix: __, typedPerFilterConfig: ___, match, route: action, ...rest } = route;
  return {
    ...rest,
    match: v2Match(match as JsonObject, dialect),
    ...(action === undefined ? {} : { route: v2Action(action as JsonObject, dialect) }),
  };
}

function v2Action(action: JsonObject, dialect: "pilot-0.8.0" | "pilot-1.0.9"): JsonObject {
  const { maxStreamDuration: _, requestMirrorPolicies, retryPolicy, timeout, ...rest } = action;
  const retry = retryPolicy as JsonObject | undefined;
  const mirrors = (requestMirrorPolicies ?? []) as readonly JsonObject[];
  return {
    ...rest,
    // 0.8.0 sends a timeout only when a rule sets one.
    ...(timeout === undefined || (timeout === "0s" && dialect === "pilot-0.8.0") ? {} : { timeout }),
    ...(retry === undefined
      ? {}
      : { retryPolicy: { retryOn: retry["retryOn"]!, numRetries: retry["numRetries"]! } }),
    ...(mirrors.length === 0 ? {} : { requestMirrorPolicy: { cluster: mirrors[0]!["cluster"]! } }),
  };
}

function v2Match(match: JsonObject, dialect: "pilot-0.8.0" | "pilot-1.0.9"): JsonObject {
  const { safeRegex, headers, ...rest } = match;
  return {
    ...rest,
    ...(safeRegex === undefined ? {} : { regex: (safeRegex as JsonObject)["regex"]! }),
    ...(headers === undefined ? {} : {
      headers: (headers as readonly JsonObject[]).map((h) =>
        dialect === "pilot-0.8.0" ? header080(h) : header109(h)
      ),
    }),
  };
}

interface HeaderKind {
  readonly exact?: string;
  readonly prefix?: string;
  readonly safeRegex?: { readonly regex: string };
}

/** `value`, and `regex` that says what the value is; no value = present. */
function header080(header: JsonObject): JsonObject {
  const { exact, prefix, safeRegex } = (header["stringMatch"] ?? {}) as HeaderKind;
  const name = header["name"]!;
  if (exact !== undefined) return { name, value: exact };
  const regex = safeRegex?.regex ?? (prefix === undefined ? undefined : `^${prefix}.*`);
  return regex === undefined ? { name } : { name, value: regex, regex: true };
}

function header109(header: JsonObject): JsonObject {
  const { stringMatch, ...rest } = header;
  const { exact, prefix, safeRegex } = (stringMatch ?? {}) as HeaderKind;
  if (exact !== undefined) return { ...rest, exactMatch: exact };
  if (prefix !== undefined) return { ...rest, prefixMatch: prefix };
  return safeRegex === undefined ? rest : { ...rest, regexMatch: safeRegex.regex };
}
