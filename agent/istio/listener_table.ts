/**
 * Listeners of the ports that carry more than HTTP, as istiod builds them for a sidecar: `ADDRESS_PORT` for a service with an
 * address of its own, `0.0.0.0_PORT` for all others of the port together.
 *
 * In: chains as hosts are recompiled. Out: listeners by name, unchanged ones shared. Where Istio drops a chain because another
 * service without an address has the same conditions, a listener `HOST_PORT` holds the chains of the later one: who names the
 * host in CONNECT needs no address to be told apart.
 */
import { BLACKHOLE_CLUSTER, type FilterChain, type Listener, PASSTHROUGH_CLUSTER } from "../model/model.ts";
import type { ProxyContext } from "./resources.ts";
import { share } from "./share.ts";

/** The chains of one port of one service. */
export interface PortChains {
  readonly host: string;
  readonly port: number;
  /** `0.0.0.0` = the service has no address of its own. */
  readonly bind: string;
  /** Of the service's address, when that is a range. */
  readonly ranges: readonly string[];
  readonly chains: readonly FilterChain[];
}

type Place = Pick<PortChains, "bind" | "port">;

export class ListenerTable {
  readonly #last: FilterChain;
  /** By listener name `BIND_PORT`, then by service and range. */
  readonly #groups = new Map<string, Map<string, PortChains>>();
  readonly #touched = new Set<string>();
  /** Names that a group made when it was last assembled. */
  readonly #made = new Map<string, readonly Listener[]>();
  #listeners: ReadonlyMap<string, Listener> = new Map();

  constructor(policy: ProxyContext["outboundTrafficPolicy"]) {
    const cluster = policy === "REGISTRY_ONLY" ? BLACKHOLE_CLUSTER : PASSTHROUGH_CLUSTER;
    this.#last = { name: "PassthroughFilterChain", match: {}, tcp: { statPrefix: cluster, cluster } };
  }

  replace(before: readonly PortChains[], after: readonly PortChains[]): void {
    for (const old of before) {
      const name = nameOf(old);
      this.#groups.get(name)?.delete(keyOf(old));
      this.#touched.add(name);
    }
    for (const now of after) {
      const name = nameOf(now);
      let group = this.#groups.get(name);
      if (group === undefined) this.#groups.set(name, group = new Map());
      group.set(keyOf(now), now);
      this.#touched.add(name);
    }
  }

  /** The same map as long as nothing changed. */
  listeners(): ReadonlyMap<string, Listener> {
    if (this.#touched.size === 0) return this.#listeners;
    let changed = false;
    for (const name of this.#touched) {
      const before = this.#made.get(name) ?? [];
      const group = this.#groups.get(name);
      const made = group === undefined || group.size === 0 ? [] : this.#assemble(name, group, before);
      if (made.length === 0) {
        this.#groups.delete(name);
        this.#made.delete(name);
      } else this.#made.set(name, made);
      if (made.length !== before.length || made.some((l, i) => l !== before[i])) changed = true;
    }
    this.#touched.clear();
    if (changed) {
      const map = new Map<string, Listener>();
      for (const name of [...this.#made.keys()].sort()) {
        for (const listener of this.#made.get(name) as readonly Listener[]) map.set(listener.name, listener);
      }
      this.#listeners = map;
    }
    return this.#listeners;
  }

  #assemble(name: string, group: ReadonlyMap<string, PortChains>, before: readonly Listener[]): Listener[] {
    const known = new Map(before.map((l) => [l.name, l]));
    const claimed = new Set<string>();
    const shared: FilterChain[] = [];
    const made: Listener[] = [];
    let first: PortChains | undefined;
    const push = (listenerName: string, at: Place, chains: readonly FilterChain[]): void => {
      made.push(share(known.get(listenerName), this.#listener(listenerName, at, chains)));
    };
    for (const key of [...group.keys()].sort()) {
      const entry = group.get(key) as PortChains;
      first ??= entry;
      let conflict = false;
      for (const chain of entry.chains) {
        const condition = JSON.stringify(chain.match ?? {});
        if (claimed.has(condition)) conflict = true;
        else {
          claimed.add(condition);
          shared.push(chain);
        }
      }
      if (conflict) push(`${entry.host}_${entry.port}`, { ...entry, bind: entry.host }, entry.chains);
    }
    if (first !== undefined) push(name, first, shared);
    return made.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  }

  #listener(name: string, { bind, port }: Place, chains: readonly FilterChain[]): Listener {
    const common = {
      name,
      address: bind,
      port,
      trafficDirection: "OUTBOUND",
      bindToPort: false,
    } as const;
    const all = chains.find((chain) => chain.match === undefined);
    const others = chains.filter((chain) => chain !== all);
    if (others.length === 0 && all !== undefined) return { ...common, filterChains: [all] };
    return { ...common, filterChains: others, defaultFilterChain: all ?? this.#last };
  }
}

function nameOf({ bind, port }: PortChains): string {
  return `${bind}_${port}`;
}

function keyOf({ host, ranges }: PortChains): string {
  return `${host} ${ranges.join()}`;
}
