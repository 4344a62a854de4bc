/**
 * Which DestinationRule holds for a service, and which policy for one of its clusters (istio-semantics 2.2 and 2.3).
 *
 * In: DestinationRule documents, one by one as they come and go. Out: for a host the merged rule of the nearest namespace; for
 * a port and subset the policy blocks that are in force. Rules of one host in one namespace are merged, nothing else is.
 */
import type { PathPart } from "../core/yaml.ts";
import type { HashPolicy } from "../model/model.ts";
import { fullHost } from "./host_pattern.ts";
import { HostIndex } from "./hosts.ts";
import { normalDuration } from "./lower_values.ts";
import { compareDocuments, exportedTo } from "./order.ts";
import type {
  DestinationRuleSpec,
  LoadBalancerSettings,
  PolicyBlocks,
  ProxyContext,
  RuleDocument,
  Subset,
  TrafficPolicy,
} from "./resources.ts";

/** Istio's default root namespace, whose rules hold for everyone. */
export const ROOT_NAMESPACE = "istio-system";

export type DestinationRuleDocument = RuleDocument<DestinationRuleSpec>;

/** The rules of one host in one namespace as one. */
export interface MergedRule {
  readonly documents: readonly DestinationRuleDocument[];
  readonly trafficPolicy: TrafficPolicy | undefined;
  readonly subsets: readonly MergedSubset[];
  readonly exportTo: readonly string[];
  readonly selector: Readonly<Record<string, string>> | undefined;
}

export interface MergedSubset {
  readonly subset: Subset;
  readonly document: DestinationRuleDocument;
  readonly path: readonly PathPart[];
}

interface Bucket {
  readonly documents: DestinationRuleDocument[];
  merged: readonly MergedRule[] | undefined;
}

export class DestinationRules {
  readonly #proxy: ProxyContext;
  readonly #namespaces = new Map<string, HostIndex<Bucket>>();

  constructor(proxy: ProxyContext) {
    this.#proxy = proxy;
  }

  hostOf(document: DestinationRuleDocument): string {
    return fullHost(document.spec.host, document.namespace, this.#proxy.domainSuffix);
  }

  add(document: DestinationRuleDocument): void {
    let index = this.#namespaces.get(document.namespace);
    if (index === undefined) this.#namespaces.set(document.namespace, index = new HostIndex());
    const host = this.hostOf(document);
    const bucket = index.get(host);
    if (bucket === undefined) index.set(host, { documents: [document], merged: undefined });
    else {
      bucket.documents.push(document);
      bucket.documents.sort(compareDocuments);
      bucket.merged = undefined;
    }
  }

  remove(document: DestinationRuleDocument): void {
    const index = this.#namespaces.get(document.namespace);
    const host = this.hostOf(document);
    const bucket = index?.get(host);
    if (index === undefined || bucket === undefined) return;
    bucket.documents.splice(bucket.documents.indexOf(document), 1);
    bucket.merged = undefined;
    if (bucket.documents.length === 0) index.delete(host);
  }

  /** The rule for a service of this name declared in `serviceNamespace`. */
  find(host: string, serviceNamespace: string): MergedRule | undefined {
    const own = this.#proxy.namespace;
    const near = own === ROOT_NAMESPACE
      ? this.#findIn(own, host, (rule) => isPrivate(rule, own))
      : this.#findIn(own, host, (rule) => exportedTo(rule.exportTo, own, own));
    if (near !== undefined) return near;
    if (serviceNamespace !== own || own === ROOT_NAMESPACE) {
      const theirs = this.#findIn(serviceNamespace, host, this.#isExported);
      if (theirs !== undefined) return theirs;
    }
    return serviceNamespace === ROOT_NAMESPACE
      ? undefined
      : this.#findIn(ROOT_NAMESPACE, host, this.#isExported);
  }

  readonly #isExported = (rule: MergedRule): boolean =>
    rule.selector === undefined &&
    exportedTo(rule.exportTo, rule.documents[0]?.namespace ?? "", this.#proxy.namespace);

  #findIn(namespace: string, host: string, allowed: (rule: MergedRule) => boolean): MergedRule | undefined {
    const bucket = this.#namespaces.get(namespace)?.mostSpecific(host);
    if (bucket === undefined) return undefined;
    bucket.merged ??= mergeRules(bucket.documents);
    const { namespace: own, labels } = this.#proxy;
    for (const rule of bucket.merged) {
      if (rule.selector === undefined) continue;
      if (namespace !== own || !includesLabels(labels, rule.selector)) continue;
      // A selector makes a rule private to its namespace, which is the proxy's.
      return rule;
    }
    const rule = bucket.merged.find((r) => r.selector === undefined);
    return rule !== undefined && allowed(rule) ? rule : undefined;
  }
}

function isPrivate(rule: MergedRule, namespace: string): boolean {
  return rule.exportTo.length > 0 && rule.exportTo.every((to) => to === "." || to === namespace);
}

/** Whether `labels` has every pair of `wanted`. */
export function includesLabels(
  labels: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, string>>,
): boolean {
  for (const key in wanted) if (labels[key] !== wanted[key]) return false;
  return true;
}

function mergeRules(documents: readonly DestinationRuleDocument[]): readonly MergedRule[] {
  if (documents.length === 1) return [single(documents[0] as DestinationRuleDocument)];
  const rules: MergedRule[] = [];
  const ordered = [
    ...documents.filter((d) => selectorOf(d) !== undefined),
    ...documents.filter((d) => selectorOf(d) === undefined),
  ];
  for (const document of ordered) {
    const next = single(document);
    const at = rules.findIndex((rule) => isMergeable(rule, next));
    const rule = rules[at];
    if (rule === undefined) {
      rules.push(next);
      continue;
    }
    const known = new Set(rule.subsets.map((s) => s.subset.name));
    rules[at] = {
      documents: [...rule.documents, document],
      trafficPolicy: rule.trafficPolicy ?? next.trafficPolicy,
      subsets: [...rule.subsets, ...next.subsets.filter((s) => !known.has(s.subset.name))],
      exportTo: rule.exportTo,
      selector: rule.selector,
    };
  }
  return rules;
}

function single(document: DestinationRuleDocument): MergedRule {
  const { spec } = document;
  const subsets: MergedSubset[] = [];
  const known = new Set<string>();
  for (const [i, subset] of (spec.subsets ?? []).entries()) {
    if (subset === null || known.has(subset.name)) continue;
    known.add(subset.name);
    subsets.push({ subset, document, path: ["spec", "subsets", i] });
  }
  return {
    documents: [document],
    trafficPolicy: spec.trafficPolicy ?? undefined,
    subsets,
    exportTo: spec.exportTo ?? [],
    selector: selectorOf(document),
  };
}

function selectorOf(document: DestinationRuleDocument): Readonly<Record<string, string>> | undefined {
  const labels = document.spec.workloadSelector?.matchLabels;
  return labels === undefined || labels === null || Object.keys(labels).length === 0 ? undefined : labels;
}

function isMergeable(rule: MergedRule, next: MergedRule): boolean {
  const [a, b] = [rule.selector, next.selector];
  if ((a === undefined) !== (b === undefined)) return false;
  if (a !== undefined && b !== undefined && !(includesLabels(a, b) && includesLabels(b, a))) return false;
  const to = (r: MergedRule) =>
    new Set(
      (r.exportTo.length === 0 ? ["*"] : r.exportTo).map((t) =>
        t === "." ? r.documents[0]?.namespace ?? "" : t
      ),
    );
  const wider = to(next);
  return [...to(rule)].every((t) => wider.has(t));
}

/** What is in force for one cluster. */
export interface EffectivePolicy extends PolicyBlocks {
  readonly retryBudget?: TrafficPolicy["retryBudget"];
}

const NO_POLICY: EffectivePolicy = {};

export function effectivePolicy(
  rule: MergedRule | undefined,
  port: number,
  subset: Subset | undefined,
): EffectivePolicy {
  const top = rule?.trafficPolicy;
  const base = top === undefined ? NO_POLICY : atPort(top, port) ?? top;
  const own = subset?.trafficPolicy;
  if (own === undefined || own === null) return base;
  const ported = atPort(own, port);
  const blocks: EffectivePolicy = ported ?? {
    ...block("loadBalancer", own, base),
    ...block("connectionPool", own, base),
    ...block("outlierDetection", own, base),
    ...block("tls", own, base),
  };
  const retryBudget = (ported === undefined ? own.retryBudget : undefined) ?? base.retryBudget;
  return retryBudget == null ? blocks : { ...blocks, retryBudget };
}

function block<K extends keyof PolicyBlocks>(
  key: K,
  own: PolicyBlocks,
  base: PolicyBlocks,
): Pick<PolicyBlocks, K> {
  const value = own[key] ?? base[key];
  return (value == null ? {} : { [key]: value }) as Pick<PolicyBlocks, K>;
}

/** The four blocks of a port-level entry: blocks that it leaves out are cleared, not inherited. */
function atPort(policy: TrafficPolicy, port: number): EffectivePolicy | undefined {
  const entry = policy.portLevelSettings?.find((p) => p?.port?.number === port);
  if (entry === undefined) return undefined;
  return {
    ...block("loadBalancer", entry, NO_POLICY),
    ...block("connectionPool", entry, NO_POLICY),
    ...block("outlierDetection", entry, NO_POLICY),
    ...block("tls", entry, NO_POLICY),
  };
}

/** Hash policy of a route's destination (2.4): port entries count only where the rule wrote the port. */
export function destinationHashPolicy(
  rule: MergedRule | undefined,
  subset: string,
  port: number | undefined,
): HashPolicy | undefined {
  if (rule === undefined) return undefined;
  const own = rule.subsets.find((s) => s.subset.name === subset)?.subset.trafficPolicy ?? undefined;
  const top = rule.trafficPolicy;
  const hash = consistentHash(own && port !== undefined ? atPort(own, port) : undefined) ??
    consistentHash(own) ??
    consistentHash(top && port !== undefined ? atPort(top, port) : undefined) ??
    consistentHash(top);
  return hash && lowerHash(hash);
}

/** Whether any part of the rule hashes, so that routes to its host depend on it. */
export function hasHash(rule: MergedRule | undefined): boolean {
  if (rule === undefined) return false;
  const policies = [rule.trafficPolicy, ...rule.subsets.map((s) => s.subset.trafficPolicy)];
  return policies.some((p) =>
    p != null &&
    (consistentHash(p) !== undefined || (p.portLevelSettings ?? []).some((s) => consistentHash(s)))
  );
}

type ConsistentHash = NonNullable<LoadBalancerSettings["consistentHash"]>;

function consistentHash(policy: PolicyBlocks | null | undefined): ConsistentHash | undefined {
  return policy?.loadBalancer?.consistentHash ?? undefined;
}

function lowerHash(hash: ConsistentHash): HashPolicy | undefined {
  if (hash.httpHeaderName) return { header: { headerName: hash.httpHeaderName } };
  if (hash.httpCookie) {
    const { name, ttl, path, attributes } = hash.httpCookie;
    const normal = normalDuration(ttl);
    return {
      cookie: {
        name: name ?? "",
        ...(normal === undefined ? {} : { ttl: normal }),
        ...(path ? { path } : {}),
        ...(attributes && attributes.length > 0 ? { attributes } : {}),
      },
    };
  }
  if (hash.useSourceIp === true) return { connectionProperties: { sourceIp: true } };
  if (hash.httpQueryParameterName) return { queryParameter: { name: hash.httpQueryParameterName } };
  return undefined;
}
