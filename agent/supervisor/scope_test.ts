import assert from "node:assert/strict";
import { GRPC_VARIABLES } from "../core/variables.ts";
import { readSettings } from "../settings/read.ts";
import type { AgentConfig } from "../settings/types.ts";
import { originOf, rootsOf, scopeChange, type ScopeFacts, scopeOf } from "./scope.ts";

const FACTS: ScopeFacts = {
  nameservers: ["10.96.0.10", "2001:db8::53"],
  realPaths: new Map(),
  program: ["/program"],
  places: [],
};

function settings(text: string, env: Record<string, string> = {}): AgentConfig {
  const { config, diagnostics } = readSettings({
    directory: "/conf",
    label: "conf",
    files: new Map([["chassis.yaml", text]]),
    env: new Map(Object.entries(env)),
  });
  assert.ok(config !== undefined, JSON.stringify(diagnostics));
  return config;
}

const PRIVATE = ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "[::1]"];

Deno.test("scope: of defaults, exactly what is needed and why", () => {
  const { guard, grants, runtime, net } = scopeOf(settings("cse: {}"), FACTS);
  assert.equal(guard, "runtime");
  assert.deepEqual(runtime, {
    net: ["127.0.0.1:30101", "127.0.0.1:30102", "10.96.0.10:53", "[2001:db8::53]:53", ...PRIVATE],
    read: ["/conf", "/conf/rules", "/etc/resolv.conf", "/etc/hosts", "/program"],
    write: [],
    env: ["DENO_TOKIO_MAX_IO_EVENTS_PER_TICK", "LOG_STREAM", "LOG_TOKENS"],
  });
  assert.deepEqual(net.slice(0, 2), ["10.96.0.10:53", "[2001:db8::53]:53"]);
  assert.deepEqual(grants[0], {
    right: "listen",
    value: "127.0.0.1:30101",
    because: "cse.protocols.http.listenAddress",
  });
  assert.equal(originOf(grants[0]!, settings("cse: {}")), "default");
});

Deno.test("scope: a control plane over TLS adds its address, certificates and token, with their places", () => {
  const config = settings(`cse:
  protocols:
    http: {listenAddress: "[::1]:8080"}
  service:
    registry:
      serviceDiscovery: {type: pilotv3, address: "grpcs://istiod.istio-system:15012,grpcs://203.0.113.1:15012"}
  mesh:
    permissions: {net: [10.1.0.0/16, "api.example.com:443"], read: [extra, /opt/x]}
discovery: {certDirectory: certs, tokenFile: /var/run/token}
`);
  const { grants, runtime } = scopeOf(config, { ...FACTS, nameservers: [] });
  assert.deepEqual(runtime.net, [
    "[::1]:8080",
    "127.0.0.1:30102",
    "istiod.istio-system:15012",
    "203.0.113.1:15012",
    "10.1.0.0/16",
    "api.example.com:443",
  ]);
  assert.deepEqual(runtime.read, [
    "/conf",
    ...["/conf/certs/root-cert.pem", "/conf/certs/cert-chain.pem", "/conf/certs/key.pem"],
    "/var/run/token",
    ...["/etc/resolv.conf", "/etc/hosts", "/conf/extra", "/opt/x", "/program"],
  ]);
  const range = grants.find(({ value }) => value === "10.1.0.0/16")!;
  assert.equal(range.because, "cse.mesh.permissions.net");
  assert.equal(originOf(range, config), "conf/chassis.yaml:8:24");
});

Deno.test("scope: the cache is written to, and read, and nothing else is written; health listens", () => {
  const of = (type: string) =>
    settings(`cse:
  service: {registry: {serviceDiscovery: {type: ${type}}}}
  mesh: {cacheDir: kept, readinessFile: ready, healthListenAddress: "0.0.0.0:30103"}
`);
  const config = of("pilotv3");
  const { runtime, grants, roots } = scopeOf(config, FACTS);
  assert.deepEqual(runtime.write, ["/conf/kept"]);
  assert.ok(runtime.read.includes("/conf/kept") && roots.includes("/conf/kept"));
  assert.ok((runtime.net as string[]).includes("0.0.0.0:30103"));
  const grant = grants.find(({ right }) => right === "write")!;
  assert.equal(originOf(grant, config), "conf/chassis.yaml:3:20");
  // Rules of files are not kept.
  assert.deepEqual(scopeOf(of("file"), FACTS).runtime.write, []);
});

Deno.test("scope: the variables of grpc-js only when it carries discovery", () => {
  const envOf = (more: string) =>
    scopeOf(settings(`cse: {service: {registry: {serviceDiscovery: {type: pilotv3}}}}\n${more}`), FACTS)
      .runtime.env;
  const own = ["DENO_TOKIO_MAX_IO_EVENTS_PER_TICK", "LOG_STREAM", "LOG_TOKENS"];
  assert.deepEqual(envOf(""), own);
  assert.deepEqual(
    envOf("discovery: {transport: grpc-js}").filter((name) => !own.includes(name)),
    GRPC_VARIABLES,
  );
});

Deno.test("scope: any is shown as any, and a range of IPv6 is for the agent to hold", () => {
  const any = scopeOf(settings("cse: {mesh: {permissions: {net: [any]}}}"), FACTS);
  assert.deepEqual([any.guard, any.runtime.net], ["nobody", true]);
  assert.ok(any.grants.some(({ right, value }) => right === "connect" && value === "any"));
  const v6 = scopeOf(settings('cse: {mesh: {permissions: {net: [private, "fc00::/7"]}}}'), FACTS);
  assert.deepEqual([v6.guard, v6.runtime.net], ["agent", true]);
  assert.ok(v6.net.includes("[fc00::]/7"));
});

Deno.test("scope: places of rules come on top, unless they are inside", () => {
  const places = [
    { place: "10.9.9.9:80", where: "a.yaml:1" },
    { place: "203.0.113.5:443", where: "a.yaml:1" },
    { place: "api.example.com:443", where: "b.yaml:7" },
    { place: "api.inside.example:443", where: "b.yaml:8" },
    // Only in part.
    { place: "198.51.96.0/20:7000", where: "c.yaml:1" },
    { place: "*.half.example:443", where: "c.yaml:2" },
    { place: "198.51.100.128/25:7000", where: "c.yaml:3" },
    { place: "*.more.inside.example:443", where: "c.yaml:4" },
  ];
  const net =
    "cse: {mesh: {permissions: {net: [private, '*.inside.example', x.half.example, 198.51.96.0/24, " +
    "'198.51.100.0/24:7000']}}}";
  const { grants } = scopeOf(settings(net), { ...FACTS, places });
  assert.deepEqual(
    grants.filter(({ because }) => because === "rule file").map(({ value, origin }) => [value, origin]),
    [
      ["203.0.113.5:443", "a.yaml:1"],
      ["api.example.com:443", "b.yaml:7"],
      ["198.51.96.0/20:7000", "c.yaml:1"],
      ["*.half.example:443", "c.yaml:2"],
    ],
  );
});

Deno.test("scope: local ports listen, and connect to where they lead", () => {
  const { runtime } = scopeOf(
    settings(
      "cse: {protocols: {grpc: {listenAddress: '127.0.0.1:40101'}}, " +
        "mesh: {tcp: {listeners: ['3306=db.example:3306']}, permissions: {net: [10.0.0.0/8]}}}",
    ),
    { ...FACTS, nameservers: [] },
  );
  assert.deepEqual(runtime.net, [
    "127.0.0.1:30101",
    "127.0.0.1:40101",
    "127.0.0.1:30102",
    "127.0.0.1:3306",
    "db.example:3306",
    "10.0.0.0/8",
  ]);
});

Deno.test("scope: links lead where their directories lead; a mounted token into its directory", () => {
  const config = settings(
    `cse: {service: {registry: {serviceDiscovery: {type: pilotv3, address: "grpcs://i:1"}}}}
discovery: {tokenFile: /var/run/secrets/token}
`,
  );
  assert.ok(rootsOf(config).includes("/var/run/secrets"));
  assert.ok(rootsOf(config).includes("/etc/certs"));
  const realPaths = new Map([["/var/run/secrets", "/run/secrets"], ["/conf", "/mnt/conf"]]);
  const { roots } = scopeOf(config, { ...FACTS, realPaths });
  assert.ok(roots.includes("/run/secrets") && roots.includes("/mnt/conf") && roots.includes("/etc/certs"));
  assert.ok(!roots.includes("/var/run/secrets") && !roots.includes("/conf"));
});

Deno.test("scope: who names a certificate or the token among what may be read narrows nothing", () => {
  const config = settings(`cse:
  service: {registry: {serviceDiscovery: {type: pilotv3, address: "grpcs://i:1"}}}
  mesh: {permissions: {read: [/certs/root-cert.pem, /tokens/token]}}
discovery: {certDirectory: /certs, tokenFile: /tokens/token}
`);
  const roots = rootsOf(config);
  for (const root of ["/certs", "/tokens"]) {
    assert.ok(roots.includes(root), "the next renewal lies beside it");
  }
});

Deno.test("scope: the variables of grpc-js are read only where it is loaded", () => {
  for (
    const [type, transport, wanted] of [
      ["pilotv3", "grpc-js", true],
      ["pilotv3", "native", false],
      ["file", "grpc-js", false],
    ] as const
  ) {
    const config = settings(
      `{cse: {service: {registry: {serviceDiscovery: {type: ${type}}}}}, discovery: {transport: ${transport}}}`,
    );
    assert.equal(
      scopeOf(config, FACTS).runtime.env.includes("GRPC_VERBOSITY"),
      wanted,
      `${type} ${transport}`,
    );
  }
});

Deno.test("scope: what a restart would change", () => {
  const now = scopeOf(settings("cse: {}"), FACTS);
  const next = scopeOf(
    settings("cse: {mesh: {permissions: {net: [private, 203.0.113.5], read: [/x]}}}"),
    { ...FACTS, nameservers: ["10.96.0.10"] },
  );
  assert.deepEqual(scopeChange(now, next), [
    "+connect 203.0.113.5",
    "+read /x",
    "-connect [2001:db8::53]:53",
  ]);
  assert.deepEqual(scopeChange(now, now), []);
});

Deno.test("scope: service ports listen on the workload's address and lead to the application, exactly", () => {
  const env = { INSTANCE_IP: "10.0.0.5", SERVICE_PORTS: "rest:8084,tcp:3306:3307" };
  const { grants, runtime, net } = scopeOf(
    settings("cse: {mesh: {permissions: {net: [192.0.2.1]}}}", env),
    { ...FACTS, nameservers: [] },
  );
  assert.deepEqual(grants.filter((g) => g.because === "cse.mesh.inbound.servicePorts"), [
    { right: "listen", value: "10.0.0.5:8084", because: "cse.mesh.inbound.servicePorts" },
    { right: "connect", value: "127.0.0.1:8084", because: "cse.mesh.inbound.servicePorts" },
    { right: "listen", value: "10.0.0.5:3306", because: "cse.mesh.inbound.servicePorts" },
    { right: "connect", value: "127.0.0.1:3307", because: "cse.mesh.inbound.servicePorts" },
  ]);
  assert.deepEqual(net, ["127.0.0.1:8084", "127.0.0.1:3307", "192.0.2.1"]);
  assert.deepEqual(runtime.net, [
    "127.0.0.1:30101",
    "127.0.0.1:30102",
    "10.0.0.5:8084",
    "10.0.0.5:3306",
    "127.0.0.1:8084",
    "127.0.0.1:3307",
    "192.0.2.1",
  ]);
});

Deno.test("scope: ports that a control plane will name are any of the workload's address", () => {
  const chassis = `cse:
  service: {registry: {serviceDiscovery: {type: pilotv2, address: "grpc://192.0.2.9:15010"}}}
  mesh: {inbound: {fromControlPlane: true}, permissions: {net: [192.0.2.1]}}
`;
  const { runtime } = scopeOf(settings(chassis, { INSTANCE_IP: "fd00::5" }), { ...FACTS, nameservers: [] });
  assert.deepEqual(runtime.net, [
    "127.0.0.1:30101",
    "127.0.0.1:30102",
    "[fd00::5]",
    "127.0.0.1",
    "192.0.2.9:15010",
    "192.0.2.1",
  ]);
});
