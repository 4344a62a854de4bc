/**
 * Host names of services and rules: the most specific pattern for a host (istio-semantics 0.1), and the names under which a
 * proxy may reach a service (1.6).
 *
 * @example
 * ```ts
 * import { HostIndex, serviceDomains } from "./hosts.ts";
 * const rules = new HostIndex<string>();
 * rules.set("*.shop.com", "all");
 * rules.mostSpecific("eu.shop.com"); // "all"
 * serviceDomains("reviews.default.svc.cluster.local", "default"); // […, "reviews", "reviews.default", …]
 * ```
 */
import { isWildcard } from "./host_pattern.ts";

/** Values by host pattern; an exact name beats any wildcard, the longest wildcard beats the others. */
export class HostIndex<V> {
  readonly #exact = new Map<string, V>();
  readonly #wild = new Map<string, V>();
  /** Lengths of wildcard texts, descending; rebuilt when wildcards come or go. */
  #lengths: readonly number[] | undefined;

  get(pattern: string): V | undefined {
    return (isWildcard(pattern) ? this.#wild : this.#exact).get(pattern);
  }

  set(pattern: string, value: V): void {
    if (!isWildcard(pattern)) {
      this.#exact.set(pattern, value);
    } else {
      if (!this.#wild.has(pattern)) this.#lengths = undefined;
      this.#wild.set(pattern, value);
    }
  }

  delete(pattern: string): void {
    if (!isWildcard(pattern)) this.#exact.delete(pattern);
    else if (this.#wild.delete(pattern)) this.#lengths = undefined;
  }

  exact(host: string): V | undefined {
    return this.#exact.get(host);
  }

  /** The value of the longest wildcard that covers the host; a wildcard covers itself. */
  widest(host: string): V | undefined {
    if (this.#wild.size === 0) return undefined;
    this.#lengths ??= [...new Set(Array.from(this.#wild.keys(), (k) => k.length))].sort((a, b) => b - a);
    const text = isWildcard(host) ? host.slice(1) : host;
    for (const length of this.#lengths) {
      if (length - 1 > text.length) continue;
      const value = this.#wild.get(`*${text.slice(text.length - length + 1)}`);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  mostSpecific(host: string): V | undefined {
    return this.#exact.get(host) ?? this.widest(host);
  }

  /** Values of all wildcard patterns. */
  wildcards(): IterableIterator<[string, V]> {
    return this.#wild.entries();
  }
}

/** Host domain names end in `.svc.SUFFIX`; the short forms a proxy may use leave parts of it out. */
const SVC = ".svc.";

/**
 * Short forms of a service's name for a proxy in `namespace`, longest meaning kept (istio-semantics 1.6): only names
 * `S.N.svc.SUFFIX` have any.
 */
export function alternativeNames(host: string, namespace: string, domainSuffix: string): readonly string[] {
  if (isWildcard(host) || !host.endsWith(`.${domainSuffix}`) || !domainSuffix.startsWith("svc.")) return [];
  const name = host.slice(0, host.length - domainSuffix.length - 1);
  const dot = name.indexOf(".");
  if (dot <= 0 || name.indexOf(".", dot + 1) >= 0) return [];
  const own = name.slice(dot + 1) === namespace;
  return own
    ? [name.slice(0, dot), `${name}${SVC.slice(0, -1)}`, name]
    : [name, `${name}${SVC.slice(0, -1)}`];
}

/** Full names of which `name` could be a short form, for a proxy in `namespace`. */
export function possibleFullNames(name: string, namespace: string, domainSuffix: string): readonly string[] {
  const labels = name.split(".");
  if (labels.length === 1) return [`${name}.${namespace}.${domainSuffix}`];
  if (labels.length === 2) return [`${name}.${domainSuffix}`];
  if (labels.length === 3 && labels[2] === "svc") {
    return [`${labels[0]}.${labels[1]}.${domainSuffix}`];
  }
  return [];
}

const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;

export function isIpAddress(host: string): boolean {
  return host.includes(":") || IPV4.test(host);
}

/** Domains of a service's virtual host: its name with and without a final dot, short forms, addresses. */
export function serviceDomains(
  host: string,
  proxy: { readonly namespace: string; readonly domainSuffix: string },
  addresses: readonly string[] = [],
  isTaken: (name: string) => boolean = () => false,
): string[] {
  const name = host.toLowerCase();
  const domains = [name];
  if (!isIpAddress(name)) domains.push(`${name}.`);
  for (const short of alternativeNames(name, proxy.namespace, proxy.domainSuffix)) {
    if (!isTaken(short)) domains.push(short);
  }
  for (const address of addresses) {
    const ip = address.replace(/\/(32|128)$/, "");
    if (ip === "0.0.0.0" || ip === "::" || ip.includes("/")) continue;
    const domain = ip.includes(":") ? `[${ip.toLowerCase()}]` : ip;
    if (!domains.includes(domain)) domains.push(domain);
  }
  return domains;
}
