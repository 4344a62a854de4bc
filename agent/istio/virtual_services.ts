/**
 * The VirtualServices that a sidecar sees: which one holds for a host, and its routes for a port (istio-semantics 1.2, 1.3).
 *
 * In: documents, one by one as they come and go. Out: {@link Rule}s in Istio's order; routes are lowered when first asked for
 * and kept until the rule, a delegate of it or the hashing of a destination changes.
 */
import type { HashPolicy, Route } from "../model/model.ts";
import { delegatesOf, httpEntries, type VirtualServiceDocument } from "./delegate.ts";
import { fullHost, hostsOverlap, isWildcard } from "./host_pattern.ts";
import { HostIndex } from "./hosts.ts";
import { MESH } from "./lower_match.ts";
import { type HttpEntry, lowerRoutes } from "./lower_route.ts";
import { compareDocuments, exportedTo, visibilityRank } from "./order.ts";
import { type Places, placesOf } from "./origin.ts";
import type { ProxyContext } from "./resources.ts";

/** A VirtualService in use. */
export interface Rule {
  readonly document: VirtualServiceDocument;
  /** Full names in lower case. */
  readonly hosts: readonly string[];
  readonly rank: number;
  /** Full names of destinations in lower case, mirrors left out. */
  readonly destinations: ReadonlySet<string>;
  /** The same of its `tls` and `tcp` routes. */
  readonly l4Destinations: ReadonlySet<string>;
  /** By port; no routes = the rule says nothing there. */
  readonly routes: Map<number, readonly Route[]>;
}

const NONE: ReadonlySet<string> = new Set();

export type HashPolicyOf = (host: string, subset: string, port: number | undefined) => HashPolicy | undefined;

export function compareRules(a: Rule, b: Rule): number {
  return a.rank === b.rank ? compareDocuments(a.document, b.document) : a.rank - b.rank;
}

export class VirtualServices {
  readonly #proxy: ProxyContext;
  readonly #hashPolicyOf: HashPolicyOf;
  readonly #byKey = new Map<string, VirtualServiceDocument>();
  readonly #rules = new Map<string, Rule>();
  readonly #byHost = new HostIndex<Rule[]>();
  /** Keys of roots by key of delegate. */
  readonly #roots = new Map<string, Set<string>>();
  readonly #byDestination = new Map<string, Set<string>>();
  readonly #byL4Destination = new Map<string, Set<string>>();

  constructor(proxy: ProxyContext, hashPolicyOf: HashPolicyOf) {
    this.#proxy = proxy;
    this.#hashPolicyOf = hashPolicyOf;
  }

  /** Applies changes; returns every rule that is gone, new or different now: before and after. */
  update(
    changes: readonly (readonly [VirtualServiceDocument | undefined, VirtualServiceDocument | undefined])[],
    touchedDestinations: Iterable<string>,
  ): { readonly before: readonly Rule[]; readonly after: readonly Rule[] } {
    const touched = new Set<string>();
    for (const [before, after] of changes) {
      const key = keyOf((after ?? before) as VirtualServiceDocument);
      touched.add(key);
      for (const root of this.#roots.get(key) ?? []) touched.add(root);
      if (after === undefined) this.#byKey.delete(key);
      else this.#byKey.set(key, after);
    }
    for (const host of touchedDestinations) {
      for (const key of this.#byDestination.get(host) ?? []) touched.add(key);
    }
    const before: Rule[] = [];
    const after: Rule[] = [];
    for (const key of touched) {
      const old = this.#rules.get(key);
      if (old !== undefined) {
        before.push(old);
        this.#drop(key, old);
      }
    }
    for (const key of touched) {
      const document = this.#byKey.get(key);
      const rule = document === undefined ? undefined : this.#makeRule(document);
      if (rule === undefined) continue;
      after.push(rule);
      this.#take(key, rule);
    }
    return { before, after };
  }

  /**
   * The rule of a service on a port, with its routes: of the rules that name it exactly the first that has routes there; only
   * when none names it, the first of the longest wildcard.
   */
  ruleFor(
    host: string,
    port: number,
  ): { readonly rule: Rule; readonly routes: readonly Route[] } | undefined {
    const exact = this.#byHost.get(host);
    if (exact !== undefined) {
      for (const rule of exact) {
        const routes = this.routesOf(rule, port);
        if (routes.length > 0) return { rule, routes };
      }
      return undefined;
    }
    const rule = this.#byHost.widest(host)?.[0];
    if (rule === undefined) return undefined;
    const routes = this.routesOf(rule, port);
    return routes.length === 0 ? undefined : { rule, routes };
  }

  /** Whether the rule is the one that Istio's index gives for a host under a wildcard. */
  ownsByWildcard(rule: Rule, host: string): boolean {
    return this.#byHost.get(host) === undefined && this.#byHost.widest(host)?.[0] === rule;
  }

  /** Rules that name this host, or a wildcard that covers it. */
  *naming(host: string): Generator<Rule> {
    yield* this.#byHost.get(host) ?? [];
    for (const [pattern, rules] of this.#byHost.wildcards()) {
      if (pattern !== host && host.endsWith(pattern.slice(1))) yield* rules;
    }
  }

  /** Rules with `tls` or `tcp` routes for the host, exactly or by a wildcard on either side, in Istio's order. */
  l4RulesFor(host: string): Rule[] {
    const found = new Set<Rule>();
    const note = (rules: Iterable<Rule>): void => {
      for (const rule of rules) if (rule.l4Destinations.size > 0) found.add(rule);
    };
    if (isWildcard(host)) {
      for (const rule of this.#rules.values()) {
        if (rule.hosts.some((h) => hostsOverlap(h, host))) note([rule]);
      }
    } else note(this.naming(host));
    return found.size < 2 ? [...found] : [...found].sort(compareRules);
  }

  /** Rules whose `tls` or `tcp` routes lead to the host. */
  *l4RulesTo(host: string): Generator<Rule> {
    for (const key of this.#byL4Destination.get(host) ?? []) {
      const rule = this.#rules.get(key);
      if (rule !== undefined) yield rule;
    }
  }

  /** Rules that name a wildcard. */
  *wild(): Generator<Rule> {
    for (const [, rules] of this.#byHost.wildcards()) yield* rules;
  }

  routesOf(rule: Rule, port: number): readonly Route[] {
    let routes = rule.routes.get(port);
    if (routes === undefined) {
      const input = { port, proxy: this.#proxy, hashPolicyOf: this.#hashPolicyOf };
      rule.routes.set(port, routes = lowerRoutes(this.#entriesOf(rule.document), input));
    }
    return routes;
  }

  #entriesOf(document: VirtualServiceDocument): HttpEntry[] {
    const places = new Map<VirtualServiceDocument, Places>();
    return httpEntries(document, {
      domainSuffix: this.#proxy.domainSuffix,
      placeIn: (d) => {
        let place = places.get(d);
        if (place === undefined) places.set(d, place = placesOf(d));
        return place;
      },
      find: (key) => {
        const delegate = this.#byKey.get(key);
        if (delegate === undefined || (delegate.spec.hosts ?? []).length > 0) return undefined;
        return exportedTo(delegate.spec.exportTo, delegate.namespace, document.namespace)
          ? delegate
          : undefined;
      },
    });
  }

  /** Undefined for what no sidecar in this place uses: delegates, gateways' rules, rules not exported to it. */
  #makeRule(document: VirtualServiceDocument): Rule | undefined {
    const { spec, namespace } = document;
    const hosts = spec.hosts ?? [];
    if (hosts.length === 0) return undefined;
    const gateways = spec.gateways ?? [];
    if (gateways.length > 0 && !gateways.includes(MESH)) return undefined;
    if (!exportedTo(spec.exportTo, namespace, this.#proxy.namespace)) return undefined;
    const full = (host: string) => fullHost(host, namespace, this.#proxy.domainSuffix).toLowerCase();
    return {
      document,
      hosts: hosts.length === 1 ? [full(hosts[0] ?? "")] : [...new Set(hosts.map(full))],
      rank: visibilityRank(spec.exportTo, namespace, this.#proxy.namespace),
      destinations: this.#destinationsOf(document),
      l4Destinations: this.#l4DestinationsOf(document),
      routes: new Map(),
    };
  }

  #destinationsOf(document: VirtualServiceDocument): Set<string> {
    const hosts = new Set<string>();
    const collect = (d: VirtualServiceDocument): void => {
      for (const route of d.spec.http ?? []) {
        for (const r of route?.route ?? []) {
          const host = r?.destination?.host;
          if (host) hosts.add(fullHost(host, d.namespace, this.#proxy.domainSuffix).toLowerCase());
        }
      }
    };
    collect(document);
    for (const key of delegatesOf(document)) {
      const delegate = this.#byKey.get(key);
      if (delegate !== undefined) collect(delegate);
    }
    return hosts;
  }

  #l4DestinationsOf({ spec, namespace }: VirtualServiceDocument): ReadonlySet<string> {
    if (spec.tls === undefined && spec.tcp === undefined) return NONE;
    const hosts = new Set<string>();
    for (const { route } of [...spec.tls ?? [], ...spec.tcp ?? []]) {
      for (const r of route ?? []) {
        const host = r?.destination?.host;
        if (host) hosts.add(fullHost(host, namespace, this.#proxy.domainSuffix).toLowerCase());
      }
    }
    return hosts;
  }

  #take(key: string, rule: Rule): void {
    this.#rules.set(key, rule);
    for (const host of rule.hosts) {
      const known = this.#byHost.get(host);
      if (known === undefined) this.#byHost.set(host, [rule]);
      else {
        known.push(rule);
        known.sort(compareRules);
      }
    }
    for (const delegate of delegatesOf(rule.document)) addTo(this.#roots, delegate, key);
    for (const host of rule.destinations) addTo(this.#byDestination, host, key);
    for (const host of rule.l4Destinations) addTo(this.#byL4Destination, host, key);
  }

  #drop(key: string, rule: Rule): void {
    this.#rules.delete(key);
    for (const host of rule.hosts) {
      const known = this.#byHost.get(host);
      if (known === undefined) continue;
      known.splice(known.indexOf(rule), 1);
      if (known.length === 0) this.#byHost.delete(host);
    }
    for (const delegate of delegatesOf(rule.document)) removeFrom(this.#roots, delegate, key);
    for (const host of rule.destinations) removeFrom(this.#byDestination, host, key);
    for (const host of rule.l4Destinations) removeFrom(this.#byL4Destination, host, key);
  }
}

function keyOf(document: VirtualServiceDocument): string {
  return `${document.namespace}/${document.name}`;
}

function addTo(index: Map<string, Set<string>>, key: string, value: string): void {
  const set = index.get(key);
  if (set === undefined) index.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom(index: Map<string, Set<string>>, key: string, value: string): void {
  const set = index.get(key);
  if (set === undefined) return;
  set.delete(value);
  if (set.size === 0) index.delete(key);
}
