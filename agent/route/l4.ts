/**
 * Where connections go that are not looked into: tunnels (CONNECT) and local ports, by the TCP and TLS filter chains of the
 * program's listeners.
 *
 * In: the listeners, and a destination: a host name or an address, and a port. Out: an {@link L4Target}: the chains that may
 * decide, whether they want to see the client's TLS hello first, and the choice among them.
 *
 * How a destination finds its chains. A sidecar would know the address that the application dialled; here the application
 * names a host:
 *  1. An address: the listener `ADDRESS_PORT`; else those chains of `0.0.0.0_PORT` whose subnets hold the address or that go by
 *     server name. A chain for everything on `0.0.0.0_PORT` belongs to a service without an address, which is reached by name
 *     only: no other address is caught by it.
 *  2. A name, in each spelling that it may be short for: the chains made for that service (file mode). From a control plane,
 *     which does not say the service: the listener at an address that a virtual host of that name has; else the one on that port
 *     whose chain leads to the service's own cluster; else to a subset of it; else, in `0.0.0.0_PORT`, chains that name it as
 *     server.
 *     (A caller that can look names up asks again with the addresses, as of a sidecar's application: istiod does not say whose the
 *     listener `ADDRESS_PORT` is when its route leads elsewhere.)
 *  3. Nothing found: no TCP or TLS rule holds for it.
 * Among the chains Envoy's order decides: destination port, subnet (longest first), server name (exact, then longest wildcard, then
 * none), transport protocol, application protocol, source (longest first); no going back from one to the next. The default chain takes what is left.
 *
 * @example
 * ```ts ignore
 * const target = l4TablesOf(program).find({ host: "mysql", port: 3306, spellings: ["mysql", "mysql.default.svc.cluster.local"] });
 * if (target !== undefined) target.choose(undefined, Math.random()); // { cluster: "outbound|3306|v1|mysql…", … }
 * ```
 */
import { normalAddress } from "../core/ip.ts";
import type { Origin } from "../core/diagnostics.ts";
import {
  clusterName,
  type FilterChain,
  type Listener,
  parseClusterName,
  type Program,
  type TcpProxy,
} from "../model/model.ts";
import { contains, parseRange } from "./ip_range.ts";
import type { CompiledVirtualHost, RouteTables } from "./types.ts";

export interface L4Question {
  /** Lower-case name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
  /** Names that `host` may stand for, itself first. */
  readonly spellings: readonly string[];
  /** Addresses that are known to be the host's. */
  readonly addresses?: readonly string[];
}

/** With everything that the tables know about the host. */
export function l4Question(tables: RouteTables, host: string, port: number, namespace: string): L4Question {
  const bare = host.endsWith(".") ? host.slice(0, -1) : host;
  const addresses: string[] = [];
  for (const known of tables.portsOf(bare)) {
    for (const domain of tables.findVirtualHost(bare, known)?.source.domains ?? []) {
      const address = normalAddress(domain);
      if (address !== undefined && !addresses.includes(address)) addresses.push(address);
    }
  }
  const domain = "svc.cluster.local";
  const spellings = [bare, `${bare}.${namespace}.${domain}`, `${bare}.${domain}`, `${bare}.cluster.local`];
  return { host: bare, port, spellings, addresses };
}

/** The cluster of the whole service, where no TCP or TLS rule holds; undefined for a host that no rule knows on that port. */
export function serviceClusterOf(
  program: Program,
  tables: RouteTables,
  { host, port, spellings }: L4Question,
): { readonly cluster: string; readonly virtualHost?: CompiledVirtualHost } | undefined {
  const has = (name: string): string | undefined => program.clusters.has(name) ? name : undefined;
  const virtualHost = tables.findVirtualHost(host, port);
  if (virtualHost !== undefined) {
    // A virtual host is named host:port after the service that it stands for.
    const name = virtualHost.source.name;
    // xDS v1 names it and its cluster after the service key.
    const cluster = has(clusterName(port, "", name.slice(0, name.lastIndexOf(":")))) ?? has(`out.${name}`);
    if (cluster !== undefined) return { cluster, virtualHost };
  }
  for (const spelling of spellings) {
    const cluster = has(clusterName(port, "", spelling));
    if (cluster !== undefined) return { cluster };
  }
  for (const name of coveringNames(host)) {
    const cluster = has(clusterName(port, "", name));
    if (cluster !== undefined) return { cluster };
  }
  return undefined;
}

/** What the client's first bytes tell; undefined stands for a connection that is not TLS. */
export interface SeenHello {
  readonly serverName: string;
  readonly applicationProtocols: readonly string[];
}

export interface L4Choice {
  readonly cluster: string;
  readonly tcp: TcpProxy;
  readonly chain: FilterChain;
  readonly listener: Listener;
  readonly origin: Origin | undefined;
}

export interface L4Target {
  readonly listener: Listener;
  /** Those that may decide, the default chain last. */
  readonly chains: readonly FilterChain[];
  /** Server name, ALPN or plainness of the connection matter: read its first bytes before choosing. */
  readonly needsHello: boolean;
  /** The chain for a connection; undefined when none takes it. `source`: address of the client, for chains that ask for it. */
  match(hello: SeenHello | undefined, source?: string): FilterChain | undefined;
  /** The same, with one of its clusters; `random` in [0, 1). Undefined: the connection is closed (flag NR). */
  choose(hello: SeenHello | undefined, random: number, source?: string): L4Choice | undefined;
}

export interface L4Tables {
  readonly empty: boolean;
  /** Some listener of that port stands at an address of its own. */
  hasAddresses(port: number): boolean;
  find(question: L4Question): L4Target | undefined;
}

const EMPTY: L4Tables = { empty: true, hasAddresses: () => false, find: () => undefined };
const byListeners = new WeakMap<ReadonlyMap<string, Listener>, L4Tables>();

/** Made when first asked for, and kept as long as the listeners stay the same. */
export function l4TablesOf(program: Pick<Program, "listeners">): L4Tables {
  const { listeners } = program;
  if (listeners === undefined || listeners.size === 0) return EMPTY;
  let tables = byListeners.get(listeners);
  if (tables === undefined) byListeners.set(listeners, tables = new Tables(listeners));
  return tables;
}

const ANY_ADDRESSES = new Set(["0.0.0.0", "::"]);

class Tables implements L4Tables {
  readonly empty: boolean;
  /** `ADDRESS PORT`, the address in normal spelling. */
  readonly #byAddress = new Map<string, Listener>();
  readonly #addressedPorts = new Set<number>();
  /** `SERVICE PORT`: the first listener that holds chains of the service; its own one before a shared one. */
  readonly #byService = new Map<string, Listener>();
  /** `HOST PORT` by the cluster that a chain leads to; `rank` 2: the host's own cluster, 1: part of it. */
  readonly #byCluster = new Map<string, { readonly listener: Listener; readonly rank: number }>();

  constructor(listeners: ReadonlyMap<string, Listener>) {
    for (const listener of listeners.values()) {
      if (listener.trafficDirection === "INBOUND" || listener.useOriginalDst === true) continue;
      const chains = chainsOf(listener);
      if (chains.length === 0) continue;
      const { port } = listener;
      for (const text of [listener.address, ...listener.additionalAddresses ?? []]) {
        this.#byAddress.set(`${normalAddress(text) ?? text} ${port}`, listener);
        if (!ANY_ADDRESSES.has(text)) this.#addressedPorts.add(port);
      }
      for (const { tcp, service } of chains) {
        if (service !== undefined) {
          const key = `${service} ${port}`;
          if (!this.#byService.has(key) || listener.address === service) this.#byService.set(key, listener);
          continue;
        }
        for (const { host, rank } of hostsOf(tcp, port)) {
          const key = `${host} ${port}`;
          if ((this.#byCluster.get(key)?.rank ?? 0) < rank) this.#byCluster.set(key, { listener, rank });
        }
      }
    }
    this.empty = this.#byAddress.size === 0;
  }

  hasAddresses(port: number): boolean {
    return this.#addressedPorts.has(port);
  }

  find(question: L4Question): L4Target | undefined {
    if (this.empty) return undefined;
    const { port } = question;
    const address = normalAddress(question.host);
    if (address !== undefined) return this.#byIp(address, port);
    for (const spelling of question.spellings) {
      for (const name of coveringNames(spelling)) {
        const listener = this.#byService.get(`${name} ${port}`);
        if (listener !== undefined) {
          return new Target(listener, chainsOf(listener).filter((c) => c.service === name), {
            port,
            own: name,
            address: ownAddress(listener),
          });
        }
      }
    }
    for (const known of question.addresses ?? []) {
      const normal = normalAddress(known) ?? known;
      const listener = this.#byAddress.get(`${normal} ${port}`);
      if (listener !== undefined) {
        return new Target(listener, chainsOf(listener), { port, own: undefined, address: normal });
      }
    }
    for (const spelling of question.spellings) {
      for (const name of coveringNames(spelling)) {
        const listener = this.#byCluster.get(`${name} ${port}`)?.listener;
        if (listener === undefined) continue;
        const shared = ANY_ADDRESSES.has(listener.address);
        const chains = chainsOf(listener);
        // What a shared listener holds for everything may belong to another service.
        const own = shared ? chains.filter((c) => c.match !== undefined || leadsTo(c, name, port)) : chains;
        return new Target(listener, own, { port, own: name, address: ownAddress(listener) });
      }
    }
    return this.#byServerName(question);
  }

  #byIp(address: string, port: number): L4Target | undefined {
    const own = this.#byAddress.get(`${address} ${port}`);
    if (own !== undefined && !ANY_ADDRESSES.has(address)) {
      return new Target(own, chainsOf(own), { port, own: undefined, address });
    }
    for (const any of ANY_ADDRESSES) {
      const listener = this.#byAddress.get(`${any} ${port}`);
      if (listener === undefined) continue;
      const chains = chainsOf(listener).filter((c) =>
        c.match?.prefixRanges !== undefined
          ? c.match.prefixRanges.some((range) => contains(parseRange(range), address))
          : c.match?.serverNames !== undefined
      );
      if (chains.length > 0) return new Target(listener, chains, { port, own: undefined, address });
    }
    return undefined;
  }

  #byServerName({ spellings, port }: L4Question): L4Target | undefined {
    for (const any of ANY_ADDRESSES) {
      const listener = this.#byAddress.get(`${any} ${port}`);
      if (listener === undefined) continue;
      const chains = chainsOf(listener).filter((c) => c.match?.serverNames !== undefined);
      const named = chains.some((c) =>
        c.match?.serverNames?.some((name) => spellings.some((s) => serverNameLength(name, s) >= 0))
      );
      if (named) {
        return new Target(listener, chains, { port, own: undefined, address: undefined });
      }
    }
    return undefined;
  }
}

/** Chains with a TCP proxy, the default chain last. */
function chainsOf(listener: Listener): readonly FilterChain[] {
  const all = listener.defaultFilterChain === undefined
    ? listener.filterChains
    : [...listener.filterChains, listener.defaultFilterChain];
  return all.filter((chain) => chain.tcp !== undefined);
}

function ownAddress(listener: Listener): string | undefined {
  return ANY_ADDRESSES.has(listener.address) ? undefined : normalAddress(listener.address);
}

/** The name, then each wildcard above it, longest first. */
function* coveringNames(name: string): Generator<string> {
  yield name;
  for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) yield `*${name.slice(dot)}`;
}

/** Hosts of the clusters that a chain leads to on the listener's port. */
function* hostsOf(tcp: TcpProxy | undefined, port: number): Generator<{ host: string; rank: number }> {
  if (tcp?.cluster !== undefined) {
    const parts = parseClusterName(tcp.cluster);
    if (parts?.port === port) yield { host: parts.host, rank: parts.subset === "" ? 3 : 2 };
    return;
  }
  for (const { name, weight } of tcp?.weightedClusters ?? []) {
    const parts = parseClusterName(name);
    if (parts?.port === port) yield { host: parts.host, rank: 1 + weight / 1e9 };
  }
}

function leadsTo(chain: FilterChain, host: string, port: number): boolean {
  for (const found of hostsOf(chain.tcp, port)) if (found.host === host) return true;
  return false;
}

/** How much of `host` a server name of a chain (`a.b`, `*.b`) tells; -1 when it does not cover it. Exact beats everything. */
function serverNameLength(name: string, host: string): number {
  const pattern = name.toLowerCase();
  if (pattern === host) return Infinity;
  if (pattern.startsWith("*.") && host.endsWith(pattern.slice(1))) return pattern.length;
  return pattern === "*" ? 0 : -1;
}

interface TargetOptions {
  readonly port: number;
  /** The service that was asked for, when it is certain. */
  readonly own: string | undefined;
  /** The destination address; undefined = only a name is known. */
  readonly address: string | undefined;
}

class Target implements L4Target {
  readonly listener: Listener;
  readonly chains: readonly FilterChain[];
  readonly needsHello: boolean;
  readonly #fallback: FilterChain | undefined;
  /** The chain that stands for the service itself: its name or range stands in for an address, which is not wanted here. */
  readonly #plain: FilterChain | undefined;
  /** Chains that may take a connection away from {@link #plain}. */
  readonly #rivals: readonly FilterChain[];
  readonly #address: string | undefined;

  constructor(listener: Listener, chains: readonly FilterChain[], options: TargetOptions) {
    this.listener = listener;
    this.#address = options.address;
    const last = listener.defaultFilterChain?.tcp === undefined ? undefined : listener.defaultFilterChain;
    // What is left over goes to the default chain, unless that is another service's.
    const everyone = last !== undefined && parseClusterName(last.tcp?.cluster ?? "") === undefined &&
      last.tcp?.weightedClusters === undefined;
    this.#fallback = last !== undefined && (everyone || chains.includes(last)) ? last : undefined;
    const others = chains.filter((c) => c !== last);
    this.chains = this.#fallback === undefined ? others : [...others, this.#fallback];
    const plain = options.own === undefined ? undefined : others.find((c) => isPlain(c, options));
    this.#plain = plain;
    // A control plane gives a service such a chain only where no rule holds.
    this.#rivals = plain === undefined
      ? others
      : others.filter((c) => c !== plain && c.service !== undefined && c.service === plain.service);
    this.needsHello = this.#rivals.some(({ match }) =>
      match?.serverNames !== undefined || match?.transportProtocol !== undefined ||
      match?.applicationProtocols !== undefined
    );
  }

  match(hello: SeenHello | undefined, source?: string): FilterChain | undefined {
    let left = this.#rivals;
    left = most(left, ({ match }) => {
      if (match?.destinationPort === undefined) return 0;
      return match.destinationPort === this.listener.port ? 1 : -1;
    });
    left = most(left, ({ match, servicePrefix }) => {
      const ranges = match?.prefixRanges;
      if (ranges === undefined) return 0;
      if (this.#address !== undefined) return prefixLength(ranges, this.#address);
      return servicePrefix === undefined ? -1 : 1 + servicePrefix;
    });
    left = most(left, ({ match }) => {
      if (match?.serverNames === undefined) return 0;
      if (hello === undefined || hello.serverName === "") return -1;
      const lengths = match.serverNames.map((name) => serverNameLength(name, hello.serverName));
      return Math.max(...lengths.map((length) => length < 0 ? -1 : length + 1));
    });
    left = most(left, ({ match }) => {
      if (match?.transportProtocol === undefined) return 0;
      return match.transportProtocol === (hello === undefined ? "raw_buffer" : "tls") ? 1 : -1;
    });
    left = most(left, ({ match }) => {
      if (match?.applicationProtocols === undefined) return 0;
      return match.applicationProtocols.some((p) => hello?.applicationProtocols.includes(p)) ? 1 : -1;
    });
    left = most(left, ({ match }) => {
      if (match?.sourcePrefixRanges === undefined) return 0;
      return source === undefined ? -1 : prefixLength(match.sourcePrefixRanges, source);
    });
    return left[0] ?? this.#plain ?? this.#fallback;
  }

  choose(hello: SeenHello | undefined, random: number, source?: string): L4Choice | undefined {
    const chain = this.match(hello, source);
    const tcp = chain?.tcp;
    if (chain === undefined || tcp === undefined) return undefined;
    const cluster = tcp.cluster ?? pickWeighted(tcp.weightedClusters ?? [], random);
    if (cluster === undefined) return undefined;
    return { cluster, tcp, chain, listener: this.listener, origin: chain.origin ?? this.listener.origin };
  }
}

/** Of the longest range that holds the address, plus one; -1 when none does. */
function prefixLength(ranges: readonly string[], address: string): number {
  let longest = -1;
  for (const text of ranges) {
    const range = parseRange(text);
    if (contains(range, address)) longest = Math.max(longest, 1 + (range?.length ?? 0));
  }
  return longest;
}

/** Leads to the whole service and asks for its own name, or its address that is not known; a control plane does not say whether a rule has it so. */
function isPlain({ match, tcp, service, ruleless }: FilterChain, { own, port }: TargetOptions): boolean {
  const names = match?.serverNames;
  const named = names?.length === 1 && names[0] === own;
  if (service !== undefined) return ruleless === true && named;
  const parts = parseClusterName(tcp?.cluster ?? "");
  if (parts === undefined || parts.host !== own || parts.port !== port || parts.subset !== "") return false;
  return names === undefined ? match?.prefixRanges !== undefined : named;
}

/** Those with the highest rank; ones below 0 do not match. */
function most(
  chains: readonly FilterChain[],
  rankOf: (chain: FilterChain) => number,
): readonly FilterChain[] {
  let best: FilterChain[] = [];
  let highest = 0;
  for (const chain of chains) {
    const rank = rankOf(chain);
    if (rank < highest || rank < 0) continue;
    if (rank > highest) best = [];
    highest = rank;
    best.push(chain);
  }
  return best;
}

function pickWeighted(
  clusters: readonly { readonly name: string; readonly weight: number }[],
  random: number,
): string | undefined {
  let total = 0;
  for (const { weight } of clusters) total += weight;
  let left = random * total;
  let last: string | undefined;
  for (const { name, weight } of clusters) {
    if (weight <= 0) continue;
    last = name;
    left -= weight;
    if (left < 0) return name;
  }
  return last;
}
