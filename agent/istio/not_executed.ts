/**
 * Compiled, not yet executed: the one table of what rules may say and the data path does not do yet. Such fields are read,
 * judged and kept in the model; `check` prints a warning for each use, so that nothing is dropped silently.
 *
 * In: rule documents. Out: one R450 per use. An entry leaves the table with the change that executes it.
 */
import type { Diagnostic } from "../core/diagnostics.ts";
import type { PathPart } from "../core/yaml.ts";
import { type Place, placeRemark, quote, type Remark } from "./remark.ts";
import type { Kind, RuleDocument } from "./resources.ts";

export interface NotExecuted {
  readonly kind: Kind;
  /** Field path below `spec`; `*` stands for every entry of a list, `POLICY` for each place of a traffic policy. */
  readonly path: string;
  /** What happens instead, as the end of a sentence. */
  readonly instead: string;
  /** The part of the value that is not executed; undefined when this use is. Default: any value. */
  readonly part?: (value: unknown) => unknown;
}

/** Retry conditions that the data path acts on, besides HTTP statuses. */
export const EXECUTED_RETRY_CONDITIONS: ReadonlySet<string> = new Set([
  "connect-failure",
  "refused-stream",
  "reset-before-request",
  "reset",
  "5xx",
  "gateway-error",
  "retriable-4xx",
  "retriable-status-codes",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
]);

const otherConditions = (value: unknown): string | undefined => {
  const others = String(value).split(",").map((token) => token.trim())
    .filter((token) => token !== "" && !/^\d+$/.test(token) && !EXECUTED_RETRY_CONDITIONS.has(token));
  return others.length === 0 ? undefined : others.join(",");
};
const unless = (...executed: unknown[]) => (value: unknown) => executed.includes(value) ? undefined : value;
const unixSocket = (value: unknown) => String(value).startsWith("unix://") ? value : undefined;

const SYSTEM_PROBES = "silent connections are probed as the system does it; the runtime cannot set when";

export const NOT_EXECUTED: readonly NotExecuted[] = [
  { kind: "VirtualService", path: "http.*.mirror", instead: "no copies are sent" },
  { kind: "VirtualService", path: "http.*.mirrors", instead: "no copies are sent" },
  {
    kind: "VirtualService",
    path: "http.*.retries.retryOn",
    instead: "such failures are not retried",
    part: otherConditions,
  },
  {
    kind: "VirtualService",
    path: "http.*.retries.retryRemoteLocalities",
    instead: "retries do not look at localities",
    part: unless(false),
  },
  {
    kind: "VirtualService",
    path: "http.*.match.*.statPrefix",
    instead: "no statistics of that name are kept",
  },

  {
    kind: "DestinationRule",
    path: "POLICY.loadBalancer.consistentHash",
    instead: "an endpoint is picked at random",
  },
  {
    kind: "DestinationRule",
    path: "POLICY.loadBalancer.localityLbSetting",
    instead: "localities are not looked at",
  },
  {
    kind: "DestinationRule",
    path: "POLICY.loadBalancer.zoneAwareLbSetting",
    instead: "zones are not looked at",
  },
  {
    kind: "DestinationRule",
    path: "POLICY.loadBalancer.warmup",
    instead: "new endpoints get their full share",
  },
  {
    kind: "DestinationRule",
    path: "POLICY.loadBalancer.warmupDurationSecs",
    instead: "new endpoints get their full share",
  },
  { kind: "DestinationRule", path: "POLICY.outlierDetection", instead: "no endpoint is ejected" },
  {
    kind: "DestinationRule",
    path: "POLICY.connectionPool.tcp.tcpKeepalive.probes",
    instead: SYSTEM_PROBES,
  },
  {
    kind: "DestinationRule",
    path: "POLICY.connectionPool.tcp.tcpKeepalive.time",
    instead: SYSTEM_PROBES,
  },
  {
    kind: "DestinationRule",
    path: "POLICY.connectionPool.tcp.tcpKeepalive.interval",
    instead: SYSTEM_PROBES,
  },
  {
    kind: "DestinationRule",
    path: "POLICY.tls.mode",
    instead: "upstreams are spoken to in plain text",
    part: unless("DISABLE"),
  },
  { kind: "DestinationRule", path: "POLICY.tunnel", instead: "connections go straight to the endpoint" },
  { kind: "DestinationRule", path: "POLICY.proxyProtocol", instead: "no PROXY header is sent" },
  {
    kind: "DestinationRule",
    path: "POLICY.retryBudget.budgetInterval",
    instead: "the budget is of the requests under way at the moment",
  },

  {
    kind: "ServiceEntry",
    path: "resolution",
    instead: "the requested name is resolved as with NONE",
    part: (value) => value === "DYNAMIC_DNS" ? value : undefined,
  },
  { kind: "ServiceEntry", path: "subjectAltNames", instead: "no TLS is originated, so no name is verified" },
  {
    kind: "ServiceEntry",
    path: "endpoints.*.address",
    instead: "unix sockets are not connected to",
    part: unixSocket,
  },
  { kind: "WorkloadEntry", path: "address", instead: "unix sockets are not connected to", part: unixSocket },
];

/** Where a DestinationRule may hold a traffic policy. */
const POLICIES = [
  "trafficPolicy",
  "trafficPolicy.portLevelSettings.*",
  "subsets.*.trafficPolicy",
  "subsets.*.trafficPolicy.portLevelSettings.*",
];

interface Expanded extends NotExecuted {
  readonly parts: readonly string[];
}

const BY_KIND: ReadonlyMap<Kind, readonly Expanded[]> = (() => {
  const byKind = new Map<Kind, Expanded[]>();
  for (const entry of NOT_EXECUTED) {
    const paths = entry.path.startsWith("POLICY.")
      ? POLICIES.map((policy) => policy + entry.path.slice("POLICY".length))
      : [entry.path];
    const known = byKind.get(entry.kind) ?? [];
    byKind.set(entry.kind, [...known, ...paths.map((path) => ({ ...entry, parts: path.split(".") }))]);
  }
  return byKind;
})();

/** One R450 per use, in the order of documents and table. */
export function notExecuted(documents: readonly RuleDocument[], place: Place = placeRemark): Diagnostic[] {
  const list: Diagnostic[] = [];
  for (const document of documents) {
    for (const entry of BY_KIND.get(document.kind) ?? []) {
      eachUse(document.spec, entry, 0, ["spec"], (part, path) => {
        const shown = typeof part === "object" || part === true ? "" : ` ${quote(part)}`;
        const field = path.findLast((step) => typeof step === "string");
        const remark: Remark = {
          code: "R450",
          message: `${field}${shown} is compiled, not yet executed: ${entry.instead}`,
          path,
          key: true,
        };
        list.push(place(document, remark));
      });
    }
  }
  return list;
}

/**
 * Tells each use of an entry below `value`, which stands at `path` and is reached by the first `depth` parts. Every document
 * passes here at start with some hundred entries, nearly all without a use: `path` is one stack, copied for a use only.
 */
function eachUse(
  value: unknown,
  entry: Expanded,
  depth: number,
  path: PathPart[],
  found: (part: unknown, path: readonly PathPart[]) => void,
): void {
  if (value === undefined || value === null) return;
  const step = entry.parts[depth];
  if (step === undefined) {
    const part = entry.part === undefined ? value : entry.part(value);
    if (part === undefined || (Array.isArray(part) && part.length === 0)) return;
    found(part, path.slice());
  } else if (step === "*") {
    if (!Array.isArray(value)) return;
    for (let i = 0; i < value.length; i++) {
      path.push(i);
      eachUse(value[i], entry, depth + 1, path, found);
      path.pop();
    }
  } else if (typeof value === "object") {
    path.push(step);
    eachUse((value as Record<string, unknown>)[step], entry, depth + 1, path, found);
    path.pop();
  }
}
