/**
 * Random rules, edited at random: compiling never throws, an update gives what compiling from nothing gives, and whatever did
 * not change in value is the same object.
 */
import assert from "node:assert";
import fc from "fast-check";
import type { Program } from "../model/model.ts";
import { createCompiler } from "./compile.ts";
import { parseRules } from "./parse.ts";
import type { Kind, ProxyContext, RuleDocument } from "./resources.ts";
import { validateDocument } from "./validate.ts";

const PROXY: ProxyContext = {
  namespace: "default",
  domainSuffix: "svc.cluster.local",
  labels: { app: "client" },
  outboundTrafficPolicy: "ALLOW_ANY",
};

const SUFFIX = ".default.svc.cluster.local";
const serviceHost = fc.constantFrom(
  `a${SUFFIX}`,
  `b${SUFFIX}`,
  `c${SUFFIX}`,
  "a.default",
  "b",
  "x.ext.com",
  "y.ext.com",
  "*.wild.com",
  "c.other.svc.cluster.local",
);
const ruleHost = fc.oneof(
  serviceHost,
  fc.constantFrom("a", "*.ext.com", `*${SUFFIX}`, "*.com", "nobody.org", "A.default.svc.cluster.local"),
);
const number = fc.constantFrom(80, 8080, 9090);
const labels = fc.constantFrom({}, { version: "v1" }, { version: "v2" }, { version: "v1", app: "x" });
const exportTo = fc.constantFrom(undefined, undefined, undefined, ["."], ["*"], ["default"], ["~"]);
const subset = fc.constantFrom(undefined, undefined, "v1", "v2", "nosuch");
const hash = fc.constantFrom(
  undefined,
  undefined,
  { consistentHash: { httpHeaderName: "x-user" } },
  { consistentHash: { useSourceIp: true } },
  { simple: "RANDOM" },
  { simple: "PASSTHROUGH" },
);

const port = fc.record({
  number,
  protocol: fc.constantFrom("HTTP", "GRPC", "TCP", "TCP", "TLS", ""),
}).map((p) => ({ ...p, name: `p${p.number}` }));

const serviceEntry = fc.record({
  hosts: fc.uniqueArray(serviceHost, { minLength: 1, maxLength: 2 }),
  ports: fc.uniqueArray(port, { minLength: 1, maxLength: 2, selector: (p) => p.number }),
  location: fc.constantFrom("MESH_INTERNAL", "MESH_EXTERNAL"),
  resolution: fc.constantFrom("STATIC", "STATIC", "DNS", "NONE"),
  addresses: fc.constantFrom(undefined, undefined, ["10.9.9.9"], ["10.9.9.9", "10.8.0.0/16"]),
  exportTo,
  selecting: fc.boolean(),
  endpoints: fc.array(
    fc.record({ n: fc.nat(9), labels, locality: fc.constantFrom(undefined, "r1/z1"), weight: fc.nat(3) }),
    { maxLength: 4 },
  ),
}).map(({ selecting, endpoints, ...spec }) => ({
  ...spec,
  ...(selecting ? { workloadSelector: { labels: { app: "x" } } } : {
    endpoints: endpoints.map(({ n, ...e }) => ({
      ...e,
      address: spec.resolution === "DNS" ? `e${n}.example.org` : `10.0.0.${n}`,
    })),
  }),
}));

const policy = fc.record({
  loadBalancer: hash,
  connectionPool: fc.constantFrom(undefined, { tcp: { maxConnections: 7 } }),
});

const destinationRule = fc.record({
  host: ruleHost,
  trafficPolicy: fc.option(
    fc.record({
      loadBalancer: hash,
      portLevelSettings: fc.option(policy.map((p) => [{ port: { number: 80 }, ...p }]), { nil: undefined }),
    }),
    { nil: undefined },
  ),
  subsets: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom("v1", "v2"),
      labels,
      trafficPolicy: fc.option(policy, { nil: undefined }),
    }),
    { maxLength: 2, selector: (s) => s.name },
  ),
  exportTo,
});

const destination = fc.record({
  host: ruleHost.filter((h) => !h.startsWith("*")),
  subset,
  port: fc.option(number.map((n) => ({ number: n })), { nil: undefined }),
});

const match = fc.record({
  uri: fc.constantFrom(undefined, { prefix: "/" }, { exact: "/e" }, { prefix: "/p" }, { regex: "/r.*" }),
  headers: fc.constantFrom(undefined, { "x-h": { exact: "1" } }, { "x-h": {} }),
  port: fc.constantFrom(undefined, undefined, 80, 9090),
  sourceLabels: fc.constantFrom(undefined, undefined, { app: "client" }, { app: "other" }),
});

const http = fc.record({
  match: fc.option(fc.array(match, { minLength: 1, maxLength: 2 }), { nil: undefined }),
  route: fc.array(fc.record({ destination, weight: fc.nat(9) }), { minLength: 1, maxLength: 3 }),
  timeout: fc.constantFrom(undefined, "3s"),
});

const l4Route = fc.array(fc.record({ destination, weight: fc.constantFrom(1, 5, 94) }), {
  minLength: 1,
  maxLength: 2,
});
const l4Guards = {
  port: fc.constantFrom(undefined, undefined, 80, 9090),
  sourceLabels: fc.constantFrom(undefined, undefined, { app: "client" }, { app: "other" }),
  destinationSubnets: fc.constantFrom(undefined, undefined, ["10.9.9.9"], ["10.8.0.0/16", "10.9.0.0/16"]),
};
const tcp = fc.record({
  match: fc.option(fc.array(fc.record(l4Guards), { minLength: 1, maxLength: 2 }), { nil: undefined }),
  route: l4Route,
});
const tlsOf = (hosts: readonly string[]) =>
  fc.record({
    match: fc.array(fc.record({ ...l4Guards, sniHosts: fc.subarray([...hosts], { minLength: 1 }) }), {
      minLength: 1,
      maxLength: 2,
    }),
    route: l4Route,
  });

const l4Service = fc.uniqueArray(
  ruleHost.filter((h) => /^[*\w-]+\./.test(h) && h === h.toLowerCase()),
  { minLength: 1, maxLength: 2 },
).chain((hosts) =>
  fc.record({
    hosts: fc.constant(hosts),
    tcp: fc.array(tcp, { maxLength: 2 }),
    tls: fc.array(tlsOf(hosts), { maxLength: 2 }),
    exportTo,
  })
);

const virtualService = fc.record({
  hosts: fc.uniqueArray(ruleHost, { minLength: 1, maxLength: 2 }),
  http: fc.array(
    fc.oneof(
      { weight: 4, arbitrary: http },
      {
        weight: 1,
        arbitrary: match.map((m) => ({ match: [m], delegate: { name: "vs3" } })),
      },
    ),
    { minLength: 1, maxLength: 3 },
  ),
  exportTo,
});
const delegate = fc.record({ http: fc.array(http, { minLength: 1, maxLength: 2 }) });

const workloadEntry = fc.record({
  address: fc.nat(9).map((n) => `10.1.0.${n}`),
  labels: fc.constantFrom({ app: "x" }, { app: "x", version: "v1" }, { app: "z" }),
});

interface Edit {
  readonly kind: Kind;
  readonly name: string;
  readonly namespace: string;
  /** Undefined takes the object away. */
  readonly spec: unknown;
}

const edit: fc.Arbitrary<Edit> = fc.oneof(
  ...([
    ["ServiceEntry", serviceEntry, 3],
    ["DestinationRule", destinationRule, 2],
    ["VirtualService", virtualService, 3],
    ["WorkloadEntry", workloadEntry, 2],
  ] as const).map(([kind, spec, count]) =>
    fc.record({
      kind: fc.constant<Kind>(kind),
      name: fc.nat(count - 1).map((n) => `${kind === "VirtualService" ? "vs" : "o"}${n}`),
      namespace: fc.constantFrom("default", "default", "default", "other"),
      spec: fc.option(spec as fc.Arbitrary<unknown>, { freq: 5, nil: undefined }),
    })
  ),
  fc.record({
    kind: fc.constant<Kind>("VirtualService"),
    name: fc.constant("vs3"),
    namespace: fc.constant("default"),
    spec: fc.option(delegate as fc.Arbitrary<unknown>, { nil: undefined }),
  }),
);

/** Edits of few hosts on few ports, all of TCP and TLS. */
const l4Edit: fc.Arbitrary<Edit> = fc.oneof(
  ...([
    [
      "ServiceEntry",
      serviceEntry.map((spec) => ({
        ...spec,
        ports: spec.ports.map((p) => ({ ...p, protocol: p.number === 80 ? "TLS" : "TCP" })),
      })),
    ],
    ["DestinationRule", destinationRule],
    ["VirtualService", l4Service],
    ["VirtualService", l4Service],
  ] as const).map(([kind, spec]) =>
    fc.record({
      kind: fc.constant<Kind>(kind),
      name: fc.nat(4).map((n) => `o${n}`),
      namespace: fc.constant("default"),
      spec: fc.option(spec as fc.Arbitrary<unknown>, { freq: 9, nil: undefined }),
    })
  ),
);

/** Sound documents of an edit; none when it takes the object away or Istio would refuse it. */
function documentsOf({ kind, name, namespace, spec }: Edit): RuleDocument[] {
  if (spec === undefined) return [];
  const text = JSON.stringify({
    apiVersion: "networking.istio.io/v1",
    kind,
    metadata: { name, namespace },
    spec,
  });
  const { documents } = parseRules(`${kind}-${name}.yaml`, text, { namespace: "default" });
  return documents.filter((d) => !validateDocument(d).some((f) => f.severity === "error"));
}

const plain = (program: Program): unknown => ({
  routes: [...program.routeConfigurations],
  clusters: [...program.clusters],
  endpoints: [...program.loadAssignments],
  listeners: [...program.listeners ?? []],
});

function assertShared<V>(before: ReadonlyMap<string, V>, after: ReadonlyMap<string, V>): void {
  for (const [name, value] of after) {
    const old = before.get(name);
    if (old === undefined || old === value) continue;
    assert.notDeepStrictEqual(value, old, `${name} is made anew but equal`);
  }
}

/** `led`: chains that come from rules. */
function check(
  steps: fc.Arbitrary<Edit[][]>,
  numRuns: number,
): { accepted: number; tried: number; led: number } {
  let accepted = 0;
  let tried = 0;
  let led = 0;
  fc.assert(
    fc.property(
      steps,
      (steps) => {
        const compiler = createCompiler(PROXY);
        const inForce = new Map<string, RuleDocument>();
        let last: Program | undefined;
        for (const step of steps) {
          for (const change of step) {
            const key = `${change.kind} ${change.namespace}/${change.name}`;
            const [document] = documentsOf(change);
            tried++;
            if (document === undefined) inForce.delete(key);
            else {
              accepted++;
              inForce.set(key, document);
            }
          }
          const documents = [...inForce.values()];
          const { program } = compiler.update(documents);
          assert.deepStrictEqual(plain(program), plain(createCompiler(PROXY).update(documents).program));
          if (last !== undefined) {
            assertShared(last.routeConfigurations, program.routeConfigurations);
            for (const [name, table] of program.routeConfigurations) {
              const byName = (t: typeof table | undefined) =>
                new Map((t?.virtualHosts ?? []).map((v) => [v.name, v]));
              assertShared(byName(last.routeConfigurations.get(name)), byName(table));
            }
            assertShared(last.clusters, program.clusters);
            assertShared(last.loadAssignments, program.loadAssignments);
            assertShared(last.listeners ?? new Map(), program.listeners ?? new Map());
          }
          assert.strictEqual(compiler.update([...documents]).program, program);
          for (const { filterChains, defaultFilterChain } of program.listeners?.values() ?? []) {
            for (const chain of [...filterChains, defaultFilterChain]) {
              if (chain?.origin !== undefined && JSON.stringify(chain.origin).includes("VirtualService")) {
                led++;
              }
            }
          }
          last = program;
        }
      },
    ),
    { seed: 20_260_801, numRuns },
  );
  return { accepted, tried, led };
}

Deno.test("an update gives what compiling from nothing gives, and shares what did not change", () => {
  const some = fc.array(fc.array(edit, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 6 });
  const { accepted, tried } = check(some, 400);
  assert.ok(accepted > tried / 3, `only ${accepted} of ${tried} random objects are sound`);
});

Deno.test("an update of TCP and TLS rules gives what compiling from nothing gives, and shares the rest", () => {
  const step = fc.array(l4Edit, { minLength: 1, maxLength: 6, size: "max" });
  const { accepted, tried, led } = check(fc.array(step, { minLength: 2, maxLength: 8, size: "max" }), 150);
  assert.ok(accepted > tried / 3, `only ${accepted} of ${tried} random objects are sound`);
  assert.ok(led > 300, `only ${led} chains come from rules`);
});
