/** Routes of one service in the shape of Mesher's route rules (go-chassis RouteRule), for `/v1/mesher/routeRule/{service}`. */
import { formatOrigin } from "../core/diagnostics.ts";
import { parseClusterName, type Program, type Route } from "../model/model.ts";

/** Fields of Mesher first; the rest says what Mesher's rules cannot. */
export interface MesherRouteRule {
  /** Higher is tried first. */
  readonly precedence: number;
  readonly match: {
    readonly headers?: Readonly<Record<string, Readonly<Record<string, string>>>>;
    readonly httpHeaders?: Readonly<Record<string, Readonly<Record<string, string>>>>;
    readonly uri?: Readonly<Record<string, string>>;
  };
  readonly route: readonly {
    readonly tags: Readonly<Record<string, string>>;
    readonly weight: number;
    readonly cluster: string;
  }[];
  readonly port: string;
  readonly name: string;
  /** `file:line:column`, empty when unknown. */
  readonly origin: string;
  /** Set when the route answers by itself. */
  readonly answer?: "redirect" | "directResponse";
}

/** Every rule for this host name (short or full), by table; empty when the host is unknown. */
export function mesherRouteRules(program: Program, service: string): MesherRouteRule[] {
  const wanted = service.toLowerCase();
  const rules: MesherRouteRule[] = [];
  for (const [port, { virtualHosts }] of program.routeConfigurations) {
    for (const { name, domains, routes } of virtualHosts) {
      if (name.replace(/:\d+$/, "") !== wanted && !domains.some((d) => d.replace(/:\d+$/, "") === wanted)) {
        continue;
      }
      routes.forEach((route, i) => {
        rules.push({
          precedence: routes.length - i,
          match: matchOf(route),
          route: destinationsOf(program, route),
          port,
          name: route.name ?? "",
          origin: route.origin === undefined ? "" : formatOrigin(route.origin),
          ...(route.redirect !== undefined ? { answer: "redirect" as const } : {}),
          ...(route.directResponse !== undefined ? { answer: "directResponse" as const } : {}),
        });
      });
    }
  }
  return rules;
}

function matchOf({ match }: Route): MesherRouteRule["match"] {
  const headers: Record<string, Record<string, string>> = {};
  for (const h of match.headers ?? []) {
    const { exact, prefix, suffix, safeRegex } = h.stringMatch ?? {};
    const test = exact !== undefined
      ? { exact }
      : prefix !== undefined
      ? { prefix }
      : suffix !== undefined
      ? { suffix }
      : safeRegex !== undefined
      ? { regex: safeRegex.regex }
      : { present: String(h.presentMatch ?? true) };
    headers[h.name] = { ...test, ...(h.invertMatch === true ? { not: "true" } : {}) };
  }
  const uri = match.path !== undefined
    ? { exact: match.path }
    : match.safeRegex !== undefined
    ? { regex: match.safeRegex.regex }
    : match.prefix !== undefined && match.prefix !== "/"
    ? { prefix: match.prefix }
    : undefined;
  return {
    ...(Object.keys(headers).length === 0 ? {} : { headers, httpHeaders: headers }),
    ...(uri === undefined ? {} : { uri }),
  };
}

function destinationsOf(program: Program, { route }: Route): MesherRouteRule["route"] {
  const clusters = route?.weightedClusters?.clusters ??
    (route?.cluster === undefined ? [] : [{ name: route.cluster, weight: 100 }]);
  return clusters.map(({ name, weight }) => ({
    tags: program.clusters.get(name)?.subsetLabels ?? subsetTag(name),
    weight,
    cluster: name,
  }));
}

function subsetTag(cluster: string): Record<string, string> {
  const subset = parseClusterName(cluster)?.subset ?? "";
  return subset === "" ? {} : { subset };
}
