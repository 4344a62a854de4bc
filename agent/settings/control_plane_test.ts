import assert from "node:assert/strict";
import { formatDiagnostic } from "../core/diagnostics.ts";
import { readControlPlanes } from "./control_plane.ts";
import { readSettings, type SettingsReading } from "./read.ts";
import type { AgentConfig } from "./types.ts";

type PilotType = Parameters<typeof readControlPlanes>[1];

/** `scheme host port`, or what is wrong. */
function said(list: string, type: PilotType, options = {}): string[] {
  return readControlPlanes(list, type, options).map((reading) =>
    "address" in reading
      ? `${reading.address.scheme} ${reading.address.host} ${reading.address.port}`
      : `! ${reading.problem}`
  );
}

for (
  const [text, type, ...wanted] of [
    ["http://istio-pilot.istio-system:8080", "pilot", "http istio-pilot.istio-system 8080"],
    ["istio-pilot.istio-system", "pilot", "http istio-pilot.istio-system 8080"],
    ["istio-pilot:18080", "pilot", "http istio-pilot 18080"],
    ["grpc://istio-pilot.istio-system:15010", "pilotv2", "grpc istio-pilot.istio-system 15010"],
    ["grpcs://istio-pilot.istio-system", "pilotv2", "grpcs istio-pilot.istio-system 15012"],
    ["istiod.istio-system.svc", "pilotv3", "grpc istiod.istio-system.svc 15010"],
    ["istiod:15012", "pilotv3", "grpcs istiod 15012"],
    ["grpc://istiod:15012", "pilotv3", "grpc istiod 15012"],
    ["GRPC://istiod:15010/", "pilotv3", "grpc istiod 15010"],
    ["grpc://[::1]:15010", "pilotv3", "grpc ::1 15010"],
    ["[fe80::1%eth0]", "pilotv3", "grpc fe80::1%eth0 15010"],
    ["grpc://10.0.0.1", "pilotv3", "grpc 10.0.0.1 15010"],
    ["grpc://a:15010, b ,,grpcs://c", "pilotv3", "grpc a 15010", "grpc b 15010", "grpcs c 15012"],
    ["grpc://a:15010,a,grpcs://a:15010", "pilotv3", "grpc a 15010", "grpcs a 15010"],
    [
      "grpc://a, https://b:15012",
      "pilotv3",
      "grpc a 15010",
      "! pilotv3 speaks gRPC; want grpcs://b:15012 for TLS",
    ],
    [
      "http://a:8080",
      "pilotv2",
      "! pilotv2 speaks gRPC; want grpc://a:15010, or serviceDiscovery.type pilot for " +
      "Pilot's v1 API",
    ],
    [
      "http://a:15010",
      "pilotv3",
      "! pilotv3 speaks gRPC; want grpc://a:15010, or serviceDiscovery.type pilot for " +
      "Pilot's v1 API",
    ],
    ["https://a:15005", "pilot", "! Pilot's v1 API is asked without TLS; want http://a:15005"],
    [
      "grpc://a:15010",
      "pilot",
      "! type pilot asks Pilot's v1 API by HTTP; want http://a:8080, or " +
      "serviceDiscovery.type pilotv2 or pilotv3",
    ],
    ["xds://a", "pilotv3", "! there is no scheme xds:// here; want grpc://a:15010, or grpcs:// for TLS"],
    ["tcp://[::1]", "pilot", "! there is no scheme tcp:// here; want http://[::1]:8080"],
    ["::1", "pilotv3", "! an IPv6 address stands in brackets; want such as grpc://[::1]:15010"],
    [
      "grpc://fd00::2:15010",
      "pilotv3",
      "! an IPv6 address stands in brackets; want such as " +
      "grpc://[fd00::2:15010]:15010",
    ],
    [
      "grpc://[10.0.0.1]",
      "pilotv3",
      "! only IPv6 addresses stand in brackets; want such as grpc://istiod.istio-system.svc:15010",
    ],
    [
      "grpc://10.0.0",
      "pilotv3",
      '! "10.0.0" is no IPv4 address; want such as grpc://istiod.istio-system.svc:15010',
    ],
    ["grpc://a:0", "pilotv3", "! port 0 is out of range; want 1 to 65535"],
    ["grpc://a:65536", "pilotv3", "! port 65536 is out of range; want 1 to 65535"],
    [
      "grpc://a/x",
      "pilotv3",
      "! it has a path; want host and port only, such as " +
      "grpc://istiod.istio-system.svc:15010",
    ],
    [
      "/etc/rules",
      "pilot",
      "! it has a path; want host and port only, such as http://istio-pilot.istio-system:8080",
    ],
    ["grpc://me@a", "pilotv3", "! want host and port only, such as grpc://istiod.istio-system.svc:15010"],
    ["grpc://a:x", "pilotv3", "! it is no host and port; want such as grpc://istiod.istio-system.svc:15010"],
    ["grpc://", "pilotv3", "! it is no host and port; want such as grpc://istiod.istio-system.svc:15010"],
    [" , ", "pilotv3", "! it is empty; want grpc://istiod.istio-system.svc:15010 or alike"],
  ] as const
) {
  Deno.test(`control plane "${text}" of ${type}`, () => assert.deepEqual(said(text, type), wanted));
}

Deno.test("control plane: where http:// means gRPC", () => {
  const options = { httpMeansGrpc: true };
  assert.deepEqual(said("http://a:15010,http://b,grpcs://c", "pilotv2", options), [
    "grpc a 15010",
    "grpc b 15010",
    "grpcs c 15012",
  ]);
  assert.deepEqual(said("https://a", "pilotv2", options), [
    "! pilotv2 speaks gRPC; want grpcs://a:15012 for TLS",
  ]);
});

const IDENTITY = { POD_NAME: "shop-1", POD_NAMESPACE: "shop", INSTANCE_IP: "10.0.0.7" };

function read(settings: {
  readonly type: string;
  readonly address?: string;
  readonly infra?: string;
  readonly router?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly more?: string;
}): SettingsReading {
  const { type, address, infra, router, more = "" } = settings;
  const line = (key: string, value: string | undefined) => value === undefined ? "" : `${key}: "${value}"\n`;
  return readSettings({
    directory: "/c",
    label: "conf",
    files: new Map([
      [
        "chassis.yaml",
        `cse.service.registry.registrator.disabled: true\ncse.service.registry.serviceDiscovery.type: ${type}\n` +
        line("cse.service.registry.serviceDiscovery.address", address) + more,
      ],
      ["router.yaml", line("router.infra", infra) + line("router.address", router)],
    ]),
    env: new Map(Object.entries(settings.env ?? IDENTITY)),
  });
}

function config(settings: Parameters<typeof read>[0]): AgentConfig {
  const { config, diagnostics } = read(settings);
  assert.deepEqual(diagnostics.map(formatDiagnostic), []);
  return config as AgentConfig;
}

/** First lines of what is told. */
const told = (settings: Parameters<typeof read>[0]) =>
  read(settings).diagnostics.map((d) => formatDiagnostic(d).split("\n")[0]);

const places = (list: AgentConfig["discovery"]["addresses"]) =>
  list.map((a) => `${a.scheme}:${a.host}:${a.port}`);

Deno.test("control plane: default addresses, which are also the rules'", () => {
  for (
    const [type, address] of [
      ["pilot", "http://istio-pilot.istio-system:8080"],
      ["pilotv2", "grpc://istio-pilot.istio-system:15010"],
      ["pilotv3", "grpc://istiod.istio-system.svc:15010"],
    ] as const
  ) {
    const { serviceDiscovery, discovery, router, origins } = config({ type });
    assert.equal(serviceDiscovery.address, address);
    assert.deepEqual(discovery.addresses.map((a) => a.text), [address]);
    assert.deepEqual(discovery.routerAddresses, discovery.addresses);
    assert.deepEqual(router, { infra: type, address });
    assert.equal(origins.get("cse.service.registry.serviceDiscovery.address")?.value, address);
  }
});

Deno.test("control plane: type pilot takes its rules by v1 from its own address, by gRPC from another", () => {
  const address = "http://p:8080,http://q:8080";
  const of = (infra: string, router: string) => config({ type: "pilot", address, infra, router }).discovery;
  assert.deepEqual(places(of("pilot", "http://q:8080").routerAddresses), ["http:p:8080", "http:q:8080"]);
  for (const infra of ["pilot", "pilotv2"]) {
    for (const router of ["http://p:15010", "grpc://p:15010", "p"]) {
      const { addresses, routerAddresses } = of(infra, router);
      assert.deepEqual(places(addresses), ["http:p:8080", "http:q:8080"]);
      assert.deepEqual(places(routerAddresses), ["grpc:p:15010"]);
    }
  }
  const type = "pilot";
  const at = "conf/router.yaml:2:17: error [S115] ";
  assert.deepEqual(told({ type, address, infra: "pilot", router: "http://p:8080, grpc://p:15010" }), [
    `${at}Cannot use router.address "http://p:8080, grpc://p:15010": http://p:8080 is where the services come from by ` +
    "HTTP; want addresses of gRPC, such as grpc://p:15010",
  ]);
  assert.deepEqual(told({ type, address, infra: "pilotv2", router: "p:8080" }), [
    `${at}Cannot use router.address "p:8080": p:8080 is where the services come from by HTTP; want addresses of gRPC, ` +
    "such as grpc://p:15010",
  ]);
  assert.deepEqual(told({ type, address: "http://[::1]:8080", infra: "pilotv2" }), [
    'conf/router.yaml:1:15: error [S115] Cannot use router.infra "pilotv2" without router.address: the services come by ' +
    "HTTP, and pilotv2 speaks gRPC; want router.address grpc://[::1]:15010",
  ]);
});

Deno.test("control plane: one stream brings services and rules of pilotv2 and pilotv3", () => {
  const address = "grpcs://p:15012";
  for (
    const [type, infra] of [["pilotv2", "pilot"], ["pilotv2", "pilotv2"], ["pilotv3", "pilotv3"]] as const
  ) {
    const { discovery } = config({ type, address, infra, router: "http://P:15012" });
    assert.deepEqual(discovery.routerAddresses, discovery.addresses);
    assert.deepEqual(told({ type, address, infra, router: "grpc://q:15010" }), [
      `conf/router.yaml:2:17: error [S115] Cannot use router.address "grpc://q:15010": with serviceDiscovery.type ` +
      `${type} one stream brings services and rules; want the serviceDiscovery.address, or no router.address`,
    ]);
  }
});

Deno.test("control plane: a wrong address is told with its place, and nothing that only follows from it", () => {
  const at = "conf/chassis.yaml:3:48: error [S114] ";
  assert.deepEqual(
    told({ type: "pilotv2", address: "http://p:8080", infra: "pilot", router: "grpc://p:15010" }),
    [
      `${at}Cannot use serviceDiscovery.address "http://p:8080": pilotv2 speaks gRPC; want grpc://p:15010, or ` +
      "serviceDiscovery.type pilot for Pilot's v1 API",
    ],
  );
  assert.deepEqual(told({ type: "pilotv4", address: "http://p:8080" }), [
    'conf/chassis.yaml:2:45: error [S105] Cannot read cse.service.registry.serviceDiscovery.type "pilotv4": want one of ' +
    'file, pilot, pilotv2, pilotv3; did you mean "pilotv2"?',
  ]);
  assert.deepEqual(told({ type: "file", address: "grpc://p:15010" }), [
    `${at}Cannot use serviceDiscovery.address "grpc://p:15010": serviceDiscovery.type is "file"; want a directory of ` +
    "rules, or serviceDiscovery.type pilotv3 (or pilotv2)",
  ]);
  assert.deepEqual(
    told({ type: "pilot", more: "cse.service.registry.serviceDiscovery.refreshInterval: 0s\n" }),
    [
      'conf/chassis.yaml:3:56: error [S103] Cannot use serviceDiscovery.refreshInterval "0s": pilot is asked again and ' +
      "again; want a duration above 0s",
    ],
  );
});

Deno.test("control plane: the service centre's variable names it, too", () => {
  const env = { ...IDENTITY, CSE_SERVICE_CENTER: "grpc://q:15010" };
  assert.deepEqual(places(config({ type: "pilotv2", address: "grpc://p:15010", env }).discovery.addresses), [
    "grpc:q:15010",
  ]);
  assert.deepEqual(told({ type: "pilotv2", env: { ...env, CSE_SERVICE_CENTER: "http://127.0.0.1:30100" } }), [
    'variable CSE_SERVICE_CENTER: error [S114] Cannot use serviceDiscovery.address "http://127.0.0.1:30100": pilotv2 ' +
    "speaks gRPC; want grpc://127.0.0.1:30100, or serviceDiscovery.type pilot for Pilot's v1 API",
  ]);
});

Deno.test("control plane: who the workload is", () => {
  assert.deepEqual(told({ type: "pilotv3", env: {} }), [
    "variable POD_NAME: warning [S116] POD_NAME, POD_NAMESPACE, INSTANCE_IP are not set: to the control plane this " +
    "workload is pod pod_name_default of namespace default at 127.0.0.1",
  ]);
  assert.deepEqual(
    told({ type: "pilotv3", env: { POD_NAME: "a~b", POD_NAMESPACE: "a.b", INSTANCE_IP: "eth0" } }),
    [
      'variable POD_NAME: error [S103] Cannot use POD_NAME "a~b" with serviceDiscovery.type pilotv3: want a name of ' +
      "letters, digits, - and .",
      'variable POD_NAMESPACE: error [S103] Cannot use POD_NAMESPACE "a.b" with serviceDiscovery.type pilotv3: want a ' +
      "name of a-z, 0-9, -",
      'variable INSTANCE_IP: error [S103] Cannot use INSTANCE_IP "eth0" with serviceDiscovery.type pilotv3: want an IP ' +
      "address",
    ],
  );
  assert.equal(
    config({ type: "pilotv3", env: { ...IDENTITY, INSTANCE_IP: "fd00::7" } }).workload.instanceIp,
    "fd00::7",
  );
  assert.deepEqual(told({ type: "file", env: {} }), []);
});

Deno.test("discovery: everything from files, under both roots", () => {
  for (const root of ["", "cse."]) {
    const { discovery } = config({
      type: "pilotv3",
      more: `${root}discovery:
  hosts: [Reviews, "*.shop.svc.cluster.local", reviews, null]
  delta: false
  clusterId: east
  certDirectory: certs
  tokenFile: token
  serverName: istiod
  connectTimeout: 3s
  transport: grpc-js
`,
    });
    const { addresses: _, routerAddresses: __, ...rest } = discovery;
    assert.deepEqual(rest, {
      hosts: ["reviews", "*.shop.svc.cluster.local"],
      delta: false,
      clusterId: "east",
      certDirectory: "/c/certs",
      tokenFile: "/c/token",
      serverName: "istiod",
      connectTimeoutMs: 3_000,
      transport: "grpc-js",
    });
  }
  assert.equal(config({ type: "pilotv3", more: "discovery: {tokenFile: ''}\n" }).discovery.tokenFile, "");
});

Deno.test("discovery: from variables", () => {
  const env = {
    ...IDENTITY,
    CSE_DISCOVERY_HOSTS: "a, *.b",
    CSE_DISCOVERY_DELTA: "no",
    ISTIO_META_CLUSTER_ID: "west",
  };
  const { hosts, delta, clusterId } = config({ type: "pilotv3", env }).discovery;
  assert.deepEqual({ hosts, delta, clusterId }, { hosts: ["a", "*.b"], delta: false, clusterId: "west" });
  assert.equal(config({ type: "pilotv3", env }).discovery.transport, "native");
  const other = { ...env, CSE_DISCOVERY_TRANSPORT: "grpc-js" };
  assert.equal(config({ type: "pilotv3", env: other }).discovery.transport, "grpc-js");
  const both = { ...env, CSE_DISCOVERY_CLUSTERID: "east" };
  assert.equal(config({ type: "pilotv3", env: both }).discovery.clusterId, "east");
});

Deno.test("discovery: hosts that are none", () => {
  const want = "want host names without port, such as reviews or *.shop.svc.cluster.local";
  const of = (hosts: string) => told({ type: "pilotv3", more: `discovery:\n  hosts: ${hosts}\n` });
  assert.deepEqual(of('[a, "b:80"]'), [
    `conf/chassis.yaml:4:10: error [S103] Cannot read discovery.hosts.1 "b:80": ${want}`,
  ]);
  assert.deepEqual(of("a,http://b"), [
    `conf/chassis.yaml:4:10: error [S103] Cannot read discovery.hosts "a,http://b": ${want}`,
  ]);
  assert.deepEqual(of("{a: b}"), [
    "conf/chassis.yaml:4:10: error [S103] Cannot read discovery.hosts: want a list of host names, or a text with commas",
  ]);
  assert.deepEqual(of("[1]"), [
    `conf/chassis.yaml:4:10: error [S103] Cannot read discovery.hosts.0 "1": ${want}`,
  ]);
  assert.deepEqual(config({ type: "pilotv3", more: 'discovery: {hosts: ["*"]}\n' }).discovery.hosts, ["*"]);
  for (const bad of ['["*."]', '["a*"]', '["-a"]', '["*.*.a"]']) assert.equal(of(bad).length, 1, bad);
});
