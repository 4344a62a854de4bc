/**
 * Route tables: which virtual host and which route serve a request. The one resolver of the agent: the request path,
 * `explain` and the admin interface all ask here.
 *
 * In: a Program (its route configurations by RDS name). Out: {@link RouteTables}. Building only indexes domains; a
 * virtual host is compiled when it is first asked for, and stays compiled as long as its source object lives, so
 * publishing one changed host among ten thousand costs the diff of two arrays. A table of ten thousand new hosts is indexed
 * ahead, piece by piece ({@link indexAhead}); building then finds it done.
 *
 * A request picks the table of its port (`host:port` tables first, `http_proxy` for hosts that the port's table lacks),
 * then the virtual host by domain (istio-semantics 1.5), then the first route that matches. There is no falling through
 * from one virtual host to another.
 *
 * @example
 * ```ts
 * import { buildRouteTables } from "./table.ts";
 * import { viewOf } from "./view.ts";
 * const tables = buildRouteTables(program);
 * const decision = tables.select(viewOf({ method: "GET", url: "http://reviews:9080/" }), Math.random());
 * if (decision.kind === "route") console.log(decision.destination.cluster);
 * ```
 */
import type { Program, RouteConfiguration, VirtualHost } from "../model/model.ts";
import { compileVirtualHost, type TableHeaders } from "./compile_route.ts";
import { type DomainIndex, DomainIndexBuilder } from "./domain_index.ts";
import type {
  CompiledDestination,
  CompiledRoute,
  CompiledVirtualHost,
  Decision,
  RequestView,
  RouteTables,
} from "./types.ts";

/** A virtual host in an index: compiled on first use. */
class Holder {
  readonly source: VirtualHost;
  readonly headers: TableHeaders | undefined;
  #compiled: CompiledVirtualHost | undefined;

  constructor(source: VirtualHost, headers: TableHeaders | undefined) {
    this.source = source;
    this.headers = headers;
  }

  get compiled(): CompiledVirtualHost {
    return this.#compiled ??= compileVirtualHost(this.source, this.headers);
  }
}

/** Of every source object that is in a table. */
const holders = new WeakMap<VirtualHost, Holder>();

interface Table {
  readonly configuration: RouteConfiguration;
  readonly index: DomainIndex<Holder>;
  /** Domains carry ports: `host:port` is tried before `host`. */
  readonly withPorts: boolean;
  /** Absent where the table has no header operations of its own; the same object as long as they stay the same. */
  readonly headers: TableHeaders | undefined;
}

/** Of every configuration that was indexed. */
const indexed = new WeakMap<RouteConfiguration, Table>();

/** Builds tables; everything unchanged since `previous` (by identity) is shared with it. */
export function buildRouteTables(program: Program, previous?: RouteTables): RouteTables {
  return new Tables(program, previous instanceof Tables ? previous : undefined);
}

/** Virtual hosts of one step: about a quarter of a millisecond. */
const HOSTS_PER_STEP = 100;
/** One changed virtual host among this many is still patched: more is made anew in steps. */
const MOST_PATCHED = 8;

export interface Indexing {
  /** One step of the work; false when it is done. */
  step(): boolean;
}

/**
 * Indexes the domains of a table before it is built into {@link RouteTables}. `before`: the one that it replaces, of which
 * everything unchanged (by identity) is shared.
 */
export function indexAhead(configuration: RouteConfiguration, before?: RouteConfiguration): Indexing {
  return new TableIndexing(configuration, before === undefined ? undefined : indexed.get(before));
}

const UNKNOWN_HOST: Decision = { kind: "unknownHost" };
const PORT_NAME = /^\d{1,5}$/;
/** End of the name of a virtual host that xDS v1's registration became: it does not tell the port by which clients call. */
const EVERY_PORT = ":*";

class Tables implements RouteTables {
  readonly #byName = new Map<string, Table>();
  readonly #byPort = new Map<number, Table>();
  /** `host:port` tables, by that name. */
  readonly #byHostPort = new Map<string, Table>();
  readonly #httpProxy: Table | undefined;

  constructor(program: Program, previous: Tables | undefined) {
    const before = previous === undefined ? new Map<string, Table>() : previous.#byName;
    for (const [name, configuration] of program.routeConfigurations) {
      const table = indexed.get(configuration) ??
        new TableIndexing(configuration, before.get(name)).whole();
      this.#byName.set(name, table);
      if (PORT_NAME.test(name)) this.#byPort.set(Number(name), table);
      else if (name === "http_proxy") this.#httpProxy = table;
      else if (/:\d{1,5}$/.test(name) && !name.includes("|")) this.#byHostPort.set(name.toLowerCase(), table);
    }
  }

  findVirtualHost(host: string, port: number): CompiledVirtualHost | undefined {
    const found = this.#holderOf(bareHost(host), port);
    return typeof found === "object" && found instanceof Holder ? found.compiled : undefined;
  }

  portsOf(host: string): readonly number[] {
    const bare = bareHost(host);
    const ports = new Set<number>();
    for (const [port, table] of this.#byPort) if (lookUp(table, bare, port) !== undefined) ports.add(port);
    for (const name of this.#byHostPort.keys()) {
      if (name.startsWith(bare) && name.lastIndexOf(":") === bare.length) {
        ports.add(Number(name.slice(bare.length + 1)));
      }
    }
    // `http_proxy` has one table for all ports; the ports stand in its domains.
    for (const port of this.#httpProxy?.index.portsOf(bare) ?? []) ports.add(port);
    return [...ports].sort((a, b) => a - b);
  }

  select(view: RequestView, random: number): Decision {
    const found = this.#holderOf(view.host, view.port);
    if (found === undefined) return UNKNOWN_HOST;
    if (!(found instanceof Holder)) return { kind: "unknownPort", ports: found };
    const virtualHost = found.compiled;
    const routes = virtualHost.routes;
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i] as CompiledRoute;
      if (!route.matches(view)) continue;
      if (route.kind !== "route") return { kind: route.kind, virtualHost, route };
      return { kind: "route", virtualHost, route, destination: pickDestination(route, random) };
    }
    return { kind: "noRoute", virtualHost };
  }

  /** The virtual host; or the ports on which the host is known, when not on this one; or undefined. */
  #holderOf(host: string, port: number): Holder | readonly number[] | undefined {
    if (host.charCodeAt(host.length - 1) === 0x2e) host = host.slice(0, -1);
    if (this.#byHostPort.size > 0) {
      const own = this.#byHostPort.get(`${host}:${port}`);
      if (own !== undefined) return lookUp(own, host, port) ?? own.index.any;
    }
    const table = this.#byPort.get(port);
    const found = table === undefined ? undefined : lookUp(table, host, port);
    if (found !== undefined) return found;
    const inProxy = this.#inProxy(host, port, table);
    if (inProxy !== undefined) return inProxy;
    const ports = this.portsOf(host);
    if (ports.length > 0 && !ports.includes(port)) return ports;
    return table?.index.any ?? this.#httpProxy?.index.any;
  }

  /**
   * In the table for all ports. A domain without a port belongs to port 80, unless the table ignores ports. There one with
   * a port never decides in Envoy; here it does for other names of a host that has a table of its own, and for ports that
   * have none.
   */
  #inProxy(host: string, port: number, ofPort: Table | undefined): Holder | undefined {
    const table = this.#httpProxy;
    if (table === undefined) return undefined;
    const named = table.index.find(withPort(host, port));
    if (named !== undefined) {
      const own = this.#byHostPort.has(named.source.name.toLowerCase());
      if (table.withPorts || own || ofPort === undefined) return named;
    }
    const bare = table.index.find(host);
    return !table.withPorts || port === 80 || bare?.source.name.endsWith(EVERY_PORT) ? bare : undefined;
  }
}

/** Lower-case, without brackets and one trailing dot. */
function bareHost(host: string): string {
  const text = host.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  return text.endsWith(".") ? text.slice(0, -1) : text;
}

function withPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The virtual host of a table, its `*` left out. */
function lookUp(table: Table, host: string, port: number): Holder | undefined {
  if (table.withPorts) {
    const found = table.index.find(withPort(host, port));
    if (found !== undefined) return found;
  }
  return table.index.find(host);
}

/** The weighted choice: `random` in [0,1) times the total weight. */
export function pickDestination(route: CompiledRoute, random: number): CompiledDestination {
  const { destinations } = route;
  const last = destinations.length - 1;
  if (last > 0) {
    let left = random * route.totalWeight;
    for (let i = 0; i < last; i++) {
      const destination = destinations[i] as CompiledDestination;
      left -= destination.weight;
      if (left < 0) return destination;
    }
  }
  return destinations[last] as CompiledDestination;
}

/** A table being made. */
class TableIndexing implements Indexing {
  readonly #configuration: RouteConfiguration;
  readonly #headers: TableHeaders | undefined;
  /** Absent = made anew. */
  #base: Table | undefined;
  readonly #builder = new DomainIndexBuilder<Holder>();
  #next = 0;
  #done = false;

  constructor(configuration: RouteConfiguration, before: Table | undefined) {
    this.#configuration = configuration;
    this.#headers = headersOf(configuration, before?.headers);
    if (before !== undefined && before.headers === this.#headers && !before.index.contested) {
      this.#base = before;
    }
    this.#done = indexed.has(configuration);
  }

  step(): boolean {
    if (this.#done) return false;
    const { virtualHosts } = this.#configuration;
    if (this.#base !== undefined) {
      const patched = this.#patched(this.#base);
      this.#base = undefined;
      if (patched !== undefined) return this.#finish(patched);
      return true;
    }
    const end = Math.min(this.#next + HOSTS_PER_STEP, virtualHosts.length);
    for (; this.#next < end; this.#next++) {
      const source = virtualHosts[this.#next] as VirtualHost;
      this.#builder.add(source.domains, this.#hold(source));
    }
    return end === virtualHosts.length ? this.#finish(this.#builder.build()) : true;
  }

  whole(): Table {
    while (this.step());
    return indexed.get(this.#configuration) as Table;
  }

  /** The index before with what changed; undefined when that is too much, or only a full build can tell. */
  #patched(before: Table): DomainIndex<Holder> | undefined {
    const { virtualHosts } = this.#configuration;
    const { removed, added } = difference(before.configuration.virtualHosts, virtualHosts);
    if ((removed.length + added.length) * MOST_PATCHED > virtualHosts.length) return undefined;
    const entry = (source: VirtualHost): readonly [readonly string[], Holder] => [
      source.domains,
      this.#hold(source),
    ];
    return before.index.patched(removed.map(entry), added.map(entry));
  }

  #hold(source: VirtualHost): Holder {
    let holder = holders.get(source);
    if (holder === undefined || holder.headers !== this.#headers) {
      holders.set(source, holder = new Holder(source, this.#headers));
    }
    return holder;
  }

  #finish(index: DomainIndex<Holder>): false {
    const configuration = this.#configuration;
    const withPorts = configuration.ignorePortInHostMatching !== true;
    indexed.set(configuration, { configuration, index, withPorts, headers: this.#headers });
    this.#done = true;
    return false;
  }
}

const HEADER_FIELDS = [
  "requestHeadersToAdd",
  "requestHeadersToRemove",
  "responseHeadersToAdd",
  "responseHeadersToRemove",
] as const;

function headersOf(
  configuration: RouteConfiguration,
  before: TableHeaders | undefined,
): TableHeaders | undefined {
  const wins = configuration.mostSpecificHeaderMutationsWins;
  if (wins !== true && HEADER_FIELDS.every((name) => configuration[name] === undefined)) return undefined;
  const { requestHeadersToAdd, requestHeadersToRemove, responseHeadersToAdd, responseHeadersToRemove } =
    configuration;
  const headers = {
    ...(requestHeadersToAdd === undefined ? {} : { requestHeadersToAdd }),
    ...(requestHeadersToRemove === undefined ? {} : { requestHeadersToRemove }),
    ...(responseHeadersToAdd === undefined ? {} : { responseHeadersToAdd }),
    ...(responseHeadersToRemove === undefined ? {} : { responseHeadersToRemove }),
    ...(wins === true ? { mostSpecificHeaderMutationsWins: true } : {}),
  };
  return before !== undefined && JSON.stringify(before) === JSON.stringify(headers) ? before : headers;
}

/** Members of one list only, by identity. Equal heads and tails are skipped first, so one change among many is cheap. */
export function difference(
  old: readonly VirtualHost[],
  now: readonly VirtualHost[],
): { removed: VirtualHost[]; added: VirtualHost[] } {
  let head = 0;
  const least = Math.min(old.length, now.length);
  while (head < least && old[head] === now[head]) head++;
  let tail = 0;
  while (tail < least - head && old[old.length - 1 - tail] === now[now.length - 1 - tail]) tail++;
  const oldPart = old.slice(head, old.length - tail);
  const newPart = now.slice(head, now.length - tail);
  const oldSet = new Set(oldPart);
  const newSet = new Set(newPart);
  return { removed: oldPart.filter((v) => !newSet.has(v)), added: newPart.filter((v) => !oldSet.has(v)) };
}
