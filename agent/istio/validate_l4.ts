/** TLS and TCP routes: rows VS-E32, VS-E33, VS-W5. */
import { hostCovers } from "./host_pattern.ts";
import { type At, type Remarks } from "./remark.ts";
import type { TCPRoute, TLSRoute } from "./resources.ts";
import {
  isIp,
  judgeDestinations,
  judgeGateways,
  judgeLabels,
  portProblem,
  subnetProblem,
  wildcardHostProblem,
} from "./validate_primitives.ts";

export function judgeTlsRoutes(
  routes: readonly (TLSRoute | null)[],
  hosts: readonly string[],
  at: At,
  out: Remarks,
): void {
  for (const [i, route] of routes.entries()) {
    const place = at.to(i);
    if (route === null) {
      out.refuse("R132", place, "tls entry", undefined, "it is empty; fill it in or delete it");
      continue;
    }
    if ((route.match?.length ?? 0) === 0) {
      out.refuse("R132", place, "tls entry", undefined, "it has no match; give match with sniHosts");
    }
    for (const [j, match] of (route.match ?? []).entries()) {
      const field = place.to("match").to(j);
      if (match === null) {
        out.refuse("R132", field, "match entry", undefined, "it is empty; give sniHosts");
        continue;
      }
      if ((match.sniHosts?.length ?? 0) === 0) {
        out.refuse("R132", field, "match entry", undefined, "it has no sniHosts; give at least one");
      }
      for (const [k, sni] of (match.sniHosts ?? []).entries()) {
        judgeSniHost(sni, hosts, field.to("sniHosts").to(k), out);
      }
      judgeL4Match(match, field, out, "R132");
    }
    judgeL4Destinations(route, place, out, "R132");
  }
}

function judgeSniHost(sni: string, hosts: readonly string[], at: At, out: Remarks): void {
  const problem = wildcardHostProblem(sni);
  if (problem !== undefined) {
    if (isIp(sni)) out.add("R155", at, `SNI host "${sni}" is an IP address`);
    else return out.refuse("R132", at, "SNI host", sni, problem);
  }
  if (!hosts.some((host) => hostCovers(host, sni))) {
    out.refuse("R132", at, "SNI host", sni, "no host of the rule covers it; add it to hosts");
  }
}

export function judgeTcpRoutes(routes: readonly (TCPRoute | null)[], at: At, out: Remarks): void {
  for (const [i, route] of routes.entries()) {
    const place = at.to(i);
    if (route === null) {
      out.refuse("R133", place, "tcp entry", undefined, "it is empty; fill it in or delete it");
      continue;
    }
    for (const [j, match] of (route.match ?? []).entries()) {
      const field = place.to("match").to(j);
      if (match === null) {
        out.refuse("R133", field, "match entry", undefined, "it is empty; give a condition");
      } else judgeL4Match(match, field, out, "R133");
    }
    judgeL4Destinations(route, place, out, "R133");
  }
}

type L4Match = NonNullable<NonNullable<TLSRoute["match"]>[number]>;

function judgeL4Match(match: Omit<L4Match, "sniHosts">, at: At, out: Remarks, code: "R132" | "R133"): void {
  for (const [i, subnet] of (match.destinationSubnets ?? []).entries()) {
    const problem = subnetProblem(subnet);
    if (problem !== undefined) out.refuse(code, at.to("destinationSubnets").to(i), "subnet", subnet, problem);
  }
  if (match.port !== undefined && match.port !== 0) {
    const problem = portProblem(match.port);
    if (problem !== undefined) out.refuse(code, at.to("port"), "port", match.port, problem);
  }
  if (match.sourceLabels !== undefined) judgeLabels(match.sourceLabels, at.to("sourceLabels"), out, code);
  judgeGateways(match.gateways ?? [], at.to("gateways"), out, { error: code, warning: "R154" });
}

function judgeL4Destinations(route: TLSRoute | TCPRoute, at: At, out: Remarks, code: "R132" | "R133"): void {
  if ((route.route?.length ?? 0) === 0) {
    out.refuse(
      code,
      at,
      code === "R132" ? "tls entry" : "tcp entry",
      undefined,
      "it has no route; give route",
    );
    return;
  }
  judgeDestinations(route.route ?? [], at.to("route"), out, "R130");
}
