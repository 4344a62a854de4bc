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
import { formatOrigin } from "../core/diagnostics.ts";
import type {
  Cluster,
  ClusterLoadAssignment,
  Program,
  Route,
  RouteMatch,
  StringMatcher,
} from "../model/model.ts";

/** The model with its maps as lists, in the names of Envoy's API. */
export function programJson(program: Program): {
  routeConfigurations: unknown[];
  clusters: unknown[];
  loadAssignments: unknown[];
} {
  return {
    routeConfigurations: [...program.routeConfigurations.values()],
    clusters: [...program.clusters.values()],
    loadAssignments: [...program.loadAssignments.values()],
  };
}

export function programText(program: Program): string {
  const lines: string[] = [];
  for (const [name, table] of program.routeConfigurations) {
    lines.push(`Table ${name}`);
    for (const vh of table.virtualHosts) {
      lines.push(`  ${vh.name}  ${vh.domains.join(", ")}`);
      vh.routes.forEach((route, i) => lines.push(`    ${i + 1}. ${routeText(route)}`));
    }
    lines.push("");
  }
  lines.push("Clusters");
  for (const [name, cluster] of program.clusters) {
    lines.push(`  ${name}  ${clusterText(cluster, program.loadAssignments)}`);
  }
  return lines.join("\n");
}

function routeText(route: Route): string {
  const name = route.name === undefined ? "" : `${route.name}: `;
  const where = route.origin === undefined ? "" : `  (${formatOrigin(route.origin)})`;
  return `${name}${matchText(route.match)}  =>  ${actionText(route)}${where}`;
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
  if (weighted === undefined) parts.push(action.cluster ?? "");
  else {
    const total = weighted.reduce((sum, c) => sum + c.weight, 0);
    parts.push(
      weighted.map((c) => `${Math.round((c.weight / (total || 1)) * 10_000) / 100} % ${c.name}`).join(", "),
    );
  }
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
  const assignment = cluster.loadAssignment ?? assignments.get(cluster.edsServiceName ?? cluster.name);
  const endpoints = (assignment?.endpoints ?? []).flatMap((l) => l.lbEndpoints);
  const shown = endpoints.slice(0, 5).map((e) =>
    e.port === 0 ? e.address : `${e.address.includes(":") ? `[${e.address}]` : e.address}:${e.port}`
  );
  const more = endpoints.length > 5 ? ` … ${endpoints.length} in all` : "";
  const labels = Object.entries(cluster.subsetLabels ?? {}).map(([k, v]) => `${k}=${v}`).join(",");
  return `${cluster.type} ${cluster.lbPolicy}${labels === "" ? "" : ` {${labels}}`}  ${
    shown.join(" ") || "no endpoints"
  }${more}`;
}
