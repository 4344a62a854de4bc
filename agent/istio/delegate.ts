/**
 * Delegation (istio-semantics 1.11): a root entry hands its requests to a VirtualService without hosts; their matches are
 * joined pair by pair.
 *
 * In: the root's document and a look-up of delegates. Out: http entries as if written in one rule.
 */
import type { PathPart } from "../core/yaml.ts";
import { fullHost } from "./host_pattern.ts";
import type { HttpEntry } from "./lower_route.ts";
import type { Places } from "./origin.ts";
import type {
  Destination,
  HTTPMatchRequest,
  HTTPRoute,
  RuleDocument,
  StringMatch,
  VirtualServiceSpec,
} from "./resources.ts";

export type VirtualServiceDocument = RuleDocument<VirtualServiceSpec>;

/** `namespace/name` of the delegates that a rule names, once each. */
export function delegatesOf(document: VirtualServiceDocument): readonly string[] {
  let found: string[] | undefined;
  for (const route of document.spec.http ?? []) {
    if (route?.delegate == null) continue;
    const key = delegateKey(route.delegate, document);
    if (found === undefined) found = [key];
    else if (!found.includes(key)) found.push(key);
  }
  return found ?? [];
}

function delegateKey(delegate: NonNullable<HTTPRoute["delegate"]>, document: VirtualServiceDocument): string {
  return `${delegate.namespace || document.namespace}/${delegate.name ?? ""}`;
}

export interface DelegateInput {
  readonly domainSuffix: string;
  readonly placeIn: (document: VirtualServiceDocument) => Places;
  /** The delegate, when there is one that the root may use. */
  readonly find: (key: string) => VirtualServiceDocument | undefined;
}

/** The http entries of a rule, its delegates taken in. */
export function httpEntries(document: VirtualServiceDocument, input: DelegateInput): HttpEntry[] {
  const place = input.placeIn(document);
  const entries: HttpEntry[] = [];
  for (const [i, route] of (document.spec.http ?? []).entries()) {
    if (route === null) continue;
    const path: readonly PathPart[] = ["spec", "http", i];
    if (route.delegate == null) {
      entries.push({ route, namespace: document.namespace, place, path });
      continue;
    }
    const delegate = input.find(delegateKey(route.delegate, document));
    if (delegate === undefined) continue;
    const root = withFullHosts(route, document.namespace, input.domainSuffix);
    for (const [j, leafRoute] of (delegate.spec.http ?? []).entries()) {
      if (leafRoute === null) continue;
      const leaf = withFullHosts(leafRoute, delegate.namespace, input.domainSuffix);
      const merged = mergeEntry(
        { route: root, place, path },
        { route: leaf, place: input.placeIn(delegate), path: ["spec", "http", j] },
        delegate.namespace,
      );
      if (merged !== undefined) entries.push(merged);
    }
  }
  return entries;
}

interface Side {
  readonly route: HTTPRoute;
  readonly place: Places;
  readonly path: readonly PathPart[];
}

function mergeEntry(root: Side, leaf: Side, namespace: string): HttpEntry | undefined {
  const rootMatches = root.route.match ?? [];
  const leafMatches = leaf.route.match ?? [];
  const at = (side: Side, i: number) => ({ place: side.place, path: [...side.path, "match", i] });
  const match: HTTPMatchRequest[] = [];
  const matchPaths: { place: Places; path: readonly PathPart[] }[] = [];
  if (leafMatches.length === 0) {
    for (const [i, m] of rootMatches.entries()) {
      match.push(m ?? {});
      matchPaths.push(at(root, i));
    }
  } else if (rootMatches.length === 0) {
    for (const [i, m] of leafMatches.entries()) {
      match.push(m ?? {});
      matchPaths.push(at(leaf, i));
    }
  } else {
    for (const [i, m] of leafMatches.entries()) {
      let compatible = false;
      for (const r of rootMatches) {
        const merged = mergeMatch(r ?? {}, m ?? {});
        if (merged === undefined) continue;
        compatible = true;
        match.push(merged);
        matchPaths.push(at(leaf, i));
      }
      // One match without a partner drops the whole entry.
      if (!compatible) return undefined;
    }
  }
  return {
    route: { ...mergeActions(root.route, leaf.route), match },
    namespace,
    place: leaf.place,
    path: leaf.path,
    matchPaths,
  };
}

const INHERITED = [
  "directResponse",
  "rewrite",
  "timeout",
  "retries",
  "fault",
  "mirror",
  "mirrors",
  "mirrorPercent",
  "mirrorPercentage",
  "corsPolicy",
  "headers",
] as const;

function mergeActions(root: HTTPRoute, leaf: HTTPRoute): HTTPRoute {
  const { delegate: _delegate, ...merged } = leaf as { -readonly [K in keyof HTTPRoute]: HTTPRoute[K] };
  const target = merged as Record<string, unknown>;
  for (const field of INHERITED) {
    if (leaf[field] == null && root[field] != null) target[field] = root[field];
  }
  const name = joinNames(root.name, leaf.name);
  if (name !== "") merged.name = name;
  return merged;
}

function joinNames(root: string | undefined, leaf: string | undefined): string {
  return root && leaf ? `${root}-${leaf}` : root || leaf || "";
}

type Conditions = Readonly<Record<string, StringMatch | null>>;

/** Both at once; undefined when they contradict each other or Istio cannot tell. */
export function mergeMatch(root: HTTPMatchRequest, leaf: HTTPMatchRequest): HTTPMatchRequest | undefined {
  const merged: { -readonly [K in keyof HTTPMatchRequest]: HTTPMatchRequest[K] } = {};
  for (const field of ["uri", "scheme", "method", "authority"] as const) {
    const [a, b] = [root[field], leaf[field]];
    if (!isCompatible(a, b)) return undefined;
    const value = b ?? a;
    if (value != null) merged[field] = value;
  }
  for (const field of ["headers", "withoutHeaders", "queryParams"] as const) {
    const joined = mergeConditions(root[field], leaf[field]);
    if (joined === "conflict") return undefined;
    if (joined !== undefined) merged[field] = joined;
  }
  if ((root.ignoreUriCase ?? false) !== (leaf.ignoreUriCase ?? false)) return undefined;
  if (root.ignoreUriCase === true) merged.ignoreUriCase = true;
  if (root.port && leaf.port && root.port !== leaf.port) return undefined;
  const port = leaf.port || root.port;
  if (port) merged.port = port;
  if (root.sourceNamespace && root.sourceNamespace !== leaf.sourceNamespace) return undefined;
  const sourceNamespace = leaf.sourceNamespace || root.sourceNamespace;
  if (sourceNamespace) merged.sourceNamespace = sourceNamespace;
  for (const [key, value] of Object.entries(root.sourceLabels ?? {})) {
    const other = leaf.sourceLabels?.[key];
    if (other !== undefined && other !== value) return undefined;
  }
  if (root.sourceLabels != null || leaf.sourceLabels != null) {
    merged.sourceLabels = { ...root.sourceLabels, ...leaf.sourceLabels };
  }
  const [rootGateways, leafGateways] = [root.gateways ?? [], leaf.gateways ?? []];
  if (rootGateways.length > 0 && leafGateways.some((g) => !rootGateways.includes(g))) return undefined;
  const gateways = leafGateways.length > 0 ? leafGateways : rootGateways;
  if (gateways.length > 0) merged.gateways = gateways;
  const statPrefix = leaf.statPrefix || root.statPrefix;
  if (statPrefix) merged.statPrefix = statPrefix;
  const name = joinNames(root.name, leaf.name);
  if (name !== "") merged.name = name;
  return merged;
}

function mergeConditions(
  root: Conditions | null | undefined,
  leaf: Conditions | null | undefined,
): Conditions | undefined | "conflict" {
  if (root == null) return leaf ?? undefined;
  if (leaf == null) return root;
  for (const [key, value] of Object.entries(root)) {
    if (!(key in leaf)) continue;
    const other = leaf[key];
    // A test of presence cannot be joined with another test of the same key.
    if (isPresence(value) || isPresence(other) || !isCompatible(value, other)) return "conflict";
  }
  return { ...root, ...leaf };
}

function isPresence(match: StringMatch | null | undefined): boolean {
  return match == null ||
    (match.exact === undefined && match.prefix === undefined && match.regex === undefined);
}

/** Only one side set, or the leaf narrows the root. */
function isCompatible(root: StringMatch | null | undefined, leaf: StringMatch | null | undefined): boolean {
  if (root == null || leaf == null) return true;
  if (root.regex !== undefined || leaf.regex !== undefined) return false;
  if (root.exact !== undefined) return leaf.exact === root.exact;
  if (root.prefix !== undefined) return (leaf.exact ?? leaf.prefix ?? "").startsWith(root.prefix);
  return true;
}

/** The entry with every destination's name complete, so that entries of two namespaces can be joined. */
function withFullHosts(route: HTTPRoute, namespace: string, suffix: string): HTTPRoute {
  const full = (d: Destination): Destination => ({ ...d, host: fullHost(d.host ?? "", namespace, suffix) });
  return {
    ...route,
    ...(route.route == null ? {} : {
      route: route.route.map((r) => r?.destination == null ? r : { ...r, destination: full(r.destination) }),
    }),
    ...(route.mirror == null ? {} : { mirror: full(route.mirror) }),
    ...(route.mirrors == null ? {} : {
      mirrors: route.mirrors.map((m) =>
        m?.destination == null ? m : { ...m, destination: full(m.destination) }
      ),
    }),
  };
}
