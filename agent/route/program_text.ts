/**
 * A Program as text for people (`program --format text`) and as JSON (`--format json`).
 *
 * @example
 * ```ts
 * import { programText } from "./program_text.ts";
 * console.log(programText(program));
 * // Table 8084
 * //   istioserver:8084  istioserver, istioserver.default
 * //     1. prefix /  =>  25 % outbound|8084|v1|istioserver …
 * ```
 */
import { formatOrigin, type Origin } from "../core/diagnostics.ts";
import { jsonPieces, Lazy } from "../core/json_pieces.ts";
import type {
  Cluster,
  ClusterLoadAssignment,
  FilterChain,
  FilterChainMatch,
  Listener,
  Program,
  Route,
  RouteMatch,
  StringMatcher,
} from "../model/model.ts";

/** The model with its maps as lists, in the names of Envoy's API. */
export function programJson(program: Program): {
  routeConfigurations: unknown[];
  listeners: unknown[];
  clusters: unknown[];
  loadAssignments: unknown[];
} {
  return {
    routeConfigurations: [...program.routeConfigurations.values()],
    listeners: [...program.listeners?.values() ?? []],
    clusters: [...program.clusters.values()],
    loadAssignments: [...program.loadAssignments.values()],
  };
}

/** {@link programJson} as text, piece by piece: a program of 10,000 clusters is tens of megabytes. */
export function programJsonPieces(program: Program): Generator<string> {
  const { routeConfigurations, listeners, clusters, loadAssignments } = program;
  const tables = function* () {
    for (const table of routeConfigurations.values()) {
      yield { ...table, virtualHosts: new Lazy(table.virtualHosts) };
    }
  };
  return jsonPieces({
    routeConfigurations: new Lazy(tables()),
    listeners: new Lazy(listeners?.values() ?? []),
    clusters: new Lazy(clusters.values()),
    loadAssignments: new Lazy(loadAssignments.values()),
  });
}

export function programText(program: Program): string {
  return [...programLines(program)].join("\n");
}

/** The lines of {@link programText}, without newlines. */
export function* programLines(program: Program): Generator<string> {
  for (const [name, table] of program.routeConfigurations) {
    yield `Table ${name}${versionText(table.virtualHosts[0]?.origin)}`;
    for (const vh of table.virtualHosts) {
      yield `  ${vh.name}  ${vh.domains.join(", ")}`;
      for (const [i, route] of vh.routes.entries()) yield `    ${i + 1}. ${routeText(route)}`;
    }
    yield "";
  }
  if (program.listeners !== undefined && program.listeners.size > 0) {
    yield "Listeners";
    for (const listener of program.listeners.values()) yield* listenerLines(listener);
    yield "";
  }
  yield "Clusters";
  for (const [name, cluster] of program.clusters) {
    yield `  ${name}  ${clusterText(cluster, program.loadAssignments)}`;
  }
}

/** Of what a control plane sent; files say more at each route. */
function versionText(origin: Origin | undefined): string {
  return origin === undefined || origin.file !== undefined || !origin.version
    ? ""
    : `  version ${origin.version}`;
}

function* listenerLines(listener: Listener): Generator<string> {
  const { name, address, port, filterChains, defaultFilterChain, trafficDirection, origin } = listener;
  const direction = trafficDirection === undefined ? "" : `  ${trafficDirection.toLowerCase()}`;
  yield `  ${name}  ${addressText(address, port)}${direction}${versionText(origin)}`;
  for (const [i, chain] of filterChains.entries()) {
    yield `    ${i + 1}. ${chainMatchText(chain.match)}  =>  ${chainText(chain)}`;
  }
  if (defaultFilterChain !== undefined) yield `    otherwise  =>  ${chainText(defaultFilterChain)}`;
}

function chainMatchText(match: FilterChainMatch = {}): string {
  const list = (name: string, values: readonly string[] | undefined) =>
    values === undefined || values.length === 0 ? [] : [`${name} ${values.join(" ")}`];
  const parts = [
    ...match.destinationPort === undefined ? [] : [`port ${match.destinationPort}`],
    ...list("to", match.prefixRanges),
    ...list("from", match.sourcePrefixRanges),
    ...list("server name", match.serverNames),
    ...match.transportProtocol === undefined ? [] : [match.transportProtocol],
    ...list("protocol", match.applicationProtocols),
  ];
  return parts.length === 0 ? "any connection" : parts.join(", ");
}

function chainText({ http, tcp }: FilterChain): string {
  if (http !== undefined) {
    if (http.routeConfigName !== undefined) return `HTTP by table ${http.routeConfigName}`;
    return `HTTP by a table of its own (${http.routeConfig?.name || "without a name"})`;
  }
  if (tcp !== undefined) {
    return `TCP to ${sharesText(tcp.weightedClusters ?? [{ name: tcp.cluster ?? "", weight: 1 }])}`;
  }
  return "no filter that the agent knows";
}

/** `a`, or `25 % a, 75 % b`. */
function sharesText(clusters: readonly { readonly name: string; readonly weight: number }[]): string {
  const [only, second] = clusters;
  if (only !== undefined && second === undefined) return only.name;
  const total = clusters.reduce((sum, c) => sum + c.weight, 0);
  return clusters.map((c) => `${Math.round((c.weight / (total || 1)) * 10_000) / 100} % ${c.name}`).join(
    ", ",
  );
}

function addressText(address: string, port: number): string {
  return port === 0 ? address : `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

function routeText(route: Route): string {
  const name = route.name === undefined ? "" : `${route.name}: `;
  const where = placeText(route.origin);
  return `${name}${matchText(route.match)}  =>  ${actionText(route)}${where}`;
}

/** A file's place, or the rule behind an answer, whose resource and version stand above. */
function placeText(origin: Origin | undefined): string {
  if (origin === undefined) return "";
  if (origin.version === undefined || origin.file !== undefined) return `  (${formatOrigin(origin)})`;
  return origin.from === undefined ? "" : `  (${origin.from})`;
}

export function matchText(match: RouteMatch): string {
  const parts: string[] = [];
  const anyCase = match.caseSensitive === false ? " (any case)" : "";
  if (match.safeRegex !== undefined) parts.push(`path regex ${match.safeRegex.regex}`);
  else if (match.path !== undefined) parts.push(`path ${match.path}${anyCase}`);
  else parts.push(`prefix ${match.prefix ?? "/"}${anyCase}`);
  for (const h of match.headers ?? []) {
    const not = h.invertMatch === true ? "not " : "";
    const label = h.name.startsWith(":") ? h.name.slice(1) : `header ${h.name}`;
    if (h.stringMatch !== undefined) parts.push(`${not}${label} ${stringText(h.stringMatch)}`);
    else if (h.rangeMatch !== undefined) {
      parts.push(`${not}${label} in [${h.rangeMatch.start}, ${h.rangeMatch.end})`);
    } else parts.push(`${(h.presentMatch ?? true) !== (h.invertMatch === true) ? "" : "no "}${label}`);
  }
  for (const q of match.queryParameters ?? []) {
    parts.push(`query ${q.name}${q.stringMatch === undefined ? "" : ` ${stringText(q.stringMatch)}`}`);
  }
  return parts.join(", ");
}

function stringText(m: StringMatcher): string {
  if (m.exact !== undefined) return `= ${m.exact}`;
  if (m.prefix !== undefined) return `prefix ${m.prefix}`;
  if (m.suffix !== undefined) return `suffix ${m.suffix}`;
  if (m.safeRegex !== undefined) return `regex ${m.safeRegex.regex}`;
  return `contains ${m.contains ?? ""}`;
}

function actionText(route: Route): string {
  const { redirect, directResponse, route: action } = route;
  if (redirect !== undefined) {
    const to = [
      redirect.schemeRedirect === undefined ? "" : `scheme ${redirect.schemeRedirect}`,
      redirect.hostRedirect === undefined ? "" : `host ${redirect.hostRedirect}`,
      redirect.portRedirect === undefined ? "" : `port ${redirect.portRedirect}`,
      redirect.pathRedirect === undefined ? "" : `path ${redirect.pathRedirect}`,
      redirect.prefixRewrite === undefined ? "" : `prefix ${redirect.prefixRewrite}`,
    ].filter((t) => t !== "").join(", ");
    return `redirect ${redirect.responseCode} to ${to === "" ? "the same place" : to}`;
  }
  if (directResponse !== undefined) return `answer ${directResponse.status}`;
  if (action === undefined) return "nothing";
  const parts: string[] = [];
  const weighted = action.weightedClusters?.clusters;
  parts.push(weighted === undefined ? action.cluster ?? "" : sharesText(weighted));
  if (action.prefixRewrite !== undefined) parts.push(`rewrite ${action.prefixRewrite}`);
  if (action.regexRewrite !== undefined) {
    parts.push(`rewrite ${action.regexRewrite.pattern.regex} to ${action.regexRewrite.substitution}`);
  }
  if (action.hostRewriteLiteral !== undefined) parts.push(`host ${action.hostRewriteLiteral}`);
  if (action.timeout !== undefined && action.timeout !== "0s") parts.push(`timeout ${action.timeout}`);
  const filters = route.typedPerFilterConfig;
  if (filters?.["envoy.filters.http.fault"] !== undefined) parts.push("fault");
  if (filters?.["envoy.filters.http.cors"] !== undefined) parts.push("cors");
  return parts.join("; ");
}

function clusterText(cluster: Cluster, assignments: ReadonlyMap<string, ClusterLoadAssignment>): string {
  const eds = cluster.edsServiceName ?? cluster.name;
  const assignment = cluster.loadAssignment ?? assignments.get(eds);
  const shown: string[] = [];
  let count = 0;
  for (const { lbEndpoints } of assignment?.endpoints ?? []) {
    for (const e of lbEndpoints.slice(0, Math.max(0, MAX_ENDPOINTS - count))) {
      shown.push(addressText(e.address, e.port));
    }
    count += lbEndpoints.length;
  }
  const more = count > MAX_ENDPOINTS ? ` … ${count} in all` : "";
  const labels = Object.entries(cluster.subsetLabels ?? {}).map(([k, v]) => `${k}=${v}`).join(",");
  const named = eds === cluster.name ? "" : ` (EDS ${eds})`;
  const none = cluster.type === "EDS" && assignment === undefined
    ? "endpoints not known yet"
    : "no endpoints";
  return `${cluster.type}${named} ${cluster.lbPolicy}${labels === "" ? "" : ` {${labels}}`}  ${
    shown.join(" ") || none
  }${more}${versionText(cluster.origin)}`;
}

/** Endpoints of a cluster that are shown. */
const MAX_ENDPOINTS = 5;
