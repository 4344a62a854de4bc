/**
 * Virtual hosts for services of which only the registration is known (Pilot 1.0 serves nothing else of v1).
 *
 * A service key has the NAME of the port; the port number by which clients call the service stands nowhere. So:
 *
 * - the protocol is the part of the port's name before the first `-` (istio-semantics 0.4): `http`, `http2`, `grpc`, and names
 *   that mean nothing, get routes; `tcp`, `mongo`, `https`, … do not;
 * - a service with one such port is reached by every port of its host names: `http://istioserver:8084/` as
 *   `http://istioserver/`;
 * - of several such ports, one is chosen only by what is certain: a number on which all its endpoints listen and those of no
 *   other port do, and 80 for the port named `http`. Any other number ends with 404, which names the numbers that are known;
 *   a guess could lead to a port that the caller must not reach. D231 tells which services that concerns.
 *
 * All of them stand in the table `http_proxy`, behind the tables of ports; their route is that of istio/ for a service without
 * rules.
 */
import { type Diagnostic, diagnostic, type Origin } from "../../core/diagnostics.ts";
import { serviceDomains } from "../../istio/hosts.ts";
import { NO_LIMITS } from "../../istio/lower_cluster.ts";
import { defaultRoute } from "../../istio/lower_route.ts";
import { hasRoutes, type PortKind } from "../../istio/services.ts";
import type { Cluster, VirtualHost } from "../../model/model.ts";
import type { Steps } from "./json_steps.ts";
import { endpointsOf, type RegisteredService } from "./registration.ts";
import { portKindByName } from "./service_key.ts";

export interface DefaultHosts {
  readonly virtualHosts: readonly VirtualHost[];
  readonly problems: readonly Diagnostic[];
}

/** Whose names are completed: the workload's namespace, `svc.cluster.local`. */
export interface Names {
  readonly namespace: string;
  readonly domainSuffix: string;
}

/** Hosts named in one D231. */
const MAX_NAMED = 5;

/** `out.KEY`, as Pilot names it. */
export function clusterNameOf(service: RegisteredService): string {
  return `out.${service.text}`;
}

export function kindOf({ key }: RegisteredService): PortKind {
  const kinds = key.ports.map(portKindByName);
  return kinds.find(hasRoutes) ?? kinds[0] ?? "sniffed";
}

/** The cluster of a service without rules. */
export function defaultCluster(service: RegisteredService, origin: Origin): Cluster {
  const kind = kindOf(service);
  return {
    name: clusterNameOf(service),
    type: "EDS",
    lbPolicy: "LEAST_REQUEST",
    connectTimeout: "10s",
    edsServiceName: service.text,
    circuitBreakers: NO_LIMITS,
    healthyPanicThreshold: 0,
    ...(kind === "http2" ? { httpProtocolOptions: { protocol: "HTTP2" } } : {}),
    ...(kind === "sniffed" ? { httpProtocolOptions: { protocol: "USE_DOWNSTREAM" } } : {}),
    origin: { ...origin, resource: service.text },
  };
}

interface Made {
  readonly signature: string;
  readonly hosts: readonly VirtualHost[];
}

/** Makes default virtual hosts; those of which nothing changed since the last call are the same objects. */
export function createDefaultHosts(
  names: Names,
): (services: Iterable<RegisteredService>, origin: Origin) => Steps<DefaultHosts> {
  let made = new Map<string, Made>();
  let keys: readonly string[] = [];
  return function* (services, origin) {
    const all = [...services];
    // While no service came or went, names stay what they are.
    const sameKeys = all.length === keys.length && all.every(({ text }, i) => text === keys[i]);
    if (!sameKeys) keys = all.map(({ text }) => text);
    const byHost = new Map<string, RegisteredService[]>();
    for (const service of all) {
      const list = byHost.get(service.key.host);
      if (list === undefined) byHost.set(service.key.host, [service]);
      else list.push(service);
    }
    const next: typeof made = new Map();
    const virtualHosts: VirtualHost[] = [];
    const unclear: string[] = [];
    for (const [host, list] of byHost) {
      yield;
      const last = sameKeys && list.length === 1 ? made.get(host) : undefined;
      if (last !== undefined) {
        next.set(host, last);
        virtualHosts.push(...last.hosts);
        continue;
      }
      const routed = list.filter((s) => hasRoutes(kindOf(s)));
      if (routed.length === 0) continue;
      const domains = serviceDomains(host, names, [], (name) => byHost.has(name));
      const numbers = routed.length === 1 ? undefined : numbersOf(routed, list);
      if (numbers !== undefined && numbers.some((n) => n.length === 0)) unclear.push(host);
      const signature = JSON.stringify([domains, routed.map((s) => s.text), numbers]);
      const known = made.get(host);
      const hosts = known?.signature === signature
        ? known.hosts
        : makeHosts(host, domains, routed, numbers, origin);
      next.set(host, { signature, hosts });
      virtualHosts.push(...hosts);
    }
    made = next;
    return { virtualHosts, problems: unclear.length === 0 ? [] : [unclearPorts(unclear, origin)] };
  };
}

function makeHosts(
  host: string,
  domains: readonly string[],
  routed: readonly RegisteredService[],
  numbers: readonly (readonly number[])[] | undefined,
  origin: Origin,
): VirtualHost[] {
  return routed.flatMap((service, i): VirtualHost[] => {
    const own: Origin = { ...origin, resource: service.text };
    const routes = [defaultRoute(clusterNameOf(service), undefined, own)];
    if (numbers === undefined) return [{ name: `${host}:*`, domains, routes, origin: own }];
    const ports = numbers[i] as readonly number[];
    if (ports.length === 0) return [];
    const plain = domains.filter((d) => !d.endsWith("."));
    return [{
      name: `${host}:${ports[0]}`,
      domains: ports.flatMap((port) => plain.map((d) => `${d.includes(":") ? `[${d}]` : d}:${port}`)),
      routes,
      origin: own,
    }];
  });
}

/** For each of `routed`: the numbers that lead to it and to no other port of the host. */
function numbersOf(
  routed: readonly RegisteredService[],
  all: readonly RegisteredService[],
): readonly (readonly number[])[] {
  const used = new Map(all.map((s) => [s, new Set(Array.from(endpointsOf(s.assignment), (e) => e.port))]));
  const others = (service: RegisteredService, port: number) =>
    all.some((other) => other !== service && used.get(other)?.has(port) === true);
  return routed.map((service) => {
    const own = used.get(service) as Set<number>;
    const numbers = own.size === 1 ? [...own].filter((port) => !others(service, port)) : [];
    if (service.key.ports.includes("http") && !numbers.includes(80) && !others(service, 80)) numbers.push(80);
    return numbers;
  });
}

function unclearPorts(hosts: readonly string[], origin: Origin): Diagnostic {
  const named = hosts.slice(0, MAX_NAMED).join(", ");
  const more = hosts.length > MAX_NAMED ? ` and ${hosts.length - MAX_NAMED} more` : "";
  return diagnostic(
    "D231",
    `Cannot tell the HTTP ports of ${named}${more} apart: the registration has their names, not their numbers; ` +
      "want routes that say so",
    origin,
  );
}
