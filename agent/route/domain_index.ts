/**
 * The domains of one table: host to value, in Envoy's order (exact, longest suffix wildcard, longest prefix wildcard,
 * `*`). Immutable; {@link DomainIndex.patched} makes a changed one that shares all but the changes.
 *
 * A look-up costs one map access for an exact host and one per label for a wildcard, whatever their number.
 *
 * @example
 * ```ts
 * import { DomainIndex } from "./domain_index.ts";
 * const index = DomainIndex.build([[["reviews", "*.shop.com"], "a"], [["*"], "b"]]);
 * index.find("eu.shop.com"); // "a"
 * index.find("other"); // undefined: index.any is "b"
 * ```
 */

/** Changes over a shared base; folded into a new base when they grow. */
class LayeredMap<V> {
  readonly #base: ReadonlyMap<string, V>;
  readonly #over: ReadonlyMap<string, V | undefined> | undefined;

  constructor(base: ReadonlyMap<string, V>, over?: ReadonlyMap<string, V | undefined>) {
    this.#base = base;
    this.#over = over;
  }

  get(key: string): V | undefined {
    if (this.#over !== undefined) {
      const value = this.#over.get(key);
      if (value !== undefined) return value;
      if (this.#over.has(key)) return undefined;
    }
    return this.#base.get(key);
  }

  get maybeFilled(): boolean {
    return this.#base.size > 0 || this.#over !== undefined;
  }

  with(changes: ReadonlyMap<string, V | undefined>): LayeredMap<V> {
    if (changes.size === 0) return this;
    const over = new Map(this.#over);
    for (const [key, value] of changes) over.set(key, value);
    if (over.size < 64 + this.#base.size / 8) return new LayeredMap(this.#base, over);
    const base = new Map(this.#base);
    for (const [key, value] of over) {
      if (value === undefined) base.delete(key);
      else base.set(key, value);
    }
    return new LayeredMap(base);
  }
}

/** What a domain text means. `host` parts have IPv6 brackets and one trailing dot taken off. */
export type Domain =
  | { readonly kind: "exact" | "labels" | "suffix" | "prefix"; readonly key: string }
  | { readonly kind: "any" };

export function parseDomain(text: string): Domain {
  const domain = text.toLowerCase();
  if (domain === "*") return { kind: "any" };
  if (domain.startsWith("*")) {
    const key = withoutTrailingDot(domain.slice(1));
    return { kind: key.startsWith(".") ? "labels" : "suffix", key };
  }
  if (domain.endsWith("*")) return { kind: "prefix", key: domain.slice(0, -1) };
  return { kind: "exact", key: withoutTrailingDot(withoutBrackets(domain)) };
}

function withoutBrackets(domain: string): string {
  if (!domain.startsWith("[")) return domain;
  const m = /^\[([0-9a-f:.]+)\](:\d+)?$/.exec(domain);
  return m === null ? domain : m[2] === undefined ? m[1] as string : domain;
}

function withoutTrailingDot(domain: string): string {
  if (domain.endsWith(".")) return domain.slice(0, -1);
  return domain.includes(".:") ? domain.replace(/\.(:\d+)$/, "$1") : domain;
}

/** One value under several domains; the first of two values that claim a domain keeps it. */
export type DomainEntry<V> = readonly [domains: readonly string[], value: V];

interface Layers<V> {
  readonly exact: LayeredMap<V>;
  /** `*.x`: key `.x`. */
  readonly labels: LayeredMap<V>;
  /** `*-x`, `*x`: key without the star. */
  readonly suffix: LayeredMap<V>;
  readonly prefix: LayeredMap<V>;
}

const KINDS = ["exact", "labels", "suffix", "prefix"] as const;

/** What else an index knows of its keys. All may hold what no key has any more. */
interface Traits {
  /** Descending. */
  readonly suffixLengths: readonly number[];
  readonly prefixLengths: readonly number[];
  readonly ports: ReadonlySet<number>;
}

/** Makes an index domain by domain, so that a large one can be made in pieces. */
export class DomainIndexBuilder<V> {
  readonly #maps = {
    exact: new Map<string, V>(),
    labels: new Map<string, V>(),
    suffix: new Map<string, V>(),
    prefix: new Map<string, V>(),
  };
  readonly #ports = new Set<number>();
  #any: V | undefined;
  #contested = false;

  add(domains: readonly string[], value: V): void {
    for (const text of domains) {
      const domain = parseDomain(text);
      if (domain.kind === "any") {
        if (this.#any !== undefined && this.#any !== value) this.#contested = true;
        this.#any ??= value;
        continue;
      }
      const { kind, key } = domain;
      const map = this.#maps[kind];
      const holder = map.get(key);
      if (holder !== undefined) {
        if (holder !== value) this.#contested = true;
        continue;
      }
      map.set(key, value);
      if (kind === "exact") notePort(key, this.#ports);
    }
  }

  /** Add nothing after it. */
  build(): DomainIndex<V> {
    const { exact, labels, suffix, prefix } = this.#maps;
    const layers = {
      exact: new LayeredMap(exact),
      labels: new LayeredMap(labels),
      suffix: new LayeredMap(suffix),
      prefix: new LayeredMap(prefix),
    };
    return new DomainIndex(layers, this.#any, this.#contested, {
      suffixLengths: lengthsOf(suffix.keys()),
      prefixLengths: lengthsOf(prefix.keys()),
      ports: this.#ports,
    });
  }
}

export class DomainIndex<V> {
  /** The value of `*`. */
  readonly any: V | undefined;
  /** Two values claimed one domain: only a full build can tell who gets it next. */
  readonly contested: boolean;
  readonly #layers: Layers<V>;
  readonly #traits: Traits;

  /** For {@link DomainIndexBuilder}. */
  constructor(layers: Layers<V>, any: V | undefined, contested: boolean, traits: Traits) {
    this.#layers = layers;
    this.any = any;
    this.contested = contested;
    this.#traits = traits;
  }

  static build<V>(entries: Iterable<DomainEntry<V>>): DomainIndex<V> {
    const builder = new DomainIndexBuilder<V>();
    for (const [domains, value] of entries) builder.add(domains, value);
    return builder.build();
  }

  /** Longest match, `*` left out; `host` is lower-case, without brackets and trailing dot. */
  find(host: string): V | undefined {
    const layers = this.#layers;
    const exact = layers.exact.get(host);
    if (exact !== undefined) return exact;
    let best: V | undefined;
    let bestLength = 0;
    if (layers.labels.maybeFilled) {
      // Left to right, so the first hit is the longest; the star must stand for at least one character.
      for (let dot = host.indexOf(".", 1); dot > 0; dot = host.indexOf(".", dot + 1)) {
        best = layers.labels.get(host.slice(dot));
        if (best !== undefined) {
          bestLength = host.length - dot;
          break;
        }
      }
    }
    for (const length of this.#traits.suffixLengths) {
      if (length <= bestLength) break;
      if (length >= host.length) continue;
      const value = layers.suffix.get(host.slice(host.length - length));
      if (value !== undefined) return value;
    }
    if (best !== undefined) return best;
    for (const length of this.#traits.prefixLengths) {
      if (length >= host.length) continue;
      const value = layers.prefix.get(host.slice(0, length));
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /** Ports with which the host stands in an exact domain of its own (`host:port`). */
  *portsOf(host: string): Generator<number> {
    const prefix = host.includes(":") ? `[${host}]:` : `${host}:`;
    for (const port of this.#traits.ports) {
      if (this.#layers.exact.get(prefix + port) !== undefined) yield port;
    }
  }

  /**
   * The index after taking `removed` out and putting `added` in, or undefined when only a full build can tell (a domain
   * is claimed twice).
   */
  patched(removed: Iterable<DomainEntry<V>>, added: Iterable<DomainEntry<V>>): DomainIndex<V> | undefined {
    if (this.contested) return undefined;
    const changes = {
      exact: new Map<string, V | undefined>(),
      labels: new Map<string, V | undefined>(),
      suffix: new Map<string, V | undefined>(),
      prefix: new Map<string, V | undefined>(),
    };
    const { suffixLengths, prefixLengths } = this.#traits;
    const ports = new Set(this.#traits.ports);
    let any = this.any;
    for (const [domains] of removed) {
      for (const text of domains) {
        const domain = parseDomain(text);
        if (domain.kind === "any") any = undefined;
        else changes[domain.kind].set(domain.key, undefined);
      }
    }
    for (const [domains, value] of added) {
      for (const text of domains) {
        const domain = parseDomain(text);
        if (domain.kind === "any") {
          if (any !== undefined && any !== value) return undefined;
          any = value;
          continue;
        }
        const { kind, key } = domain;
        if (kind === "exact") notePort(key, ports);
        const holder = changes[kind].has(key) ? changes[kind].get(key) : this.#layers[kind].get(key);
        if (holder !== undefined && holder !== value) return undefined;
        changes[kind].set(key, value);
      }
    }
    const layers = { ...this.#layers };
    for (const kind of KINDS) layers[kind] = this.#layers[kind].with(changes[kind]);
    return new DomainIndex(layers, any, false, {
      suffixLengths: merged(suffixLengths, changes.suffix),
      prefixLengths: merged(prefixLengths, changes.prefix),
      ports,
    });
  }
}

function lengthsOf(keys: Iterable<string>): number[] {
  return [...new Set(Array.from(keys, (k) => k.length))].sort((a, b) => b - a);
}

function merged(lengths: readonly number[], changes: ReadonlyMap<string, unknown>): readonly number[] {
  if (changes.size === 0) return lengths;
  return [...new Set([...lengths, ...lengthsOf(changes.keys())])].sort((a, b) => b - a);
}

/** The port that an exact domain ends with, if it does. */
function notePort(key: string, ports: Set<number>): void {
  const colon = key.lastIndexOf(":");
  if (colon <= 0 || key.length - colon > 6) return;
  const port = Number(key.slice(colon + 1));
  if (Number.isInteger(port)) ports.add(port);
}
