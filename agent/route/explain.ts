/**
 * Why a request goes where it goes: the same compiled objects as the request path, told in order.
 *
 * In: a Program, its RouteTables, a RequestView. Out: an {@link Explanation} (JSON as it is) and {@link formatExplanation}
 * (text for people).
 *
 * @example
 * ```ts
 * import { explain, formatExplanation } from "./explain.ts";
 * import { viewOf } from "./view.ts";
 * const view = viewOf({ method: "GET", url: "http://reviews:9080/", headers: [["end-user", "jason"]] });
 * console.log(formatExplanation(explain(program, tables, view)));
 * ```
 */
import { formatOrigin, type Origin } from "../core/diagnostics.ts";
import {
  type Cluster,
  type ClusterLoadAssignment,
  clusterName,
  parseClusterName,
  type Program,
} from "../model/model.ts";
import { fromByteString } from "./byte_string.ts";
import { parseDomain } from "./domain_index.ts";
import { actionNotes } from "./explain_action.ts";
import type { CompiledRoute, CompiledVirtualHost, RequestView, RouteTables } from "./types.ts";

export interface ExplainedRoute {
  /** Position in the virtual host, from 1. */
  readonly number: number;
  readonly name: string;
  /** `file:line:column`, or the xDS resource, version and field; empty when unknown. */
  readonly where: string;
  readonly result: "chosen" | "failed" | "notReached";
  /** The first condition that failed, in plain words. */
  readonly reason?: string;
}

export interface ExplainedDestination {
  readonly cluster: string;
  readonly weight: number;
  /** Share in percent. */
  readonly share: number;
  /** Rule or xDS resource and version that made the cluster; absent when unknown. */
  readonly where?: string;
  /** The same of its endpoints, when they come apart from it. */
  readonly endpointsWhere?: string;
  /** `address:port`, with labels when known; at most {@link MAX_ENDPOINTS}. */
  readonly endpoints: readonly string[];
  readonly endpointCount: number;
  /** Why this share would fail, e.g. a missing cluster. */
  readonly note?: string;
}

/** The whole answer; JSON as it stands. */
export interface Explanation {
  readonly request: string;
  readonly outcome:
    | "route"
    | "redirect"
    | "directResponse"
    | "noRoute"
    | "unknownPort"
    | "unknownHost";
  /** One sentence: the result. */
  readonly summary: string;
  /** Name of the table (RDS name), when a virtual host was found. */
  readonly table?: string;
  readonly virtualHost?: { readonly name: string; readonly where: string; readonly why: string };
  readonly routes: readonly ExplainedRoute[];
  readonly destinations: readonly ExplainedDestination[];
  /** What the chosen route does besides: rewrite, timeout, retries, faults, headers, … */
  readonly actions: readonly string[];
}

export const MAX_ENDPOINTS = 20;

export function explain(program: Program, tables: RouteTables, view: RequestView): Explanation {
  // Any value will do: the explanation lists all destinations.
  const decision = tables.select(view, 0);
  const shown = view.query === undefined ? view.path : `${view.path}?${view.query}`;
  const request = `${view.method} ${view.scheme}://${view.authority}${fromByteString(shown)}`;
  const none = { request, routes: [], destinations: [], actions: [] };
  if (decision.kind === "unknownHost") {
    return {
      ...none,
      outcome: "unknownHost",
      summary:
        `No rule knows host ${view.host}: the outbound policy decides (ALLOW_ANY passes it on, REGISTRY_ONLY answers 502)`,
    };
  }
  if (decision.kind === "unknownPort") {
    const ports = decision.ports.join(", ");
    return {
      ...none,
      outcome: "unknownPort",
      summary: `Host ${view.host} is known, but not on port ${view.port}: 404; it has port${
        decision.ports.length === 1 ? "" : "s"
      } ${ports}`,
    };
  }
  const { virtualHost } = decision;
  const route = decision.kind === "noRoute" ? undefined : decision.route;
  const table = tableOf(program, virtualHost);
  return {
    request,
    outcome: decision.kind,
    summary: summaryOf(decision.kind, virtualHost, route, view),
    ...(table === undefined ? {} : { table }),
    virtualHost: {
      name: virtualHost.source.name,
      where: place(virtualHost.source.origin),
      why: whyHost(virtualHost.source.domains, view),
    },
    routes: explainRoutes(virtualHost, route, view),
    destinations: route === undefined ? [] : destinationsOf(program, route),
    actions: route === undefined ? [] : actionNotes(route, view),
  };
}

function place(origin: CompiledRoute["origin"]): string {
  return origin === undefined ? "" : formatOrigin(origin);
}

function tableOf(program: Program, virtualHost: CompiledVirtualHost): string | undefined {
  for (const [name, configuration] of program.routeConfigurations) {
    if (configuration.virtualHosts.includes(virtualHost.source)) return name;
  }
  return undefined;
}

/** The domain that caught the host, by the order of the index. */
function whyHost(domains: readonly string[], view: RequestView): string {
  const host = view.host.endsWith(".") ? view.host.slice(0, -1) : view.host;
  const named = host.includes(":") ? `[${host}]:${view.port}` : `${host}:${view.port}`;
  let best = "";
  for (const text of domains) {
    const domain = parseDomain(text);
    if (domain.kind === "any") continue;
    const { key } = domain;
    for (const name of [named, host]) {
      if (domain.kind === "exact" && key === name) {
        return `domain ${text} is the host${name === named ? " and port" : ""}`;
      }
      const fits = domain.kind === "prefix"
        ? name.startsWith(key)
        : domain.kind !== "exact" && name.endsWith(key);
      if (fits && name.length > key.length && text.length > best.length) best = text;
    }
  }
  if (best !== "") return `wildcard domain ${best} covers the host`;
  return "no other domain of this port fits: domain *";
}

function explainRoutes(
  virtualHost: CompiledVirtualHost,
  chosen: CompiledRoute | undefined,
  view: RequestView,
): ExplainedRoute[] {
  let reached = true;
  return virtualHost.routes.map((route, i) => {
    const about = { number: i + 1, name: route.name, where: place(route.origin) };
    if (!reached) return { ...about, result: "notReached" as const };
    if (route === chosen) {
      reached = false;
      return { ...about, result: "chosen" as const };
    }
    return { ...about, result: "failed" as const, reason: route.firstFailure(view) ?? "does not match" };
  });
}

function destinationsOf(program: Program, route: CompiledRoute): ExplainedDestination[] {
  return route.destinations.map((d) =>
    explainDestination(program, d.cluster, d.weight, route.totalWeight, route.origin)
  );
}

/** `origin`: of the rule that names the cluster. */
export function explainDestination(
  program: Program,
  name: string,
  weight: number,
  totalWeight: number,
  origin: Origin | undefined,
): ExplainedDestination {
  const cluster = program.clusters.get(name);
  const assignment = assignmentOf(program, cluster);
  const endpoints = endpointsOf(assignment);
  const note = cluster === undefined
    ? missingNote(program, name, isRemote(origin))
    : emptyNote(cluster, assignment, endpoints.length);
  return {
    cluster: name,
    weight,
    share: Math.round((weight / (totalWeight || 1)) * 10_000) / 100,
    ...(cluster?.origin === undefined ? {} : { where: formatOrigin(cluster.origin) }),
    ...(assignment?.origin === undefined ? {} : { endpointsWhere: formatOrigin(assignment.origin) }),
    endpoints: endpoints.slice(0, MAX_ENDPOINTS),
    endpointCount: endpoints.length,
    ...(note === undefined ? {} : { note }),
  };
}

/** From a control plane, not from a file. */
function isRemote(origin: Origin | undefined): boolean {
  return origin !== undefined && origin.file === undefined && origin.version !== undefined;
}

function assignmentOf(program: Program, cluster: Cluster | undefined): ClusterLoadAssignment | undefined {
  if (cluster === undefined) return undefined;
  return cluster.loadAssignment ?? program.loadAssignments.get(cluster.edsServiceName ?? cluster.name);
}

function endpointsOf(assignment: ClusterLoadAssignment | undefined): string[] {
  return (assignment?.endpoints ?? []).flatMap((locality) =>
    locality.lbEndpoints.map((e) => {
      const address = e.port === 0
        ? e.address
        : `${e.address.includes(":") ? `[${e.address}]` : e.address}:${e.port}`;
      const labels = Object.entries(e.labels ?? {}).map(([k, v]) => `${k}=${v}`).join(",");
      return labels === "" ? address : `${address} (${labels})`;
    })
  );
}

/** Why a cluster that a route names is not there. */
function missingNote(program: Program, name: string, remote: boolean): string {
  const parts = parseClusterName(name);
  if (parts === undefined) return `there is no cluster ${name}: 503 NC`;
  const { host, port, subset } = parts;
  if (subset !== "" && program.clusters.has(clusterName(port, "", host))) {
    return remote
      ? `the control plane gives no subset ${subset} of ${host} (its DestinationRule does not define it, or no longer), ` +
        "and the route still names it: 503 NC"
      : `no DestinationRule of ${host} defines subset ${subset}: 503 NC`;
  }
  const ports = [...program.clusters.keys()].map(parseClusterName)
    .filter((c) => c?.host === host && c.subset === "").map((c) => c?.port);
  if (ports.length > 0) return `${host} has no port ${port} (it has ${ports.join(", ")}): 503 NC`;
  return remote
    ? `the control plane gives no cluster of ${host} (there is no such service, or discovery.hosts leaves it out): 503 NC`
    : `no ServiceEntry declares host ${host}: 503 NC`;
}

/** Why a cluster has nowhere to send a request; undefined when it has. */
function emptyNote(
  cluster: Cluster,
  assignment: ClusterLoadAssignment | undefined,
  endpointCount: number,
): string | undefined {
  if (endpointCount > 0 || cluster.type === "ORIGINAL_DST") return undefined;
  if (isRemote(cluster.origin)) {
    return assignment === undefined
      ? "the control plane has not sent its endpoints yet: 503 UH"
      : "the control plane knows no endpoint of it: 503 UH";
  }
  const labels = Object.entries(cluster.subsetLabels ?? {}).map(([k, v]) => `${k}=${v}`).join(",");
  return labels === ""
    ? "it has no endpoints: 503 UH"
    : `no endpoint carries the labels of subset ${
      parseClusterName(cluster.name)?.subset ?? ""
    } (${labels}): 503 UH`;
}

function summaryOf(
  kind: "route" | "redirect" | "directResponse" | "noRoute",
  virtualHost: CompiledVirtualHost,
  route: CompiledRoute | undefined,
  view: RequestView,
): string {
  if (route === undefined || kind === "noRoute") {
    return `No route of virtual host ${virtualHost.source.name} matches: 404 NR`;
  }
  if (kind === "redirect") {
    const { status, location } = route.redirect(view);
    return `Answered with ${status}, Location ${fromByteString(location)}`;
  }
  if (virtualHost.source.name === "block_all") return `No rule knows host ${view.host}: 502 (REGISTRY_ONLY)`;
  if (kind === "directResponse") {
    return `Answered with ${route.direct?.status}, a body of ${route.direct?.body.length ?? 0} bytes`;
  }
  if (virtualHost.source.name === "allow_any") {
    return `No rule knows host ${view.host}: it is passed on to where its name leads (ALLOW_ANY)`;
  }
  const [only, second] = route.destinations;
  if (only !== undefined && second === undefined) return `Goes to ${only.cluster}`;
  return `Shared between ${
    route.destinations.map((d) =>
      `${d.cluster} (${Math.round((d.weight / route.totalWeight) * 10_000) / 100} %)`
    ).join(", ")
  }`;
}

function routeLines(routes: readonly ExplainedRoute[]): string[] {
  return routes.flatMap((r) => {
    const sign = r.result === "chosen" ? "=>" : r.result === "failed" ? " x" : " .";
    const label = r.name === "" ? `route ${r.number}` : `route ${r.number} "${r.name}"`;
    return [
      `  ${sign} ${label}${r.where === "" ? "" : `  ${r.where}`}`,
      ...(r.reason === undefined ? [] : [`       ${r.reason}`]),
      ...(r.result === "notReached" ? ["       not reached"] : []),
    ];
  });
}

/** The explanation for people; lines end without a trailing newline. */
export function formatExplanation(e: Explanation): string {
  const lines = [e.request, `  ${e.summary}`];
  if (e.virtualHost === undefined && e.routes.length > 0) {
    lines.push("", "Filter chains", ...routeLines(e.routes));
  }
  if (e.virtualHost !== undefined) {
    const { name, where, why } = e.virtualHost;
    lines.push("", `Virtual host ${name}${e.table === undefined ? "" : ` of table ${e.table}`}: ${why}`);
    if (where !== "") lines.push(`  ${where}`);
    lines.push("", "Routes", ...routeLines(e.routes));
  }
  if (e.destinations.length > 0) {
    lines.push("", "Destinations");
    for (const d of e.destinations) {
      lines.push(
        `  ${String(d.share).padStart(6)} %  ${d.cluster}${
          e.destinations.length > 1 ? `  weight ${d.weight}` : ""
        }`,
      );
      const below = (line: string) => lines.push(`            ${line}`);
      if (d.where !== undefined) below(d.where);
      if (d.note !== undefined) below(`! ${d.note}`);
      if (d.endpointsWhere !== undefined) below(d.endpointsWhere);
      for (const endpoint of d.endpoints) below(endpoint);
      if (d.endpointCount > d.endpoints.length) below(`… ${d.endpointCount} in all`);
    }
  }
  if (e.actions.length > 0) {
    lines.push("", "Actions");
    for (const a of e.actions) lines.push(`  ${a}`);
  }
  return lines.join("\n");
}
