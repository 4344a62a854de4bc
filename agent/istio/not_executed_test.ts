import { deepEqual, ok, strictEqual } from "node:assert/strict";
import { NOT_EXECUTED, notExecuted } from "./not_executed.ts";
import { parseRules } from "./parse.ts";
import { MESSAGES } from "./schema.ts";

/** A spec in which the path has the value. */
function specWith(path: readonly string[], value: unknown): unknown {
  const [part, ...rest] = path;
  if (part === undefined) return value;
  const inner = specWith(rest, value);
  return part === "*" ? [inner] : { [part]: inner };
}

const use = (path: string): unknown => {
  if (path.endsWith("retryOn")) return "envoy-ratelimited";
  if (path.endsWith("protocol")) return "GRPC";
  if (path.endsWith("h2UpgradePolicy")) return "UPGRADE";
  if (path.endsWith("mode")) return "SIMPLE";
  if (path.endsWith("resolution")) return "DYNAMIC_DNS";
  if (path.endsWith("address")) return "unix:///x";
  if (/(Duration|DurationSecs|\.time|\.interval|Interval)$/.test(path)) return "1s";
  if (/probes$/.test(path)) return 1;
  if (/Localities|useClientProtocol$/.test(path)) return true;
  if (/statPrefix$/.test(path)) return "x";
  if (/subjectAltNames$/.test(path)) return ["a"];
  if (/^tls$|^tcp$|mirrors$/.test(path)) return [{}];
  return {};
};

for (const entry of NOT_EXECUTED) {
  const paths = entry.path.startsWith("POLICY.")
    ? [
      "trafficPolicy",
      "trafficPolicy.portLevelSettings.*",
      "subsets.*.trafficPolicy",
      "subsets.*.trafficPolicy.portLevelSettings.*",
    ]
      .map((policy) => policy + entry.path.slice("POLICY".length))
    : [entry.path];
  Deno.test(`${entry.kind} ${entry.path} is told as not executed`, () => {
    let read = 0;
    for (const path of paths) {
      const spec = specWith(path.split("."), use(entry.path));
      const text = JSON.stringify({
        apiVersion: "networking.istio.io/v1",
        kind: entry.kind,
        metadata: { name: "x" },
        spec,
      });
      const { documents } = parseRules("f", text, { namespace: "default" });
      // Some blocks do not exist at port level.
      if (documents.length === 0) continue;
      read++;
      const found = notExecuted(documents);
      deepEqual(found.map((d) => d.code), ["R450"], text);
      ok(found[0]!.message.endsWith(entry.instead) && found[0]!.where.column! > 1);
    }
    ok(read > 0, "the table names a field that the schema does not have");
  });
}

Deno.test("what is executed is not told", () => {
  const text = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: x}
spec:
  host: x
  trafficPolicy:
    loadBalancer: {simple: LEAST_REQUEST}
    connectionPool:
      tcp: {connectTimeout: 1s, maxConnections: 1, maxConnectionDuration: 1h, idleTimeout: 1m, tcpKeepalive: {}}
      http: {http1MaxPendingRequests: 1, http2MaxRequests: 1, maxRequestsPerConnection: 1, maxRetries: 1, idleTimeout: 1s}
    retryBudget: {percent: 10}
    tls: {mode: DISABLE}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: x}
spec:
  hosts: [x]
  http:
  - retries: {attempts: 2, retryOn: "5xx,connect-failure,503", retryRemoteLocalities: false}
    mirrors: []
`;
  deepEqual(notExecuted(parseRules("f", text, { namespace: "default" }).documents), []);
});

Deno.test("every message that the schema names exists and is used", () => {
  const named = new Set<string>();
  const visit = (type: unknown): void => {
    if (typeof type !== "object" || type === null) return;
    for (const [key, value] of Object.entries(type)) {
      key === "message" ? named.add(value as string) : visit(value);
    }
  };
  Object.values(MESSAGES).forEach(visit);
  const roots = ["VirtualService", "DestinationRule", "ServiceEntry", "WorkloadEntry"];
  deepEqual([...new Set([...named, ...roots])].sort(), Object.keys(MESSAGES).sort());
  strictEqual(named.has("VirtualService"), false);
});
