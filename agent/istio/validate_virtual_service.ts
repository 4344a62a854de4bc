/** VirtualService: rows VS-E1 to VS-E14, VS-E30, VS-E31, VS-E34; the parts of a route are judged in the files imported here. */
import { type At, quote, type Remarks } from "./remark.ts";
import type { HTTPRoute, VirtualServiceSpec } from "./resources.ts";
import {
  judgeCors,
  judgeDirectResponse,
  judgeFault,
  judgeHeaders,
  judgeMirrors,
  judgeRedirect,
  judgeRetries,
  judgeRewrite,
} from "./validate_http_action.ts";
import { judgeHttpMatch } from "./validate_http_match.ts";
import { judgeTcpRoutes, judgeTlsRoutes } from "./validate_l4.ts";
import {
  isIp,
  judgeDestinations,
  judgeDuration,
  judgeExportTo,
  judgeGateways,
  wildcardHostProblem,
} from "./validate_primitives.ts";
import { judgeReach } from "./validate_reach.ts";
import { hostsOverlap } from "./host_pattern.ts";

export function judgeVirtualService(
  spec: VirtualServiceSpec,
  at: At,
  out: Remarks,
  namespace: string,
): void {
  const hosts = spec.hosts ?? [];
  const gateways = spec.gateways ?? [];
  const isDelegate = hosts.length === 0;
  const inMesh = gateways.length === 0 || gateways.includes("mesh");
  if (isDelegate) {
    for (const field of ["gateways", "tls", "tcp"] as const) {
      if ((spec[field]?.length ?? 0) === 0) continue;
      out.refuse(
        "R101",
        at.to(field),
        field,
        undefined,
        "the rule has no hosts and so is a delegate; give hosts or delete it",
        {
          key: true,
        },
      );
    }
  }
  judgeGateways(gateways, at.to("gateways"), out, { error: "R102", warning: "R154" });
  judgeHosts(hosts, at.to("hosts"), out, inMesh);

  if (spec.http === undefined && spec.tls === undefined && spec.tcp === undefined) {
    out.refuse("R107", at, "the rule", undefined, "it has no http, tls or tcp; give one");
  } else if ((spec.http?.length ?? 0) + (spec.tls?.length ?? 0) + (spec.tcp?.length ?? 0) === 0) {
    out.refuse("R107", at, "the rule", undefined, "http, tls and tcp are empty; give a route");
  }
  for (const [i, route] of (spec.http ?? []).entries()) {
    judgeHttpRoute(route, at.to("http").to(i), out, { isDelegate, inMesh });
  }
  judgeTlsRoutes(spec.tls ?? [], hosts, at.to("tls"), out);
  judgeTcpRoutes(spec.tcp ?? [], at.to("tcp"), out);
  judgeReach(spec, at, out);
  judgeExportTo(spec.exportTo ?? [], at.to("exportTo"), out, "R134", { namespace });
}

function judgeHosts(hosts: readonly string[], at: At, out: Remarks, inMesh: boolean): void {
  let allValid = true;
  for (const [i, host] of hosts.entries()) {
    if (host === "*") {
      if (inMesh) {
        out.refuse(
          "R105",
          at.to(i),
          "host",
          host,
          "the rule applies to the mesh, where * would take every host; name one",
        );
        allValid = false;
      }
      continue;
    }
    const problem = isIp(host) ? undefined : wildcardHostProblem(host);
    if (problem === undefined) continue;
    allValid = false;
    out.refuse("R104", at.to(i), "host", host, problem);
  }
  if (!allValid || hosts.length < 2) return;
  for (let i = 1; i < hosts.length; i++) {
    const host = hosts[i] as string;
    const earlier = hosts.slice(0, i).find((other) => hostsOverlap(other, host));
    if (earlier === undefined) continue;
    out.refuse(
      "R106",
      at.to(i),
      "host",
      host,
      earlier === host ? "it is given twice; delete one" : `it overlaps with ${quote(earlier)}; delete one`,
    );
  }
}

function judgeHttpRoute(
  route: HTTPRoute | null,
  at: At,
  out: Remarks,
  rule: { isDelegate: boolean; inMesh: boolean },
): void {
  if (route === null) {
    out.refuse("R108", at, "http entry", undefined, "it is empty; fill it in or delete it");
    return;
  }
  judgeActions(route, at, out, rule.isDelegate);
  for (const [i, match] of (route.match ?? []).entries()) {
    judgeHttpMatch(match, at.to("match").to(i), out, rule.inMesh);
  }
  if (route.headers !== undefined) judgeHeaders(route.headers, at.to("headers"), out);
  if (route.redirect !== undefined) judgeRedirect(route.redirect, route.match, at.to("redirect"), out);
  if (route.directResponse !== undefined) {
    judgeDirectResponse(route.directResponse, at.to("directResponse"), out);
  }
  if (route.corsPolicy !== undefined) judgeCors(route.corsPolicy, at.to("corsPolicy"), out);
  if (route.fault !== undefined) judgeFault(route.fault, at.to("fault"), out);
  judgeMirrors(route, at, out);
  if (route.retries !== undefined) judgeRetries(route.retries, at.to("retries"), out);
  if (route.rewrite !== undefined) judgeRewrite(route.rewrite, at.to("rewrite"), out);
  judgeAuthority(route, at, out);
  judgeDuration(route.timeout, at.to("timeout"), out, "R131", "timeout");
  const routes = route.route ?? [];
  judgeDestinations(routes, at.to("route"), out, "R130");
  for (const [i, destination] of routes.entries()) {
    const headers = destination?.headers;
    if (headers !== undefined) judgeHeaders(headers, at.to("route").to(i).to("headers"), out);
  }
}

/** Which of route, redirect, directResponse, delegate may stand together (VS-E9 to VS-E14). */
function judgeActions(route: HTTPRoute, at: At, out: Remarks, isDelegate: boolean): void {
  const hasRoute = (route.route?.length ?? 0) > 0;
  if (route.delegate !== undefined) {
    if (isDelegate) {
      out.refuse(
        "R110",
        at.to("delegate"),
        "delegate",
        undefined,
        "the rule is a delegate itself; give route",
        {
          key: true,
        },
      );
    }
    for (const field of ["redirect", "route"] as const) {
      if (field === "route" ? !hasRoute : route.redirect === undefined) continue;
      out.refuse("R109", at.to(field), field, undefined, "the entry has a delegate too; give one of them", {
        key: true,
      });
    }
  }
  for (
    const [action, code] of [["redirect", "R111"], ["directResponse", "R112"]] as const
  ) {
    if (route[action] === undefined) continue;
    for (const other of ["route", "fault", "rewrite", "redirect", "directResponse"] as const) {
      if (other === action || (other === "route" ? !hasRoute : route[other] === undefined)) continue;
      if (route.delegate !== undefined && other === "route") continue;
      out.refuse(code, at.to(other), other, undefined, `the entry has ${action} too; give one of them`, {
        key: true,
      });
    }
  }
  if (
    route.delegate === undefined && !hasRoute && route.redirect === undefined &&
    route.directResponse === undefined
  ) {
    out.refuse(
      "R113",
      at,
      "http entry",
      route.name,
      "it does nothing; give route, redirect or directResponse",
    );
  }
  if (route.mirror !== undefined && (route.mirrors?.length ?? 0) > 0) {
    out.refuse("R114", at.to("mirrors"), "mirrors", undefined, "mirror is given too; give one of them", {
      key: true,
    });
  }
}

/** VS-E29 */
function judgeAuthority(route: HTTPRoute, at: At, out: Remarks): void {
  const places: At[] = [];
  if (route.rewrite?.authority !== undefined && route.rewrite.authority !== "") {
    places.push(at.to("rewrite").to("authority"));
  }
  for (const operation of ["set", "add"] as const) {
    for (const name of Object.keys(route.headers?.request?.[operation] ?? {})) {
      if (name !== ":authority" && name.toLowerCase() !== "host") continue;
      places.push(at.to("headers").to("request").to(operation).to(name));
    }
  }
  for (const place of places.slice(1)) {
    out.refuse("R129", place, "authority", undefined, "it is set more than once; set it in one place");
  }
}
