/** Destinations of a VirtualService that lead nowhere, and weights that say something else than they seem to. */
import { formatOrigin } from "../core/diagnostics.ts";
import { nearest } from "../core/suggest.ts";
import type { Registry, Rule } from "./registry.ts";
import { unknownHost } from "./unknown_host.ts";
import { At, quote, type Remarks } from "./remark.ts";
import type { Destination } from "./resources.ts";

/** `arriving`: ports of the rule's hosts, on which requests come in. */
export function destinationFindings(
  rule: Rule,
  registry: Registry,
  arriving: ReadonlySet<number>,
  out: Remarks,
): void {
  const { http = [], tls = [], tcp = [] } = rule.spec;
  const at = new At("spec");
  const judge = (destination: Destination | undefined, place: At, infers: boolean) => {
    if (destination !== undefined) {
      destinationFinding(destination, place, { rule, registry, arriving, infers }, out);
    }
  };
  for (const [i, route] of http.entries()) {
    const place = at.to("http").to(i);
    weightFinding(route.route ?? [], place.to("route"), out);
    for (const [j, entry] of (route.route ?? []).entries()) {
      judge(entry.destination, place.to("route").to(j).to("destination"), false);
    }
    judge(route.mirror, place.to("mirror"), false);
    for (const [j, mirror] of (route.mirrors ?? []).entries()) {
      judge(mirror.destination, place.to("mirrors").to(j).to("destination"), false);
    }
  }
  for (const [field, routes] of [["tls", tls], ["tcp", tcp]] as const) {
    for (const [i, route] of routes.entries()) {
      const place = at.to(field).to(i).to("route");
      weightFinding(route.route ?? [], place, out);
      for (const [j, entry] of (route.route ?? []).entries()) {
        judge(entry.destination, place.to(j).to("destination"), true);
      }
    }
  }
}

function weightFinding(routes: readonly { readonly weight?: number }[], at: At, out: Remarks): void {
  if (routes.length === 1) {
    const weight = routes[0]?.weight;
    if (weight !== undefined && weight !== 100) {
      out.add(
        "R408",
        at.to(0).to("weight"),
        `Weight ${weight} has no effect: the destination is the only one`,
      );
    }
    return;
  }
  const sum = routes.reduce((total, route) => total + (route.weight ?? 0), 0);
  if (routes.length < 2 || sum === 100 || sum <= 0) return;
  const shares = routes.map((route) => `${Math.round((route.weight ?? 0) / sum * 1000) / 10}%`).join(", ");
  out.add("R408", at, `The weights add up to ${sum}, not 100: the shares are ${shares}`, { key: true });
}

interface Scope {
  readonly rule: Rule;
  readonly registry: Registry;
  readonly arriving: ReadonlySet<number>;
  /** TLS and TCP routes take the only port of a service; HTTP ones the port of the request. */
  readonly infers: boolean;
}

function destinationFinding(destination: Destination, at: At, scope: Scope, out: Remarks): void {
  const { rule, registry } = scope;
  const { host, subset } = destination;
  const name = registry.full(host, rule);
  if (registry.servicesOf(name).length === 0) {
    out.add("R404", at.to("host"), unknownHost("destination host", host, rule, registry));
    return;
  }
  portFinding(destination, name, at, scope, out);
  if (subset === undefined || subset === "") return;
  const known = registry.subsetsOf(name);
  if (known.has(subset)) return;
  const policies = registry.policiesOf(name);
  const near = nearest(subset, known);
  const places = policies.map((policy) =>
    `DestinationRule ${quote(`${policy.namespace}/${policy.name}`)} (${formatOrigin(policy.origin)})`
  );
  out.add(
    "R402",
    at.to("subset"),
    `Cannot route to subset ${quote(subset)} of ${name}: ` +
      (policies.length === 0
        ? "no DestinationRule is for this host"
        : `${places.join(" and ")} has ${
          known.size === 0 ? "no subsets" : `subsets ${[...known].join(", ")}`
        }` +
          (near === undefined ? "" : `; did you mean "${near}"?`)),
  );
}

function portFinding(destination: Destination, name: string, at: At, scope: Scope, out: Remarks): void {
  const ports = scope.registry.portsOf(name);
  const number = destination.port?.number;
  if (number !== undefined) {
    if (ports.has(number)) return;
    out.add(
      "R405",
      at.to("port").to("number"),
      `Cannot route to port ${quote(String(number))} of ${name}: it has ${portList(ports)}`,
    );
    return;
  }
  if (scope.infers) return;
  // A port that the destination lacks matters only when no request can come in on one that it has.
  for (const port of scope.arriving) if (ports.has(port)) return;
  if (scope.arriving.size === 0) return;
  out.add(
    "R417",
    at,
    `The destination names no port, so requests for ${
      portList(scope.arriving)
    } go to that port of ${name}, ` +
      `which has ${portList(ports)}`,
  );
}

function portList(ports: ReadonlySet<number>): string {
  if (ports.size === 0) return "no ports";
  return `port ${[...ports].sort((a, b) => a - b).join(", ")}`;
}
