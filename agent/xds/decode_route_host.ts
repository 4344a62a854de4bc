/** One virtual host of any generation -> the model: its routes, with what virtual host and table say for all of them. */
import type { Origin } from "../core/diagnostics.ts";
import type { HeaderFields, RequestMirrorPolicy, Route, VirtualHost } from "../model/model.ts";
import type { Messages, Schema } from "../../protos/schema.ts";
import { type ActionDefaults, decodeAction, decodeMirrors, decodeRetry } from "./decode_route_action.ts";
import { decodePerFilter, mergePerFilter, type PerFilter } from "./decode_route_filters.ts";
import { decodeHeaders } from "./decode_route_headers.ts";
import { decodeMatch } from "./decode_route_match.ts";
import { type Findings, ruleOf } from "./values.ts";

/** What the table says for all its virtual hosts. */
export interface TableDefaults {
  readonly perFilter: PerFilter;
  readonly mirrors: readonly RequestMirrorPolicy[];
}

/** VirtualHost.TlsRequirementType */
const TLS_ALL = 2;

/** Sends plaintext requests to https, before any other route. */
const TO_HTTPS: Route = {
  match: { prefix: "", headers: [{ name: ":scheme", stringMatch: { exact: "http" } }] },
  redirect: { schemeRedirect: "https", responseCode: 301 },
};

/** `at` is the path in the table, `virtual_hosts[3]`; `origin` that of the table, with a field when it stands in a listener. */
export function decodeVirtualHost(
  schema: Schema,
  m: Messages["VirtualHost"],
  at: string,
  origin: Origin,
  table: TableDefaults,
  found: Findings,
): VirtualHost {
  if (m.name === "") {
    found.problem(`${at}.name`, "Cannot use a virtual host without a name: it is empty; a name is wanted");
  }
  if (m.domains.length === 0) {
    found.problem(
      `${at}.domains`,
      `Cannot use virtual host "${m.name}": it has no domains; at least one is wanted`,
    );
  }
  if (m.matcher !== null) {
    found.problem(
      `${at}.matcher`,
      `Cannot use virtual host "${m.name}": it chooses routes by a matcher; a list of routes is wanted`,
    );
  }
  if (m.require_tls !== 0 && m.require_tls !== TLS_ALL) {
    found.note(`${at}.require_tls`, "Cannot require TLS of external requests only: it is not required");
  }
  const perFilter = decodePerFilter(schema, m, m.cors, at, found);
  const mirrors = decodeMirrors(m.request_mirror_policies, `${at}.request_mirror_policies`, found);
  const defaults: RouteDefaults = {
    perFilter: [perFilter, table.perFilter],
    retryPolicy: m.retry_policy === null
      ? undefined
      : decodeRetry(schema, m.retry_policy, `${at}.retry_policy`, found),
    mirrors: mirrors.length > 0 ? mirrors : table.mirrors,
  };
  // By name: the virtual host may be at another place of a later answer that leaves it as it is.
  const place = origin.field === undefined ? "" : `${origin.field}.`;
  const named = { ...origin, field: `${place}virtual_hosts[${JSON.stringify(m.name)}]` };
  const routes = m.routes.map((route, i) =>
    decodeRoute(
      schema,
      route,
      `${at}.routes[${i}]`,
      { ...named, field: `${named.field}.routes[${i}]` },
      defaults,
      found,
    )
  );
  if (m.require_tls === TLS_ALL) routes.unshift(TO_HTTPS);
  return {
    name: m.name,
    domains: m.domains.map(lowerCase),
    routes,
    ...decodeHeaders(m, at, found),
    origin: named,
  };
}

function lowerCase(text: string): string {
  return text.toLowerCase();
}

interface RouteDefaults extends ActionDefaults {
  /** Of the virtual host, then of the table. */
  readonly perFilter: readonly PerFilter[];
}

function decodeRoute(
  schema: Schema,
  m: Messages["Route"],
  at: string,
  origin: Origin,
  defaults: RouteDefaults,
  found: Findings,
): Route {
  if (m.match === null) {
    found.problem(`${at}.match`, "Cannot use a route without a match: none is set; a path is wanted");
  }
  const perFilter = decodePerFilter(schema, m, m.route?.cors ?? null, at, found, `${at}.route.cors`);
  const filters = mergePerFilter([perFilter, ...defaults.perFilter]);
  const from = ruleOf(m.metadata);
  return {
    ...(m.name === "" ? {} : { name: m.name }),
    match: m.match === null ? { prefix: "/" } : decodeMatch(m.match, `${at}.match`, found),
    ...decodeAction(schema, m, at, found, defaults),
    ...routeHeaders(m, at, found),
    ...(filters === undefined ? {} : { typedPerFilterConfig: filters }),
    ...(m.stat_prefix === "" ? {} : { statPrefix: m.stat_prefix }),
    origin: from === undefined ? origin : { ...origin, from },
  };
}

/** 0.8 has the operations in the action, later versions at the route; none has both. */
function routeHeaders(m: Messages["Route"], at: string, found: Findings): HeaderFields {
  const own = decodeHeaders(m, at, found);
  if (m.route === null) return own;
  const { request_headers_to_add, response_headers_to_add, response_headers_to_remove } = m.route;
  const old = { request_headers_to_add, response_headers_to_add, response_headers_to_remove };
  return { ...decodeHeaders({ ...old, request_headers_to_remove: [] }, `${at}.route`, found), ...own };
}
