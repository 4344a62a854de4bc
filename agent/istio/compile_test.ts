import assert from "node:assert";
import type { Program, VirtualHost } from "../model/model.ts";
import { createCompiler } from "./compile.ts";
import { type DestinationRuleDocument, DestinationRules, effectivePolicy } from "./destination_rules.ts";
import { guardsHold, lowerMatch } from "./lower_match.ts";
import { parseRules } from "./parse.ts";
import type { Kind, ProxyContext, RuleDocument } from "./resources.ts";

const PROXY: ProxyContext = {
  namespace: "default",
  domainSuffix: "svc.cluster.local",
  labels: {},
  outboundTrafficPolicy: "ALLOW_ANY",
};

function rule(kind: Kind, name: string, spec: unknown, namespace = "default"): RuleDocument {
  const text = JSON.stringify({
    apiVersion: "networking.istio.io/v1",
    kind,
    metadata: { name, namespace },
    spec,
  });
  const { documents, diagnostics } = parseRules(`${name}.yaml`, text, { namespace });
  assert.deepStrictEqual(diagnostics, []);
  return documents[0] as RuleDocument;
}

function service(
  name: string,
  host: string,
  ports: number[],
  more: object = {},
  namespace?: string,
): RuleDocument {
  return rule("ServiceEntry", name, {
    hosts: [host],
    ports: ports.map((number) => ({ number, name: `http-${number}`, protocol: "HTTP" })),
    resolution: "STATIC",
    endpoints: [
      { address: "10.0.0.1", labels: { version: "v1" } },
      { address: "10.0.0.2", labels: { version: "v2" } },
    ],
    ...more,
  }, namespace);
}

function to(
  name: string,
  hosts: string[],
  host: string,
  more: object = {},
  namespace?: string,
): RuleDocument {
  return rule("VirtualService", name, {
    hosts,
    http: [{ name, route: [{ destination: { host } }] }],
    ...more,
  }, namespace);
}

function compile(documents: RuleDocument[], proxy: Partial<ProxyContext> = {}): Program {
  return createCompiler({ ...PROXY, ...proxy }).update(documents).program;
}

function hosts(program: Program, port: number): ReadonlyMap<string, VirtualHost> {
  return new Map((program.routeConfigurations.get(String(port))?.virtualHosts ?? []).map((v) => [v.name, v]));
}

/** Names of the first routes by virtual host. */
function firstRoutes(program: Program, port: number): Record<string, string | undefined> {
  return Object.fromEntries(Array.from(hosts(program, port), ([name, v]) => [name, v.routes[0]?.name]));
}

const A = "a.default.svc.cluster.local";
const B = "b.default.svc.cluster.local";

Deno.test("the oldest rule of a host wins, a later one keeps its other hosts", () => {
  const program = compile([
    service("a", A, [80]),
    service("b", B, [80]),
    to("vs-1", [A], A),
    to("vs-2", ["a", "b"], B),
  ]);
  assert.deepStrictEqual(firstRoutes(program, 80), {
    [`${A}:80`]: "vs-1",
    [`${B}:80`]: "vs-2",
    allow_any: "allow_any",
  });
});

Deno.test("a private rule beats a public one, an exact host any wildcard, the longest wildcard the others", () => {
  const program = compile([
    service("a", A, [80]),
    service("x", "x.shop.com", [80]),
    service("y", "y.shop.com", [80]),
    service("z", "z.eu.shop.com", [80]),
    to("aaa", [A], A),
    to("zzz", [A], A, { exportTo: ["."] }),
    to("exact", ["x.shop.com"], A),
    to("eu", ["*.eu.shop.com"], A),
    to("all", ["*.shop.com"], A),
  ]);
  assert.deepStrictEqual(firstRoutes(program, 80), {
    [`${A}:80`]: "zzz",
    "x.shop.com:80": "exact",
    "y.shop.com:80": "all",
    "z.eu.shop.com:80": "eu",
    allow_any: "allow_any",
  });
});

Deno.test("a host that no service declares follows the ports of the rule's services, or works on port 80", () => {
  const program = compile([
    service("a", A, [9080, 9090]),
    to("both", [A, "google.com"], A),
    to("alone", ["alone.com"], A),
  ]);
  assert.deepStrictEqual([...hosts(program, 9080).keys()], [`${A}:9080`, "google.com:9080", "allow_any"]);
  assert.deepStrictEqual([...hosts(program, 9090).keys()], [`${A}:9090`, "google.com:9090", "allow_any"]);
  assert.deepStrictEqual([...hosts(program, 80).keys()], ["alone.com:80", "allow_any"]);
  assert.deepStrictEqual(hosts(program, 80).get("alone.com:80")?.domains, ["alone.com"]);
});

Deno.test("a rule whose matches are all for other ports leaves the default route", () => {
  const http = [{ name: "other", match: [{ port: 81 }], route: [{ destination: { host: A } }] }];
  const program = compile([service("a", A, [80, 81]), rule("VirtualService", "vs", { hosts: [A], http })]);
  assert.deepStrictEqual(firstRoutes(program, 80), { [`${A}:80`]: "default", allow_any: "allow_any" });
  assert.deepStrictEqual(firstRoutes(program, 81), { [`${A}:81`]: "other", allow_any: "allow_any" });
});

Deno.test("where the exact rule of a host says nothing, no wildcard takes over", () => {
  const program = compile([
    service("a", A, [80, 81]),
    rule("VirtualService", "exact", {
      hosts: [A],
      http: [{ name: "exact", match: [{ port: 81 }], route: [{ destination: { host: A } }] }],
    }),
    to("wild", ["*.default.svc.cluster.local"], A),
  ]);
  assert.strictEqual(firstRoutes(program, 80)[`${A}:80`], "default");
  assert.strictEqual(firstRoutes(program, 81)[`${A}:81`], "exact");
});

Deno.test("a host declared twice in a namespace: ports once each, endpoints of both", () => {
  const one = (name: string, address: string) => service(name, "x.com", [80], { endpoints: [{ address }] });
  const program = compile([one("1", "10.0.0.1"), one("2", "10.0.0.2")]);
  assert.deepStrictEqual([...hosts(program, 80).keys()], ["allow_any", "x.com:80"].sort().reverse());
  const endpoints = program.loadAssignments.get("outbound|80||x.com")?.endpoints ?? [];
  assert.deepStrictEqual(endpoints.flatMap((l) => l.lbEndpoints.map((e) => e.address)), [
    "10.0.0.1",
    "10.0.0.2",
  ]);
});

Deno.test("DNS: the endpoints' names, or the host itself when there are none", () => {
  const dns = (endpoints: object[]) => {
    const program = compile([service("x", "x.com", [80], { resolution: "DNS", endpoints })]);
    const cluster = program.clusters.get("outbound|80||x.com");
    return cluster?.loadAssignment?.endpoints.flatMap((l) => l.lbEndpoints.map((e) => e.address));
  };
  assert.deepStrictEqual(dns([]), ["x.com"]);
  assert.deepStrictEqual(dns([{ address: "y.com" }]), ["y.com"]);
});

Deno.test("what is not exported to the proxy is not seen; its own namespace's definition comes first", () => {
  const program = compile([
    service("private", "p.com", [80], { exportTo: ["."] }, "other"),
    service("theirs", "s.com", [80], {}, "another"),
    service("z-ours", "s.com", [81]),
    to("vs", ["s.com"], "s.com", { exportTo: ["."] }, "other"),
  ]);
  assert.deepStrictEqual([...program.routeConfigurations.keys()], ["81"]);
  assert.deepStrictEqual(firstRoutes(program, 81), { "s.com:81": "default", allow_any: "allow_any" });
});

Deno.test("a short name that is another service's full name belongs to that service", () => {
  const documents = [service("a", A, [80]), service("short", "a.default", [80])];
  const program = compile(documents);
  assert.deepStrictEqual(hosts(program, 80).get("a.default:80")?.domains, ["a.default", "a.default."]);
  assert.ok(!hosts(program, 80).get(`${A}:80`)?.domains.includes("a.default"));
});

Deno.test("REGISTRY_ONLY ends a table with a host that answers 502", () => {
  const program = compile([service("a", A, [80])], { outboundTrafficPolicy: "REGISTRY_ONLY" });
  assert.deepStrictEqual(program.routeConfigurations.get("80")?.virtualHosts.at(-1), {
    name: "block_all",
    domains: ["*"],
    routes: [{ name: "block_all", match: { prefix: "/" }, directResponse: { status: 502 } }],
  });
});

Deno.test("rules of one host are merged inside a namespace, and the proxy's namespace hides the others", () => {
  const dr = (name: string, spec: object, namespace?: string) =>
    rule("DestinationRule", name, { host: A, ...spec }, namespace);
  const subset = (name: string, version: string) => ({ name, labels: { version } });
  const policy = { connectionPool: { tcp: { maxConnections: 3 } } };
  const program = compile([
    service("a", A, [80]),
    dr("1", { subsets: [subset("v1", "v1")] }),
    dr("2", { trafficPolicy: policy, subsets: [subset("v1", "v2"), subset("v2", "v2")] }),
    dr("0", { subsets: [subset("root", "v1")] }, "istio-system"),
  ]);
  const names = [...program.clusters.keys()].filter((n) => n.includes(A));
  assert.deepStrictEqual(names, [`outbound|80||${A}`, `outbound|80|v1|${A}`, `outbound|80|v2|${A}`]);
  assert.deepStrictEqual(program.clusters.get(`outbound|80|v1|${A}`)?.subsetLabels, { version: "v1" });
  assert.strictEqual(program.clusters.get(`outbound|80||${A}`)?.circuitBreakers?.maxConnections, 3);
});

Deno.test("a rule with a workloadSelector holds only for such workloads", () => {
  const documents = [
    service("a", A, [80]),
    rule("DestinationRule", "all", { host: A, trafficPolicy: { loadBalancer: { simple: "RANDOM" } } }),
    rule("DestinationRule", "some", {
      host: A,
      workloadSelector: { matchLabels: { app: "client" } },
      trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } },
    }),
  ];
  const policyOf = (program: Program) => program.clusters.get(`outbound|80||${A}`)?.lbPolicy;
  assert.strictEqual(policyOf(compile(documents)), "RANDOM");
  assert.strictEqual(policyOf(compile(documents, { labels: { app: "client", x: "y" } })), "ROUND_ROBIN");
});

Deno.test("a proxy in the root namespace takes from there what is private: by exportTo or by workloadSelector", () => {
  const proxy = { namespace: "istio-system", labels: { app: "client" } };
  const policyOf = (spec: object) => {
    const program = compile([
      service("a", A, [80]),
      rule("DestinationRule", "r", {
        host: A,
        trafficPolicy: { loadBalancer: { simple: "RANDOM" } },
        ...spec,
      }, "istio-system"),
      rule("DestinationRule", "near", {
        host: A,
        trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } },
      }),
    ], proxy);
    return program.clusters.get(`outbound|80||${A}`)?.lbPolicy;
  };
  assert.strictEqual(policyOf({}), "ROUND_ROBIN");
  assert.strictEqual(policyOf({ exportTo: ["."] }), "RANDOM");
  assert.strictEqual(policyOf({ workloadSelector: { matchLabels: { app: "client" } } }), "RANDOM");
});

Deno.test("the most specific rule of a namespace that is not exported hides its wider ones", () => {
  const dr = (name: string, host: string, simple: string, namespace: string, exportTo = ["*"]) =>
    rule("DestinationRule", name, { host, exportTo, trafficPolicy: { loadBalancer: { simple } } }, namespace);
  const program = compile([
    service("x", "x.com", [80], {}, "other"),
    dr("1", "*.com", "RANDOM", "other"),
    dr("2", "x.com", "RANDOM", "other", ["."]),
    dr("3", "x.com", "ROUND_ROBIN", "istio-system"),
  ]);
  assert.strictEqual(program.clusters.get("outbound|80||x.com")?.lbPolicy, "ROUND_ROBIN");
});

Deno.test("a port's entry replaces all blocks of a subset's policy, and only the base keeps its retry budget", () => {
  const rules = new DestinationRules(PROXY);
  const random = { loadBalancer: { simple: "RANDOM" } };
  const own = {
    retryBudget: { percent: { value: 1 } },
    connectionPool: { tcp: { maxConnections: 3 } },
    portLevelSettings: [{ port: { number: 80 }, ...random }],
  };
  rules.add(
    rule("DestinationRule", "r", {
      host: A,
      trafficPolicy: {
        retryBudget: { percent: { value: 2 } },
        connectionPool: { tcp: { maxConnections: 1 } },
      },
      subsets: [{ name: "v1", trafficPolicy: own }],
    }) as DestinationRuleDocument,
  );
  const found = rules.find(A, "default");
  const subset = found?.subsets[0]?.subset;
  assert.deepStrictEqual(effectivePolicy(found, 80, subset), {
    ...random,
    retryBudget: { percent: { value: 2 } },
  });
  assert.deepStrictEqual(effectivePolicy(found, 81, subset), {
    connectionPool: { tcp: { maxConnections: 3 } },
    retryBudget: { percent: { value: 1 } },
  });
});

Deno.test("guards: with gateways, labels and namespace of the source are not looked at", () => {
  const proxy = { ...PROXY, labels: { app: "a" } };
  for (
    const [match, holds] of [
      [{ port: 80 }, true],
      [{ port: 81 }, false],
      [{ sourceLabels: { app: "a" } }, true],
      [{ sourceLabels: { app: "b" } }, false],
      [{ sourceNamespace: "other" }, false],
      [{ gateways: ["edge"] }, false],
      [{ gateways: ["edge", "mesh"], sourceLabels: { app: "b" }, sourceNamespace: "other" }, true],
    ] as const
  ) {
    assert.strictEqual(guardsHold(match, 80, proxy), holds, JSON.stringify(match));
  }
});

Deno.test("withoutHeaders: a missing header counts as empty, unless presence is tested", () => {
  assert.deepStrictEqual(lowerMatch({ withoutHeaders: { B: { exact: "1" }, a: {} } }).headers, [
    { name: "b", stringMatch: { exact: "1" }, invertMatch: true, treatMissingHeaderAsEmpty: true },
    { name: "a", presentMatch: true, invertMatch: true },
  ]);
});

Deno.test("delegation: one match without a partner in the root drops the whole entry, not the others", () => {
  const destination = { route: [{ destination: { host: A } }] };
  const program = compile([
    service("a", A, [80]),
    rule("VirtualService", "root", {
      hosts: [A],
      http: [{ name: "r", match: [{ uri: { prefix: "/a" } }], delegate: { name: "leaf" } }],
    }),
    rule("VirtualService", "leaf", {
      http: [
        { name: "x", match: [{ uri: { prefix: "/a/1" } }, { uri: { prefix: "/b" } }], ...destination },
        { name: "y", match: [{ uri: { exact: "/a/2" } }], ...destination },
      ],
    }),
  ]);
  assert.deepStrictEqual(hosts(program, 80).get(`${A}:80`)?.routes.map((r) => r.name), ["r-y"]);
});

Deno.test("a change of endpoints reroutes nothing; a subset's endpoints are the service's own objects", () => {
  const rules = [
    rule("DestinationRule", "a", { host: A, subsets: [{ name: "v1", labels: { version: "v1" } }] }),
    to("vs", [A], A),
  ];
  const compiler = createCompiler(PROXY);
  const text = (last: string) =>
    `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: [${A}]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints:
  - {address: 10.0.0.1, labels: {version: v1}}
  - {address: ${last}, labels: {version: v2}}
`;
  const parse = (last: string) => parseRules("se.yaml", text(last), { namespace: "default" }).documents;
  const before = compiler.update([...parse("10.0.0.2"), ...rules]);
  const after = compiler.update([...parse("10.0.0.3"), ...rules]);
  assert.deepStrictEqual(after.stats, { hosts: 1, recompiled: 1, rerouted: 0 });
  assert.strictEqual(after.program.routeConfigurations, before.program.routeConfigurations);
  assert.strictEqual(after.program.clusters, before.program.clusters);
  const name = (subset: string) => `outbound|80|${subset}|${A}`;
  const of = ({ program }: typeof before, subset: string) => program.loadAssignments.get(name(subset));
  assert.strictEqual(of(after, "v1"), of(before, "v1"));
  assert.deepStrictEqual(of(after, "")?.endpoints[0]?.lbEndpoints.map((e) => e.address), [
    "10.0.0.1",
    "10.0.0.3",
  ]);
  assert.strictEqual(
    of(before, "v1")?.endpoints[0]?.lbEndpoints[0],
    of(before, "")?.endpoints[0]?.lbEndpoints[0],
  );
});

Deno.test("ports of endpoints: by the port's name, then targetPort, then the number", () => {
  const program = compile([rule("ServiceEntry", "a", {
    hosts: [A],
    resolution: "STATIC",
    ports: [
      { number: 80, name: "http", protocol: "HTTP", targetPort: 8080 },
      { number: 81, name: "other", protocol: "HTTP" },
    ],
    endpoints: [{ address: "10.0.0.1", ports: { http: 18080 } }, { address: "10.0.0.2" }, {
      address: "unix:///s",
    }],
  })]);
  const portsOf = (port: number) =>
    program.loadAssignments.get(`outbound|${port}||${A}`)?.endpoints[0]?.lbEndpoints.map((e) => e.port);
  assert.deepStrictEqual(portsOf(80), [18080, 8080, 0]);
  assert.deepStrictEqual(portsOf(81), [81, 81, 0]);
});

Deno.test("the program structured-clones and every route, host and service cluster tells its place", () => {
  const program = compile([service("a", A, [80]), to("vs", [A], A)]);
  assert.deepStrictEqual(structuredClone(program), program);
  const host = hosts(program, 80).get(`${A}:80`);
  assert.strictEqual(host?.routes[0]?.origin?.field, "spec.http[0]");
  assert.strictEqual(host?.origin?.file, "vs.yaml");
  assert.strictEqual(program.clusters.get(`outbound|80||${A}`)?.origin?.field, "spec.ports[0]");
});
