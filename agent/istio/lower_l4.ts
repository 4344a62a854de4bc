/**
 * TCP, TLS and sniffed ports of a service -> filter chains, as istiod makes them for a sidecar (istio-semantics 1.12): the
 * VirtualServices that cover its host, their `tls` or `tcp` routes in order, else the service's own cluster.
 *
 * In: a service, one port, the rules in Istio's order, what is known of destinations. Out: chains, those for everything without
 * a match.
 */
import { holds, parseRange } from "../route/ip_range.ts";
import { clusterName, type FilterChain, type FilterChainMatch, type TcpProxy } from "../model/model.ts";
import type { MergedRule } from "./destination_rules.ts";
import { fullHost, isWildcard } from "./host_pattern.ts";
import { MESH } from "./lower_match.ts";
import { normalDuration } from "./lower_values.ts";
import { placesOf, preciseOrigin } from "./origin.ts";
import type { L4Match, ProxyContext, RouteDestination } from "./resources.ts";
import type { PortOfService, Service, ServiceEntryDocument } from "./services.ts";
import type { Rule } from "./virtual_services.ts";

export interface L4Input {
  readonly proxy: ProxyContext;
  /** Those that cover the host, in Istio's order. */
  readonly rules: Iterable<Rule>;
  /** By full name. */
  serviceOf(host: string): Service | undefined;
  destinationRuleOf(service: Service): MergedRule | undefined;
}

/** Names a cluster that never exists: a destination without a host. */
const UNKNOWN_SERVICE = "UnknownService";
const ANY_ADDRESS = "0.0.0.0";

/** Whether connections to the port are more than requests: everything but HTTP, and UDP, which nothing listens to. */
export function hasChains(port: PortOfService): boolean {
  if (port.kind === "http" || port.kind === "http2") return false;
  const protocol = port.document.spec.ports?.filter((p) => p !== null)[port.index]?.protocol ?? "";
  return protocol.toLowerCase() !== "udp";
}

/** Where a listener of a service stands, and the ranges that it answers for when that is every address. */
export interface ServicePlace {
  readonly bind: string;
  /** None or one. */
  readonly ranges: readonly string[];
}

/** One for each address of the service, as if it were a service of its own; every address for one that has none. */
export function placesOfService(service: Service): readonly ServicePlace[] {
  if (service.addresses.length === 0) return [{ bind: ANY_ADDRESS, ranges: [] }];
  return service.addresses.map((text) => {
    const address = text.replace(/\/(32|128)$/, "");
    return address.includes("/") ? { bind: ANY_ADDRESS, ranges: [address] } : { bind: address, ranges: [] };
  });
}

/** At least one chain, no two of the same condition: Envoy would refuse the listener; the first is the rule's. */
export function lowerChains(
  service: Service,
  port: PortOfService,
  place: ServicePlace,
  input: L4Input,
): FilterChain[] {
  const chains = port.kind === "tls"
    ? lowerTls(service, port, place, input)
    : lowerTcp(service, port, place, input);
  const seen = new Set<string>();
  return chains.flatMap((chain) => {
    const condition = JSON.stringify(chain.match ?? {});
    if (seen.has(condition)) return [];
    seen.add(condition);
    return [{ ...chain, service: service.host }];
  });
}

function lowerTls(
  service: Service,
  port: PortOfService,
  place: ServicePlace,
  input: L4Input,
): FilterChain[] {
  const chains: FilterChain[] = [];
  const seen = new Set<string>();
  let { ranges } = place;
  for (const rule of input.rules) {
    for (const [i, route] of (rule.document.spec.tls ?? []).entries()) {
      if (!route?.route?.length) continue;
      for (const [j, match] of (route.match ?? []).entries()) {
        if (!guardsHold(match, port.number, input.proxy)) continue;
        // As in Istio, the subnets of a match stay for the matches behind it that name none.
        if (match?.destinationSubnets?.length) ranges = match.destinationSubnets;
        const names = match?.sniHosts ?? [];
        const key = `${names.join()}|${(match?.destinationSubnets ?? []).join()}`;
        if (seen.has(key)) continue;
        seen.add(key);
        chains.push({
          ...matchOf(names, ranges),
          ...prefixOf(place, ranges),
          tcp: lowerRoute(route.route, rule, port.number, input),
          origin: placesOf(rule.document)(["spec", "tls", i, "match", j]),
        });
      }
    }
  }
  if (chains.length > 0) return chains;
  // Only the name tells services without an address of their own apart.
  const bare = place.bind === ANY_ADDRESS ||
    (isWildcard(service.host) && service.resolution === "DYNAMIC_DNS");
  return [defaultChain(service, port, bare ? [service.host] : [], place, ranges, input)];
}

function lowerTcp(
  service: Service,
  port: PortOfService,
  place: ServicePlace,
  input: L4Input,
): FilterChain[] {
  const { ranges } = place;
  const chains: FilterChain[] = [];
  for (const rule of input.rules) {
    for (const [i, route] of (rule.document.spec.tcp ?? []).entries()) {
      if (!route?.route?.length) continue;
      const at = placesOf(rule.document);
      const matches = route.match ?? [];
      const end = matches.length === 0
        ? -1
        : matches.findIndex((m) => guardsHold(m, port.number, input.proxy) && !m?.destinationSubnets?.length);
      if (matches.length === 0 || end >= 0) {
        chains.push({
          ...matchOf([], ranges),
          ...prefixOf(place, ranges),
          tcp: lowerRoute(route.route, rule, port.number, input),
          origin: at(end < 0 ? ["spec", "tcp", i] : ["spec", "tcp", i, "match", end]),
        });
        return chains;
      }
      const held = matches.filter((m) => guardsHold(m, port.number, input.proxy));
      const subnets = held.flatMap((m) => m?.destinationSubnets ?? []);
      if (subnets.length === 0) continue;
      chains.push({
        ...matchOf([], subnets),
        ...prefixOf(place, subnets),
        tcp: lowerRoute(route.route, rule, port.number, input),
        origin: at(["spec", "tcp", i, "match", matches.indexOf(held[0] as L4Match)]),
      });
      // Two chains of one condition would be one too many.
      if (ranges.length > 0 && [...subnets].sort().join() === [...ranges].sort().join()) return chains;
    }
  }
  chains.push(defaultChain(service, port, [], place, ranges, input));
  return chains;
}

/** Here every condition counts, unlike in HTTP routes, where `gateways` silences the others. */
function guardsHold(match: L4Match | null | undefined, port: number, proxy: ProxyContext): boolean {
  if (match === null || match === undefined) return true;
  if (match.port !== undefined && match.port !== 0 && match.port !== port) return false;
  const gateways = match.gateways ?? [];
  if (gateways.length > 0 && !gateways.includes(MESH)) return false;
  for (const [key, value] of Object.entries(match.sourceLabels ?? {})) {
    if (proxy.labels[key] !== value) return false;
  }
  return !match.sourceNamespace || match.sourceNamespace === proxy.namespace;
}

/** Nothing when it would match everything. */
function matchOf(names: readonly string[], ranges: readonly string[]): Pick<FilterChain, "match"> {
  const prefixRanges = boundsOf(ranges);
  const match: FilterChainMatch = {
    ...(prefixRanges.length === 0 ? {} : { prefixRanges }),
    ...(names.length === 0 || names.includes("*") ? {} : { serverNames: [...names].sort() }),
  };
  return Object.keys(match).length === 0 ? {} : { match };
}

function boundsOf(ranges: readonly string[]): string[] {
  return [...ranges].sort().map(rangeText).filter(isRange);
}

function prefixOf(place: ServicePlace, ranges: readonly string[]): Pick<FilterChain, "servicePrefix"> {
  const [own] = place.ranges.map(parseRange);
  if (own === undefined) return {};
  const lengths = boundsOf(ranges).map(parseRange).filter((range) => range !== undefined && holds(range, own))
    .map((range) => range!.length);
  return lengths.length === 0 ? {} : { servicePrefix: Math.max(...lengths) };
}

function isRange(range: string): boolean {
  return !range.startsWith("0.0.0.0/");
}

/** `10.0.0.1` is `10.0.0.1/32`. */
function rangeText(range: string): string {
  return range.includes("/") ? range : `${range}/${range.includes(":") ? 128 : 32}`;
}

function defaultChain(
  service: Service,
  port: PortOfService,
  names: readonly string[],
  place: ServicePlace,
  ranges: readonly string[],
  input: L4Input,
): FilterChain {
  const cluster = clusterName(port.number, "", service.host);
  const document = service.documents[0] as ServiceEntryDocument;
  const at = (document.spec.hosts ?? []).findIndex((h) => h.toLowerCase() === service.host);
  return {
    ...matchOf(names, ranges),
    ...prefixOf(place, ranges),
    ruleless: true,
    tcp: { statPrefix: cluster, cluster, ...limitsOf(input.destinationRuleOf(service)) },
    origin: preciseOrigin(document, ["spec", "hosts", Math.max(0, at)]),
  };
}

function lowerRoute(
  destinations: readonly (RouteDestination | null)[],
  rule: Rule,
  listenerPort: number,
  input: L4Input,
): TcpProxy {
  const { namespace, name } = rule.document;
  const hostOf = (d: RouteDestination | null): string =>
    fullHost(d?.destination?.host ?? "", namespace, input.proxy.domainSuffix);
  const clusterOf = (d: RouteDestination | null): string => {
    const host = hostOf(d);
    if (host === "") return UNKNOWN_SERVICE;
    const ports = input.serviceOf(host.toLowerCase())?.ports ?? [];
    const port = d?.destination?.port?.number || (ports.length === 1 ? ports[0]?.number : undefined);
    return clusterName(port ?? listenerPort, d?.destination?.subset ?? "", host);
  };
  const first = input.serviceOf(hostOf(destinations[0] as RouteDestination | null).toLowerCase());
  const limits = first === undefined ? {} : limitsOf(input.destinationRuleOf(first));
  if (destinations.length === 1) {
    const cluster = clusterOf(destinations[0] as RouteDestination | null);
    return { statPrefix: cluster, cluster, ...limits };
  }
  const clusters = destinations.filter((d) => (d?.weight ?? 0) > 0)
    .map((d) => ({ name: clusterOf(d), weight: d?.weight ?? 0 }));
  return { statPrefix: `${name}.${namespace}`, weightedClusters: clusters, ...limits };
}

/** Istio takes them from the rule's top level, not from those of port or subset. */
function limitsOf(
  rule: MergedRule | undefined,
): Pick<TcpProxy, "idleTimeout" | "maxDownstreamConnectionDuration"> {
  const tcp = rule?.trafficPolicy?.connectionPool?.tcp;
  const idleTimeout = normalDuration(tcp?.idleTimeout);
  const duration = normalDuration(tcp?.maxConnectionDuration);
  return {
    ...(idleTimeout === undefined ? {} : { idleTimeout }),
    ...(duration === undefined ? {} : { maxDownstreamConnectionDuration: duration }),
  };
}
