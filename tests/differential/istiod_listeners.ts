/** Listeners of istiod (protojson) and ours in one form, what has no part in choosing TCP destinations left out. */
import type { FilterChain, Listener } from "../../agent/model/model.ts";

// Protojson as it is.
// deno-lint-ignore no-explicit-any
type Json = any;

export interface PlainChain {
  readonly match: Readonly<Record<string, unknown>>;
  readonly to: unknown;
  readonly idleTimeout: string | undefined;
  readonly maxDuration: string | undefined;
}

export interface PlainListener {
  readonly address: string;
  readonly chains: readonly PlainChain[];
  readonly last: PlainChain | undefined;
}

/** Listeners with a TCP chain besides the one for what is left over, by name; HTTP chains are compared as route tables. */
export function listenersOfIstiod(answer: Json): Map<string, PlainListener> {
  const out = new Map<string, PlainListener>();
  for (const listener of answer.resources) {
    if (listener.name.startsWith("virtual")) continue;
    const { address, port_value: port } = listener.address.socket_address;
    const chains = (listener.filter_chains ?? []).flatMap((c: Json) => chainOfIstiod(c) ?? []);
    const last = listener.default_filter_chain && chainOfIstiod(listener.default_filter_chain);
    add(out, listener.name, `${address}:${port}`, chains, last);
  }
  return out;
}

function chainOfIstiod(chain: Json): PlainChain | undefined {
  const tcp = chain.filters.at(-1)?.typed_config;
  if (!tcp["@type"].endsWith("TcpProxy")) return undefined;
  const match = chain.filter_chain_match ?? {};
  return {
    match: compact({
      prefixRanges: match.prefix_ranges?.map((r: Json) => `${r.address_prefix}/${r.prefix_len ?? 0}`),
      serverNames: match.server_names,
    }),
    to: tcp.cluster ??
      tcp.weighted_clusters.clusters.map((c: Json) => ({ name: c.name, weight: c.weight })),
    idleTimeout: tcp.idle_timeout,
    maxDuration: tcp.max_downstream_connection_duration,
  };
}

export function listenersOfOurs(listeners: ReadonlyMap<string, Listener>): Map<string, PlainListener> {
  const out = new Map<string, PlainListener>();
  for (const { name, address, port, filterChains, defaultFilterChain } of listeners.values()) {
    const last = defaultFilterChain && chainOfOurs(defaultFilterChain);
    add(out, name, `${address}:${port}`, filterChains.flatMap((c) => chainOfOurs(c) ?? []), last);
  }
  return out;
}

function chainOfOurs({ match, tcp }: FilterChain): PlainChain | undefined {
  if (tcp === undefined) return undefined;
  return {
    match: compact({ prefixRanges: match?.prefixRanges, serverNames: match?.serverNames }),
    to: tcp.cluster ?? tcp.weightedClusters?.map(({ name, weight }) => ({ name, weight })),
    idleTimeout: tcp.idleTimeout,
    maxDuration: tcp.maxDownstreamConnectionDuration,
  };
}

function add(
  out: Map<string, PlainListener>,
  name: string,
  address: string,
  chains: readonly PlainChain[],
  last: PlainChain | undefined,
): void {
  const some = chains.length > 0 || (last !== undefined && !leftOver(last));
  // A port on which one chain takes everything may stand in either place.
  if (!some) return;
  const one = chains.length === 0 && last !== undefined ? [last] : chains;
  const sorted = [...one].sort((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
  out.set(name, { address, chains: sorted, last: one === chains ? last : undefined });
}

function leftOver({ to }: PlainChain): boolean {
  return to === "PassthroughCluster" || to === "BlackHoleCluster";
}

function compact(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined));
}
