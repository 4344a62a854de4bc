/**
 * Findings across documents: names that lead nowhere, rules that lose or never apply. Nothing here keeps a document out; it
 * tells what traffic will meet.
 *
 * In: every sound document and who asks. Out: diagnostics R401 to R417.
 *
 * @example
 * ```ts
 * import { crossFindings } from "./findings.ts";
 * const list = crossFindings(documents, {
 *   namespace: "default",
 *   domainSuffix: "svc.cluster.local",
 *   labels: {},
 *   outboundTrafficPolicy: "ALLOW_ANY",
 * });
 * ```
 */
import { type Diagnostic, formatOrigin } from "../core/diagnostics.ts";
import { includesLabels } from "./destination_rules.ts";
import { destinationFindings } from "./findings_destination.ts";
import { isWildcard } from "./host_pattern.ts";
import { createRegistry, type Policy, type Registry, type Rule, type Service } from "./registry.ts";
import { visibilityRank } from "./order.ts";
import { unknownHost } from "./unknown_host.ts";
import { At, type Place, placeRemark, quote, Remarks } from "./remark.ts";
import type { HTTPRoute, ProxyContext, RuleDocument } from "./resources.ts";

/** Everything that is wrong between documents; each is placed in one of them. */
export function crossFindings(
  documents: readonly RuleDocument[],
  ctx: ProxyContext,
  place: Place = placeRemark,
): Diagnostic[] {
  const list: Diagnostic[] = [];
  const first = firstDefinitions(documents);
  const registry = createRegistry(first.size === documents.length ? documents : [...first.values()], ctx);
  const report = (document: RuleDocument, find: (out: Remarks) => void) => {
    const out = new Remarks();
    find(out);
    for (const remark of out.list) list.push(place(document, remark));
  };
  sameObjects(documents, first, report);
  const owners = new Map<string, Rule>();
  const delegates = new Map<string, Rule>();
  const used = new Set<Rule>();
  for (const rule of registry.rules) {
    if ((rule.spec.hosts?.length ?? 0) === 0) delegates.set(`${rule.namespace}/${rule.name}`, rule);
  }
  for (const rule of registry.rules) {
    if ((rule.spec.hosts?.length ?? 0) === 0) continue;
    report(rule, (out) => {
      ruleFindings(rule, registry, ctx, owners, out);
      delegateFindings(rule, registry, delegates, used, out);
    });
  }
  for (const rule of delegates.values()) {
    if (used.has(rule)) {
      report(rule, (out) => {
        destinationFindings(rule, registry, new Set(), out);
        conditionFindings(rule, ctx, out);
      });
    } else {
      report(
        rule,
        (out) =>
          out.add("R416", new At("spec"), `No rule delegates to ${quote(`${rule.namespace}/${rule.name}`)}`),
      );
    }
  }
  const policyHosts = new Map<string, Policy>();
  for (const policy of registry.policies) {
    report(policy, (out) => policyFindings(policy, registry, policyHosts, out));
  }
  serviceFindings(registry, report);
  return list;
}

type Report = (document: RuleDocument, find: (out: Remarks) => void) => void;

const keyOf = (document: RuleDocument) => `${document.kind} ${document.namespace}/${document.name}`;

/** The first definition of each object; second ones are judged by {@link sameObjects} alone. */
function firstDefinitions(documents: readonly RuleDocument[]): ReadonlyMap<string, RuleDocument> {
  const first = new Map<string, RuleDocument>();
  for (const document of documents) {
    const key = keyOf(document);
    if (!first.has(key)) first.set(key, document);
  }
  return first;
}

function sameObjects(
  documents: readonly RuleDocument[],
  first: ReadonlyMap<string, RuleDocument>,
  report: Report,
): void {
  if (first.size === documents.length) return;
  for (const document of documents) {
    const other = first.get(keyOf(document));
    if (other === undefined || other === document) continue;
    report(document, (out) =>
      out.refuse(
        "R401",
        new At("metadata").to("name"),
        `${document.kind}`,
        `${document.namespace}/${document.name}`,
        `${formatOrigin(other.origin)} and ${
          formatOrigin(document.origin)
        } both define it; want one definition`,
      ));
  }
}

function ruleFindings(
  rule: Rule,
  registry: Registry,
  ctx: ProxyContext,
  owners: Map<string, Rule>,
  out: Remarks,
): void {
  const at = new At("spec");
  const gateways = rule.spec.gateways ?? [];
  if (gateways.length > 0 && !gateways.includes("mesh")) {
    out.add(
      "R412",
      at.to("gateways"),
      `The rule is only for ${gateways.map(quote).join(", ")}, not for the mesh`,
      {
        key: true,
      },
    );
    return;
  }
  const hosts = rule.spec.hosts ?? [];
  const declared = hosts.map((host) => registry.declares(registry.full(host, rule)));
  for (const [i, host] of hosts.entries()) {
    const place = at.to("hosts").to(i);
    const name = registry.full(host, rule);
    const owner = owners.get(name);
    if (owner === undefined) owners.set(name, rule);
    else if (owner !== rule) {
      out.add(
        "R407",
        place,
        `VirtualService host ${quote(host)} belongs to ${quote(`${owner.namespace}/${owner.name}`)} ` +
          `(${formatOrigin(owner.origin)}), ${reasonToWin(owner, rule, ctx)}; this rule is not used for it`,
      );
      continue;
    }
    if (declared[i] === true) continue;
    out.add("R403", place, unknownHost("VirtualService host", host, rule, registry), {
      // Beside a declared host, an undeclared one works on the declared one's ports.
      ...(declared.includes(true)
        ? { severity: "info", hint: "It works on the ports of the rule's other hosts." }
        : {}),
    });
  }
  const arriving = hosts.length === 1
    ? registry.portsOf(registry.full(hosts[0] as string, rule))
    : new Set(hosts.flatMap((host) => [...registry.portsOf(registry.full(host, rule))]));
  destinationFindings(rule, registry, arriving, out);
  conditionFindings(rule, ctx, out);
}

/** Why `winner` is read before `loser`, as a clause about it. */
function reasonToWin(winner: Rule, loser: Rule, ctx: ProxyContext): string {
  const rank = (rule: Rule) => visibilityRank(rule.spec.exportTo, rule.namespace, ctx.namespace);
  if (rank(winner) !== rank(loser)) {
    return rank(winner) === 0
      ? "which is private to this namespace"
      : "which is exported to this namespace by name";
  }
  return `whose ${winner.name === loser.name ? "namespace" : "name"} comes first`;
}

/** Conditions that this workload never meets. */
function conditionFindings(rule: Rule, ctx: ProxyContext, out: Remarks): void {
  for (const [i, route] of (rule.spec.http ?? []).entries()) {
    for (const [j, match] of (route.match ?? []).entries()) {
      const place = new At("spec").to("http").to(i).to("match").to(j);
      const gateways = match.gateways ?? [];
      if (gateways.length > 0) {
        if (!gateways.includes("mesh")) {
          out.add(
            "R412",
            place.to("gateways"),
            `The match is only for ${gateways.map(quote).join(", ")}, not for the mesh`,
            {
              key: true,
            },
          );
        }
        continue;
      }
      const wanted = match.sourceLabels ?? {};
      // Without labels (an offline check, most often) nothing is known about the workload.
      if (Object.keys(ctx.labels).length > 0 && !includesLabels(ctx.labels, wanted)) {
        const key = Object.keys(wanted).find((name) => ctx.labels[name] !== wanted[name]) as string;
        out.add(
          "R411",
          place.to("sourceLabels").to(key),
          `The match never applies here: it wants label ${key}=${wanted[key]}, the workload has ` +
            (ctx.labels[key] === undefined ? "none of that name" : `${key}=${ctx.labels[key]}`),
        );
      }
      const namespace = match.sourceNamespace ?? "";
      if (namespace !== "" && namespace !== ctx.namespace) {
        out.add(
          "R411",
          place.to("sourceNamespace"),
          `The match never applies here: it wants namespace ${quote(namespace)}, the workload is in ${
            quote(ctx.namespace)
          }`,
        );
      }
    }
  }
}

function delegateFindings(
  rule: Rule,
  registry: Registry,
  delegates: ReadonlyMap<string, Rule>,
  used: Set<Rule>,
  out: Remarks,
): void {
  for (const [i, route] of (rule.spec.http ?? [] as readonly HTTPRoute[]).entries()) {
    if (route.delegate === undefined) continue;
    const name = `${route.delegate.namespace ?? rule.namespace}/${route.delegate.name ?? ""}`;
    const found = delegates.get(name);
    if (found !== undefined) {
      used.add(found);
      continue;
    }
    const other = registry.rules.find((r) => `${r.namespace}/${r.name}` === name);
    out.add(
      "R413",
      new At("spec").to("http").to(i).to("delegate"),
      `Cannot delegate to ${quote(name)}: ` +
        (other === undefined
          ? "there is no such VirtualService that is exported to here"
          : `it has hosts (${formatOrigin(other.origin)}); a delegate has none`),
    );
  }
}

function policyFindings(policy: Policy, registry: Registry, seen: Map<string, Policy>, out: Remarks): void {
  const at = new At("spec");
  const { host = "", subsets = [] } = policy.spec;
  const name = registry.full(host, policy);
  const key = `${policy.namespace} ${name}`;
  const other = seen.get(key);
  if (other === undefined) seen.set(key, policy);
  else if (policy.spec.workloadSelector === undefined && other.spec.workloadSelector === undefined) {
    out.add(
      "R415",
      at.to("host"),
      `DestinationRule host ${quote(host)} has a rule already, ${
        quote(`${other.namespace}/${other.name}`)
      } (${formatOrigin(other.origin)}); the two are merged`,
    );
  }
  if (!registry.declares(name)) {
    out.add("R409", at.to("host"), unknownHost("DestinationRule host", host, policy, registry));
    return;
  }
  if (isWildcard(name)) return;
  const services = registry.servicesOf(name).filter((service) =>
    (service.spec.resolution ?? "NONE") !== "NONE"
  );
  if (services.length === 0) return;
  for (const [i, subset] of subsets.entries()) {
    const wanted = subset.labels ?? {};
    if (Object.keys(wanted).length === 0) continue;
    if (
      services.some((service) =>
        [...registry.endpointLabels(service)].some((labels) => includesLabels(labels, wanted))
      )
    ) {
      continue;
    }
    const text = Object.entries(wanted).map(([k, v]) => `${k}=${v}`).join(", ");
    out.add(
      "R410",
      at.to("subsets").to(i),
      `Subset ${quote(subset.name)} selects no endpoint of ${name}: none has ${text}`,
    );
  }
}

function serviceFindings(registry: Registry, report: Report): void {
  const first = new Map<string, Service>();
  for (const service of registry.services) {
    for (const [i, host] of (service.spec.hosts ?? []).entries()) {
      const key = host.toLowerCase();
      const other = first.get(key);
      if (other === undefined || other === service) {
        first.set(key, service);
        continue;
      }
      const together = other.namespace === service.namespace;
      report(service, (out) =>
        out.add(
          "R414",
          new At("spec").to("hosts").to(i),
          `Host ${quote(host)} is declared by ${quote(`${other.namespace}/${other.name}`)} (${
            formatOrigin(other.origin)
          }) too` +
            (together ? "; endpoints of equal ports are merged" : ""),
          together
            ? { severity: "info", hint: "Ports that only one of them has come from the first by name." }
            : {},
        ));
    }
  }
}
