/**
 * What the documents declare, indexed for the findings across them: services by host, endpoints, rules by host.
 *
 * In: documents and who asks. Out: lookups by full host name. Only what is exported to the proxy's namespace counts.
 */
import { nearest } from "../core/suggest.ts";
import { includesLabels, ROOT_NAMESPACE } from "./destination_rules.ts";
import { fullHost, hostCovers, isWildcard } from "./host_pattern.ts";
import { compareDocuments, exportedTo, visibilityRank } from "./order.ts";
import type {
  DestinationRuleSpec,
  ProxyContext,
  RuleDocument,
  ServiceEntrySpec,
  VirtualServiceSpec,
  WorkloadEntrySpec,
} from "./resources.ts";

export type Service = RuleDocument<ServiceEntrySpec>;
export type Policy = RuleDocument<DestinationRuleSpec>;
export type Rule = RuleDocument<VirtualServiceSpec>;

/** "Did you mean" over ten thousand hosts takes milliseconds; so many unknown hosts get one. */
const MAX_SUGGESTIONS = 50;

export interface Registry {
  readonly services: readonly Service[];
  readonly policies: readonly Policy[];
  /** In the order in which Istio reads them: private ones, ones meant for the namespace, public ones; by name, namespace. */
  readonly rules: readonly Rule[];
  /** Full, lower-case name of a host of the rule. */
  full(host: string, document: RuleDocument): string;
  /** The ServiceEntries that declare the host, exactly or by wildcard. */
  servicesOf(host: string): readonly Service[];
  /** Numbers of the ports that they declare. */
  portsOf(host: string): ReadonlySet<number>;
  /** Names of the subsets that {@link policiesOf} give. */
  subsetsOf(host: string): ReadonlySet<string>;
  /** Whether some declared host fits this name or wildcard. */
  declares(host: string): boolean;
  /** The DestinationRules that would give subsets of the host, merged ones together; empty when none. */
  policiesOf(host: string): readonly Policy[];
  /** Label sets of the endpoints of a ServiceEntry. */
  endpointLabels(service: Service): Iterable<Readonly<Record<string, string>>>;
  nearestHost(host: string): string | undefined;
}

export function createRegistry(documents: readonly RuleDocument[], ctx: ProxyContext): Registry {
  const services: Service[] = [];
  const policies: Policy[] = [];
  const rules: Rule[] = [];
  const workloads = new Map<string, WorkloadEntrySpec[]>();
  const byHost = new Map<string, Service[]>();
  const byPolicyHost = new Map<string, Policy[]>();
  const wildcardServices: string[] = [];
  const wildcardPolicies: string[] = [];
  // A host is asked for once per destination that names it.
  const fullNames = new Map<string, Map<string, string>>();
  const full = (host: string, { namespace }: RuleDocument): string => {
    let names = fullNames.get(namespace);
    if (names === undefined) fullNames.set(namespace, names = new Map());
    let name = names.get(host);
    if (name === undefined) {
      names.set(host, name = fullHost(host, namespace, ctx.domainSuffix).toLowerCase());
    }
    return name;
  };

  for (const document of documents) {
    const { exportTo } = document.spec as { exportTo?: readonly string[] };
    if (document.kind === "WorkloadEntry") {
      const list = workloads.get(document.namespace) ?? [];
      list.push(document.spec as WorkloadEntrySpec);
      workloads.set(document.namespace, list);
      continue;
    }
    if (!exportedTo(exportTo, document.namespace, ctx.namespace)) continue;
    switch (document.kind) {
      case "VirtualService":
        rules.push(document as Rule);
        break;
      case "ServiceEntry": {
        const service = document as Service;
        services.push(service);
        for (const host of service.spec.hosts ?? []) {
          const name = host.toLowerCase();
          if (isWildcard(name) && !byHost.has(name)) wildcardServices.push(name);
          append(byHost, name, service);
        }
        break;
      }
      case "DestinationRule": {
        const policy = document as Policy;
        policies.push(policy);
        const name = full(policy.spec.host ?? "", policy);
        if (isWildcard(name) && !byPolicyHost.has(name)) wildcardPolicies.push(name);
        append(byPolicyHost, name, policy);
      }
    }
  }
  const rank = (rule: Rule) => visibilityRank(rule.spec.exportTo, rule.namespace, ctx.namespace);
  rules.sort((a, b) => rank(a) - rank(b) || compareDocuments(a, b));
  const longestFirst = (a: string, b: string) => b.length - a.length;
  wildcardServices.sort(longestFirst);
  wildcardPolicies.sort(longestFirst);

  const servicesOf = (host: string): readonly Service[] => {
    const exact = byHost.get(host);
    if (exact !== undefined) return exact;
    const wildcard = wildcardServices.find((pattern) => hostCovers(pattern, host));
    return wildcard === undefined ? [] : byHost.get(wildcard) as Service[];
  };
  const ports = new Map<string, ReadonlySet<number>>();
  const subsets = new Map<string, ReadonlySet<string>>();
  const policiesOf = (host: string): readonly Policy[] => {
    const serviceNamespace = servicesOf(host)[0]?.namespace;
    for (const namespace of new Set([ctx.namespace, serviceNamespace, ROOT_NAMESPACE])) {
      const inNamespace = (name: string) =>
        byPolicyHost.get(name)?.filter((p) => p.namespace === namespace) ?? [];
      const exact = inNamespace(host);
      if (exact.length > 0) return exact;
      for (const pattern of wildcardPolicies) {
        if (!hostCovers(pattern, host)) continue;
        const found = inNamespace(pattern);
        if (found.length > 0) return found;
      }
    }
    return [];
  };
  let suggestions = 0;
  return {
    services,
    policies,
    rules,
    full,
    servicesOf,
    declares(host) {
      if (servicesOf(host).length > 0) return true;
      if (!isWildcard(host)) return false;
      for (const name of byHost.keys()) if (hostCovers(host, name)) return true;
      return false;
    },
    policiesOf,
    portsOf(host) {
      let known = ports.get(host);
      if (known === undefined) {
        known = new Set(
          servicesOf(host).flatMap((service) => service.spec.ports ?? []).map((port) => port.number),
        );
        ports.set(host, known);
      }
      return known;
    },
    subsetsOf(host) {
      let known = subsets.get(host);
      if (known === undefined) {
        known = new Set(policiesOf(host).flatMap((policy) => policy.spec.subsets ?? []).map((s) => s.name));
        subsets.set(host, known);
      }
      return known;
    },
    *endpointLabels(service) {
      for (const endpoint of service.spec.endpoints ?? []) yield endpoint.labels ?? {};
      const selector = service.spec.workloadSelector;
      if (selector === undefined) return;
      for (const workload of workloads.get(service.namespace) ?? []) {
        if (includesLabels(workload.labels ?? {}, selector.labels ?? {})) yield workload.labels ?? {};
      }
    },
    nearestHost(host) {
      if (suggestions++ >= MAX_SUGGESTIONS) return undefined;
      return nearest(host, byHost.keys());
    },
  };
}

function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
