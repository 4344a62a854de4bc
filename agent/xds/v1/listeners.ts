/**
 * GET /v1/listeners/CLUSTER/NODE -> what of it serves an explicit proxy: the names of the route tables, the faults that belong
 * to them, and the TCP destinations. Of inbound traffic the ports that lead to the application.
 */
import { type Diagnostic, type Origin } from "../../core/diagnostics.ts";
import { formatDuration } from "../../core/duration.ts";
import { isSame } from "../../istio/share.ts";
import type { ApplicationPort, FilterChain, HTTPFault, Listener } from "../../model/model.ts";
import { listIn } from "./clusters.ts";
import type { ListenerFault } from "./faults.ts";
import { join, type JsonObject, Reading } from "./reading.ts";
import { readHeaders } from "./routes.ts";

export interface Listeners {
  readonly listeners: ReadonlyMap<string, Listener>;
  /** By the listener's name. */
  readonly inbound: ReadonlyMap<string, ApplicationPort>;
  /** Names of the route tables, sorted. */
  readonly tables: readonly string[];
  /** By name of the table. */
  readonly faults: ReadonlyMap<string, readonly ListenerFault[]>;
  readonly problems: readonly Diagnostic[];
  readonly notes: readonly Diagnostic[];
}

/** Pilot 0.8 answers 503 to any other name. */
const TABLE = /^(\d{1,5}|http_proxy)$/;

interface Reader {
  readonly reading: Reading;
  readonly tables: Set<string>;
  readonly faults: Map<string, readonly ListenerFault[]>;
  readonly inbound: Map<string, ApplicationPort>;
}

/** A listener that cannot be used keeps its value of `previous`, or stays out. Undefined when there is no list of listeners. */
export function decodeListeners(value: unknown, origin: Origin, previous?: Listeners): Listeners | undefined {
  const list = listIn(value, "listeners");
  if (list === undefined) return undefined;
  const listeners = new Map<string, Listener>();
  const tables = new Set<string>();
  const faults = new Map<string, readonly ListenerFault[]>();
  const inbound = new Map<string, ApplicationPort>();
  const problems: Diagnostic[] = [];
  const notes: Diagnostic[] = [];
  const keep = (listener: Listener): void => {
    listeners.set(listener.name, listener);
    for (const table of tablesOf(listener)) {
      tables.add(table);
      const before = previous?.faults.get(table);
      if (before !== undefined && !faults.has(table)) faults.set(table, before);
    }
  };
  let nameless = false;
  for (const [i, item] of list.entries()) {
    const path = `listeners[${i}]`;
    const name = (item as JsonObject | null)?.name;
    const reading = new Reading(
      typeof name === "string" ? { ...origin, kind: "Listener", resource: name } : origin,
    );
    const own: Reader = { reading, tables: new Set(), faults: new Map(), inbound: new Map() };
    const listener = readListener(item, path, own);
    problems.push(...reading.problems);
    notes.push(...reading.notes);
    const known = typeof name === "string" ? previous?.listeners.get(name) : undefined;
    if (reading.problems.length > 0) {
      const port = typeof name === "string" ? previous?.inbound.get(name) : undefined;
      if (port !== undefined) inbound.set(name as string, port);
      else if (known !== undefined) keep(known);
      else nameless = true;
      continue;
    }
    for (const [name, found] of own.inbound) inbound.set(name, found);
    if (listener === undefined) continue;
    if (listeners.has(listener.name)) {
      reading.fail(path, `Cannot use listener "${listener.name}" again: it is there already`, "D213");
      problems.push(...reading.problems);
      continue;
    }
    const same = known !== undefined &&
      isSame({ ...known, origin: undefined }, { ...listener, origin: undefined });
    listeners.set(listener.name, same ? known : listener);
    for (const table of own.tables) tables.add(table);
    for (const [table, found] of own.faults) faults.set(table, [...faults.get(table) ?? [], ...found]);
  }
  // A bad one that is not known by its name may have stood for any that is absent.
  if (nameless) {
    for (const [name, known] of previous?.listeners ?? []) if (!listeners.has(name)) keep(known);
    for (const [name, known] of previous?.inbound ?? []) if (!inbound.has(name)) inbound.set(name, known);
  }
  const before = previous?.inbound;
  const shared = before !== undefined && isSame([...before], [...inbound]) ? before : inbound;
  return { listeners, inbound: shared, tables: [...tables].sort(), faults, problems, notes };
}

function tablesOf(listener: Listener): string[] {
  return listener.filterChains.flatMap(({ http }) =>
    http?.routeConfigName === undefined ? [] : [http.routeConfigName]
  );
}

/** Undefined for one that serves nothing here. */
function readListener(
  item: unknown,
  path: string,
  { reading, tables, faults, inbound }: Reader,
): Listener | undefined {
  const from = reading.object(item, path);
  const written = from && reading.needText(from, "address", path);
  if (from === undefined || written === undefined) return undefined;
  const m = /^tcp:\/\/(.+):(\d{1,5})$/.exec(written);
  const place = m?.[1]?.replace(/^\[(.*)\]$/, "$1");
  if (m === null || place === undefined) {
    return reading.fail(
      join(path, "address"),
      `Cannot use address "${written}": it is no address; want tcp://address:port`,
    );
  }
  const address = place.replace(/\/\d+$/, "");
  const port = Number(m[2]);
  const name = reading.text(from, "name", path) ?? `${address}_${port}`;
  const chains: FilterChain[] = [];
  for (const [i, each] of reading.list(from, "filters", path).entries()) {
    const at = `${path}.filters[${i}]`;
    const filter = reading.object(each, at);
    const kind = filter && reading.text(filter, "name", at);
    const config = filter && reading.part(filter, "config", at);
    if (config === undefined) continue;
    const inside = join(at, "config");
    const local = inboundPort(config);
    if (local !== undefined) {
      const protocol = kind === "tcp_proxy" ? "tcp" : "http";
      inbound.set(name, { address, port, protocol, localPort: local });
      return undefined;
    }
    if (kind === "http_connection_manager") {
      const rds = reading.part(config, "rds", inside);
      const table = rds && reading.needText(rds, "route_config_name", join(inside, "rds"));
      if (table === undefined) continue;
      if (!TABLE.test(table)) {
        reading.note(
          join(inside, "rds.route_config_name"),
          `Cannot ask for route table "${table}": it is no port; want a number or http_proxy`,
        );
        continue;
      }
      tables.add(table);
      const found = readFaults(config, inside, reading);
      if (found.length > 0) faults.set(table, found);
      chains.push({
        http: { statPrefix: reading.text(config, "stat_prefix", inside) ?? "http", routeConfigName: table },
      });
    } else if (kind === "tcp_proxy") chains.push(...readTcp(config, inside, reading));
  }
  if (chains.length === 0) return undefined;
  return {
    name,
    address,
    port,
    filterChains: chains,
    trafficDirection: "OUTBOUND",
    bindToPort: reading.flag(from, "bind_to_port", path) ?? true,
    origin: reading.originOf(path),
  };
}

/** Of the cluster `in.8080` that all routes in a listener lead to: the application's port. */
function inboundPort({ route_config: table }: JsonObject): number | undefined {
  const routes = [table, ...listOf(table, "virtual_hosts")].flatMap((each) => listOf(each, "routes"));
  const ports = routes.map((route) => {
    const cluster = (route as JsonObject | null)?.cluster;
    return typeof cluster === "string" ? /^in\.(\d{1,5})$/.exec(cluster)?.[1] : undefined;
  });
  const [first] = ports;
  return first === undefined || ports.includes(undefined) ? undefined : Number(first);
}

function listOf(value: unknown, name: string): readonly unknown[] {
  const list = (value as JsonObject | null | undefined)?.[name];
  return Array.isArray(list) ? list : [];
}

function readTcp(config: JsonObject, path: string, reading: Reading): FilterChain[] {
  const table = reading.part(config, "route_config", path);
  if (table === undefined) return [];
  const chains: FilterChain[] = [];
  for (const [i, item] of reading.list(table, "routes", join(path, "route_config")).entries()) {
    const at = `${path}.route_config.routes[${i}]`;
    const route = reading.object(item, at);
    const cluster = route && reading.needText(route, "cluster", at);
    if (route === undefined || cluster === undefined || cluster.startsWith("in.")) continue;
    const prefixes = reading.list(route, "destination_ip_list", at).filter((p) => typeof p === "string");
    chains.push({
      ...(prefixes.length === 0 ? {} : { match: { prefixRanges: prefixes } }),
      tcp: { statPrefix: reading.text(config, "stat_prefix", path) ?? "tcp", cluster },
    });
  }
  return chains;
}

function readFaults(config: JsonObject, path: string, reading: Reading): ListenerFault[] {
  const faults: ListenerFault[] = [];
  for (const [i, item] of reading.list(config, "filters", path).entries()) {
    const at = `${path}.filters[${i}]`;
    const filter = reading.object(item, at);
    if (filter === undefined || filter.name !== "fault") continue;
    const inside = join(at, "config");
    const own = reading.part(filter, "config", at);
    const fault = own && readFault(own, inside, reading);
    if (own === undefined || fault === undefined) continue;
    const upstreamCluster = reading.text(own, "upstream_cluster", inside);
    faults.push({
      ...(upstreamCluster ? { upstreamCluster } : {}),
      headers: readHeaders(own, inside, reading),
      fault,
    });
  }
  return faults;
}

function readFault(from: JsonObject, path: string, reading: Reading): HTTPFault | undefined {
  const abort = reading.part(from, "abort", path);
  const delay = reading.part(from, "delay", path);
  const status = abort && reading.count(abort, "http_status", join(path, "abort"), 100, 599);
  const abortPercent = abort && reading.count(abort, "abort_percent", join(path, "abort"), 0, 100);
  const delayMs = delay && reading.count(delay, "fixed_duration_ms", join(path, "delay"));
  const delayPercent = delay && reading.count(delay, "fixed_delay_percent", join(path, "delay"), 0, 100);
  const percentage = (numerator: number) => ({ numerator, denominator: "HUNDRED" as const });
  const fault: HTTPFault = {
    ...(delayMs === undefined || delayMs === 0
      ? {}
      : { delay: { fixedDelay: formatDuration(delayMs), percentage: percentage(delayPercent ?? 0) } }),
    ...(status === undefined
      ? {}
      : { abort: { httpStatus: status, percentage: percentage(abortPercent ?? 0) } }),
  };
  return fault.delay === undefined && fault.abort === undefined ? undefined : fault;
}
