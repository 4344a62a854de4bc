import assert from "node:assert/strict";
import { formatDiagnostic } from "../core/diagnostics.ts";
import { readSettings, type SettingFlags, type SettingsReading } from "./read.ts";
import type { AgentConfig } from "./types.ts";

interface Given {
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: SettingFlags;
  readonly unreadable?: readonly string[];
}

function read({ files = {}, env = {}, flags, unreadable = [] }: Given): SettingsReading {
  return readSettings({
    directory: "/etc/mesh/conf",
    label: "conf",
    files: new Map(Object.entries(files)),
    env: new Map(Object.entries(env)),
    flags,
    unreadable: new Set(unreadable),
  });
}

/** Told findings, without the info that registrator.disabled is absent. */
function told(given: Given): string[] {
  return read(given).diagnostics.filter((d) => d.code !== "S111").map(formatDiagnostic);
}

function config(given: Given): AgentConfig {
  const { config, diagnostics } = read(given);
  assert.ok(config !== undefined, diagnostics.map(formatDiagnostic).join("\n"));
  return config;
}

/** What a control plane wants to know of a workload. */
const IDENTITY = { POD_NAME: "shop-1", POD_NAMESPACE: "shop", INSTANCE_IP: "10.0.0.7" };

const chassis = (text: string): Given => ({ files: { "chassis.yaml": text } });

Deno.test("without files every setting has its default", () => {
  const { config, diagnostics } = read({});
  assert.deepEqual(diagnostics, []);
  const { origins, ...rest } = config as AgentConfig;
  assert.deepEqual(rest, {
    confDirectory: "/etc/mesh/conf",
    listen: {
      http: { hostname: "127.0.0.1", port: 30101 },
      admin: { hostname: "127.0.0.1", port: 30102 },
    },
    service: { name: "", version: "", application: "default" },
    workload: {
      podName: "pod_name_default",
      namespace: "default",
      instanceIp: "127.0.0.1",
      labels: {},
      metadata: {},
    },
    serviceDiscovery: { type: "file", address: "/etc/mesh/conf/rules", refreshIntervalMs: 30_000 },
    discovery: {
      hosts: [],
      delta: true,
      transport: "native",
      clusterId: "Kubernetes",
      certDirectory: "/etc/certs",
      tokenFile: "/var/run/secrets/tokens/istio-token",
      serverName: "",
      connectTimeoutMs: 10_000,
      addresses: [],
      routerAddresses: [],
    },
    router: { infra: "file", address: "/etc/mesh/conf/rules" },
    proxy: {
      engine: "native",
      outboundTrafficPolicy: "ALLOW_ANY",
      accessLog: "text",
      limits: {
        maxHeadBytes: 65_536,
        maxHeaderCount: 100,
        maxTargetBytes: 32_768,
        maxConnections: 16_384,
        maxInFlight: 8_192,
        maxDrainBytes: 65_536,
        maxIdlePerEndpoint: 1024,
      },
      timeouts: {
        headMs: 10_000,
        bodyStallMs: 60_000,
        idleMs: 3_600_000,
        upstreamIdleMs: 4_000,
        tunnelIdleMs: 3_600_000,
        connectMs: 10_000,
      },
      drainMs: 10_000,
    },
    isolation: true,
    cacheDir: "",
    readinessFile: "",
    permissions: { net: ["private"], read: [] },
    log: { level: "info" },
  });
  assert.ok([...origins.values()].every((o) => o.from === "default"));
});

Deno.test("both roots and all spellings of the registry say the same", () => {
  const below =
    "{registrator: {disabled: true}, serviceDiscovery: {type: file, address: /r, refreshInterval: 5s}}";
  for (
    const text of [
      `cse: {service: {registry: ${below}}}`,
      `cse: {service: {Registry: ${below}}}`,
      `cse: {registry: ${below}}`,
      `cse: {Registry: ${below}}`,
      `servicecomb: {service: {registry: ${below}}}`,
      `servicecomb: {registry: ${below}}`,
      `servicecomb.service.registry: ${below}`,
      `cse.service.Registry: ${below}`,
    ]
  ) {
    assert.deepEqual(read(chassis(text)).diagnostics, [], text);
    const { serviceDiscovery } = config(chassis(text));
    assert.deepEqual(serviceDiscovery, { type: "file", address: "/r", refreshIntervalMs: 5_000 }, text);
  }
});

Deno.test("a key may stand in any of the files", () => {
  const { listen, router } = config({
    files: {
      "mesher.yaml": "cse: {protocols: {http: {listenAddress: '[::1]:8080'}}}\nadmin: {enable: false}",
      "router.yaml": "router: {infra: file, address: /elsewhere}",
    },
  });
  assert.deepEqual(listen, { http: { hostname: "::1", port: 8080 }, admin: null });
  assert.deepEqual(router, { infra: "file", address: "/elsewhere" });
});

Deno.test("a flag beats a variable, a variable a file, a file the default", () => {
  const key = "cse.protocols.http.listenAddress";
  const files = { "chassis.yaml": "cse:\n  protocols:\n    http: {listenAddress: 127.0.0.1:1}\n" };
  const env = { CSE_PROTOCOLS_HTTP_LISTENADDRESS: "127.0.0.1:2" };
  const from = (given: Given) => {
    const { listen, origins } = config(given);
    const { from, where } = origins.get(key)!;
    return [listen.http.port, from, where.field ?? `${where.file}:${where.line}:${where.column}`];
  };
  assert.deepEqual(from({ files }), [1, "file", "conf/chassis.yaml:3:27"]);
  assert.deepEqual(from({ files, env }), [2, "environment", "CSE_PROTOCOLS_HTTP_LISTENADDRESS"]);
  assert.deepEqual(from({ files, env, flags: { http: "127.0.0.1:3" } }), [3, "flag", "--http"]);
  assert.deepEqual(config({ files, env: { CSE_PROTOCOLS_HTTP_LISTENADDRESS: "" } }).listen.http.port, 1);
});

Deno.test("texts are expanded from the environment", () => {
  const at = (address: string, env: Record<string, string> = {}) =>
    config({ ...chassis(`cse: {protocols: {http: {listenAddress: '${address}'}}}`), env }).listen.http;
  assert.deepEqual(at("${MESH_IP||127.0.0.1}:${MESH_PORT||7}"), { hostname: "127.0.0.1", port: 7 });
  assert.deepEqual(at("${MESH_IP||::1}:7", { MESH_IP: "127.0.0.2" }), { hostname: "127.0.0.2", port: 7 });
  // A variable that is not set and has no default leaves the key to its own default.
  assert.deepEqual(at("${MESH_ADDRESS}"), { hostname: "127.0.0.1", port: 30101 });

  const mesh = config({
    ...chassis("cse: {mesh: {limits: {maxInFlight: '${MESH_N||12}'}, timeouts: {head: '${MESH_T}'}}}"),
    env: { MESH_T: "3s" },
  });
  assert.equal(mesh.proxy.limits.maxInFlight, 12);
  assert.equal(mesh.proxy.timeouts.headMs, 3_000);
});

Deno.test("a variable that the agent may not read is told", () => {
  assert.deepEqual(
    told({ ...chassis("cse:\n  service:\n    name: ${MY_NAME||x}\n"), unreadable: ["MY_NAME"] }),
    [
      'conf/chassis.yaml:3:11: error [S107] Cannot read variable "MY_NAME" for "cse.service.name": the permission set ' +
      "does not name it; want one that it names\n" +
      "    Use a variable that the permission set names (MESH_ and any word is free), or add it there.",
    ],
  );
});

Deno.test("a wrong registrator", () => {
  assert.deepEqual(
    told(chassis("cse:\n  service:\n    registry:\n      registrator:\n        disabled: false\n")),
    [
      'conf/chassis.yaml:5:19: error [S110] Cannot use registrator.disabled "false": Istio takes services from its ' +
      "platform, and has no way for a sidecar to register one; want true\n" +
      "    Set it to true: services are ServiceEntries here, and Kubernetes services with Pilot.",
    ],
  );
});

Deno.test("an absent registrator counts as disabled, with an info", () => {
  const { config, diagnostics } = read(chassis("cse: {}"));
  assert.ok(config !== undefined);
  assert.deepEqual(diagnostics.map(formatDiagnostic), [
    "conf/chassis.yaml: info [S111] registrator.disabled is not set: it counts as true, as Istio needs it\n" +
    "    Write registrator.disabled: true to say so.",
  ]);
});

Deno.test("unknown keys", () => {
  assert.deepEqual(told(chassis("cse:\n  protocols:\n    http:\n      listenAdress: 127.0.0.1:1\n")), [
    'conf/chassis.yaml:4:7: error [S102] Cannot read key "cse.protocols.http.listenAdress": there is none of that ' +
    'name; did you mean "listenAddress"?\n' +
    "    Mend the spelling or delete the key.",
  ]);
  assert.deepEqual(told(chassis("servicecom:\n  x: 1\n")), [
    'conf/chassis.yaml:1:1: error [S102] Cannot read key "servicecom": there is none of that name; did you mean ' +
    '"servicecomb"?\n    Mend the spelling or delete the key.',
  ]);
  assert.deepEqual(told({ files: { "router.yaml": "router: {infra: file, zzzzzz: 1}" } }), [
    'conf/router.yaml:1:23: error [S102] Cannot read key "router.zzzzzz": there is none of that name; want one of ' +
    "address, infra\n    Mend the spelling or delete the key.",
  ]);
});

Deno.test("wrong types, all at once", () => {
  const text = `cse:
  protocols:
    http:
      listenAddress: 30101
    rest-admin: 127.0.0.1:1
  mesh:
    engine: nativ
    drainTimeout: 10
    limits:
      maxInFlight: -1
    timeouts: [head]
  service:
    name: no
    version: true
    properties: {team: on}
`;
  assert.deepEqual(told(chassis(text)).map((line) => line.split("\n")[0]), [
    'conf/chassis.yaml:4:22: error [S103] Cannot read cse.protocols.http.listenAddress "30101": want ADDRESS:PORT, ' +
    "such as 127.0.0.1:30101 or [::1]:30101",
    'conf/chassis.yaml:5:17: error [S103] Cannot read "cse.protocols.rest-admin": it is "127.0.0.1:1"; want a map',
    'conf/chassis.yaml:7:13: error [S105] Cannot read cse.mesh.engine "nativ": want one of native, serve; did you ' +
    'mean "native"?',
    'conf/chassis.yaml:8:19: error [S103] Cannot read cse.mesh.drainTimeout "10": want a duration such as 250ms, 10s ' +
    "or 1m30s (0s: none)",
    'conf/chassis.yaml:10:20: error [S103] Cannot read cse.mesh.limits.maxInFlight "-1": want a whole number of at least 1',
    'conf/chassis.yaml:11:15: error [S103] Cannot read "cse.mesh.timeouts": it is a list; want a map',
    'conf/chassis.yaml:13:11: error [S104] Cannot read cse.service.name "no": the bare word is a boolean to ' +
    "Kubernetes; want text",
    'conf/chassis.yaml:14:14: error [S103] Cannot read cse.service.version "true": it is a boolean; want text (in quotes)',
    'conf/chassis.yaml:15:17: error [S104] Cannot read cse.service.properties.team "on": the bare word is a boolean ' +
    "to Kubernetes; want text",
  ]);
});

Deno.test("a pair outside of the table, and pairs that come later", () => {
  const of = (type: string, infra?: string): Given => ({
    files: {
      "chassis.yaml":
        `cse:\n  registry:\n    serviceDiscovery:\n      type: ${type}\n      address: grpc://pilot:15010\n`,
      ...(infra === undefined ? {} : { "router.yaml": `router:\n  infra: ${infra}\n` }),
    },
    env: IDENTITY,
  });
  assert.deepEqual(told(of("pilotv3", "file")), [
    'conf/router.yaml:2:10: error [S112] Cannot use router.infra "file" with serviceDiscovery.type "pilotv3": they do ' +
    "not go together; want router.infra one of cse, pilotv3\n" +
    "    Take the rules from where the services come from: leave router.infra out.",
  ]);
  for (const type of ["file", "pilot", "pilotv2", "pilotv3"]) {
    const about = of(type, "cse");
    const files = { ...about.files, ...type === "file" && { "chassis.yaml": "" } };
    assert.deepEqual(told({ files, env: IDENTITY }).filter((line) => line.includes("S113")), [
      'conf/router.yaml:2:10: error [S113] Cannot use router.infra "cse": it comes with the rules of router.yaml; want ' +
      `${type}\n    Take the rules from where the services come from: leave router.infra out.`,
    ]);
  }
  assert.deepEqual(told(of("servicecenter")), [
    'conf/chassis.yaml:4:13: error [S105] Cannot read cse.registry.serviceDiscovery.type "servicecenter": want one of ' +
    "file, pilot, pilotv2, pilotv3\n    Use one of the values.",
  ]);
});

Deno.test("a key that is set twice to different things", () => {
  assert.deepEqual(
    told({
      files: {
        "chassis.yaml": "cse: {service: {name: b}}",
        "microservice.yaml": "service_description: {name: a}",
      },
    }),
    [
      'conf/chassis.yaml:1:23: error [S106] Cannot read "cse.service.name": it is set at conf/microservice.yaml:1:29, ' +
      "too, to something else\n    Keep one of the two.",
    ],
  );
  const same = {
    "chassis.yaml": "cse: {service: {name: a}}",
    "microservice.yaml": "service_description: {name: a}",
  };
  assert.equal(config({ files: same }).service.name, "a");
  const codes = (text: string) => told(chassis(text)).map((line) => /\[(\w+)\]/.exec(line)?.[1]);
  // An alias can make a value endless.
  const endless = "cse: {service: {name: &x [*x]}}\nservice_description: {name: *x}\n";
  assert.deepEqual(codes(endless), ["S103"]);
  const twice = "cse: {service: {name: &x [*x]}}\nservice_description: {name: &y {a: *y}}\n";
  assert.deepEqual(codes(twice), ["S103", "S106"]);
});

Deno.test("malformed YAML, and files that are not read", () => {
  assert.deepEqual(
    told({ files: { "chassis.yaml": "cse:\n  a: [1\n", "chasis.yaml": "x: 1", "other.yaml": "x" } }),
    [
      'conf/chasis.yaml: warning [S122] File "chasis.yaml" is not read; did you mean "chassis.yaml"?\n' +
      "    The agent reads chassis.yaml, mesher.yaml, microservice.yaml, router.yaml and egress.yaml.",
      "conf/chassis.yaml:3:1: error [S101] Cannot read the YAML: unexpected end of the stream within a flow collection\n" +
      "    Mend the YAML; nothing of the file can be read before.",
      'conf/other.yaml: warning [S122] File "other.yaml" is not read\n' +
      "    The agent reads chassis.yaml, mesher.yaml, microservice.yaml, router.yaml and egress.yaml.",
    ],
  );
  assert.match(told({ files: { "chasis.YAML": "x: 1" } }).join(), /did you mean "chassis\.yaml"/);
  assert.deepEqual(told({ files: { "fault.yaml": "# all\n---\n# commented out\n" } }), []);
  assert.deepEqual(told({ files: { "lager.yaml": "writers: file\n" } }), [
    'conf/lager.yaml: info [S121] File "lager.yaml" has no effect here: the log is set by cse.mesh.logLevel',
  ]);
});

Deno.test("a duration has the bound of a timer", () => {
  const timeout = (text: string): Given => ({ env: { CSE_MESH_TIMEOUTS_IDLE: text } });
  assert.equal(config(timeout("2147483647ms")).proxy.timeouts.idleMs, 2 ** 31 - 1);
  assert.match(told(timeout("2147483648ms")).join(), /want a duration/);
});

Deno.test("rules of router.yaml have no effect, and say so", () => {
  assert.deepEqual(told({ files: { "router.yaml": "routeRule:\n  a:\n  - precedence: 1\n" } }), [
    'conf/router.yaml:1:1: warning [S124] Key "routeRule" has no effect: rules are Istio\'s, router.infra cse comes ' +
    "later\n    Write VirtualServices into the rules directory instead.",
  ]);
});

Deno.test("an open listener is a warning", () => {
  assert.deepEqual(
    told({ flags: { http: "0.0.0.0:1" } }),
    [
      'flag --http: warning [S123] protocols.http.listenAddress "0.0.0.0:1" is open to other machines\n' +
      "    Listen on 127.0.0.1 unless others shall send their requests through this agent.",
    ],
  );
  assert.deepEqual(told({ flags: { http: "localhost:1", admin: "[::1]:1" } }), []);
});

Deno.test("the workload's identity and labels", () => {
  const files = {
    "microservice.yaml": `service_description:
  name: shop
  version: 1.0
  properties: {team: web, allowCrossApp: false, tier: 2}
`,
  };
  const labels = (env: Record<string, string>) => config({ files, env }).workload.labels;
  const base = { app: "shop", version: "1.0", team: "web", allowCrossApp: "false", tier: "2" };
  assert.deepEqual(labels({}), base);
  assert.deepEqual(labels({ SERVICE_NAME: "cart", VERSION: "v2" }), { ...base, app: "cart", version: "v2" });
  assert.deepEqual(
    labels({ VERSION: "v2", ISTIO_METAJSON_LABELS: '{"version":"v3","team":"ops","x":"y"}' }),
    { ...base, version: "v3", team: "ops", x: "y" },
  );
  assert.deepEqual(labels({ CSE_SERVICE_PROPERTIES: '{"a":"b"}' }), { app: "shop", version: "1.0", a: "b" });

  const { workload } = config({
    env: {
      POD_NAME: "shop-1",
      POD_NAMESPACE: "prod",
      INSTANCE_IP: "10.0.0.7",
      ISTIO_META_CLUSTER_ID: "east",
      ISTIO_METAJSON_POD_PORTS: "[1]",
    },
  });
  assert.deepEqual(workload, {
    podName: "shop-1",
    namespace: "prod",
    instanceIp: "10.0.0.7",
    labels: {},
    metadata: { CLUSTER_ID: "east", POD_PORTS: [1] },
  });
});

Deno.test("metadata is found by name when the environment cannot be listed", () => {
  class Unlisted extends Map<string, string> {
    override get(name: string): string | undefined {
      return { ISTIO_METAJSON_LABELS: '{"app":"a"}', ISTIO_META_NETWORK: "n" }[name];
    }
  }
  const { config } = readSettings({ directory: "", files: new Map(), env: new Unlisted() });
  assert.deepEqual(config?.workload.labels, { app: "a" });
  assert.deepEqual(config?.workload.metadata, { LABELS: { app: "a" }, NETWORK: "n" });
});

Deno.test("wrong variables and flags are told by name", () => {
  assert.deepEqual(
    told({
      env: {
        CSE_MESH_TIMEOUTS_HEAD: "soon",
        ISTIO_METAJSON_LABELS: "{",
        ISTIO_METAJSON_OTHER: "{}",
        CSE_SERVICE_PROPERTIES: "x",
        CSE_MESH_LIMITS_MAXINFLIGHT: "1.5",
      },
      flags: { admin: "30102" },
    }).map((line) => line.split("\n")[0]),
    [
      "variable ISTIO_METAJSON_LABELS: error [S103] Cannot read variable ISTIO_METAJSON_LABELS: it is no JSON; want a " +
      "JSON value",
      'flag --admin: error [S103] Cannot read --admin "30102": want ADDRESS:PORT, such as 127.0.0.1:30101 or [::1]:30101',
      'variable CSE_SERVICE_PROPERTIES: error [S103] Cannot read CSE_SERVICE_PROPERTIES "x": want a map of texts',
      'variable CSE_MESH_LIMITS_MAXINFLIGHT: error [S103] Cannot read CSE_MESH_LIMITS_MAXINFLIGHT "1.5": want a whole ' +
      "number of at least 1",
      'variable CSE_MESH_TIMEOUTS_HEAD: error [S103] Cannot read CSE_MESH_TIMEOUTS_HEAD "soon": want a duration such ' +
      "as 250ms, 10s or 1m30s, above 0s",
    ],
  );
});

Deno.test("the service centre's variable has no effect on files", () => {
  const given = { env: { CSE_SERVICE_CENTER: "grpc://istio-pilot:15010" } };
  assert.equal(config(given).serviceDiscovery.address, "/etc/mesh/conf/rules");
  assert.deepEqual(told(given), [
    "variable CSE_SERVICE_CENTER: info [S120] Variable CSE_SERVICE_CENTER has no effect here: serviceDiscovery.type " +
    'is "file"',
  ]);
});

Deno.test("nothing is told that only follows from a wrong value", () => {
  const { diagnostics } = read({
    files: {
      "chassis.yaml": "cse: {registry: {registrator: {disabled: maybe}, serviceDiscovery: {type: pilotv9}}}",
      "router.yaml": "router: {infra: pilotv2}",
    },
  });
  assert.deepEqual(diagnostics.map(formatDiagnostic), [
    'conf/chassis.yaml:1:42: error [S103] Cannot read cse.registry.registrator.disabled "maybe": want true or false\n' +
    "    Give the value in the form that the key wants.",
    'conf/chassis.yaml:1:75: error [S105] Cannot read cse.registry.serviceDiscovery.type "pilotv9": want one of file, ' +
    'pilot, pilotv2, pilotv3; did you mean "pilotv2"?\n    Use one of the values.',
  ]);
});

Deno.test("paths that are written to count from the conf directory; health has an address of its own", () => {
  const chassis =
    "cse: {mesh: {cacheDir: ../cache, readinessFile: /run/mesh/ready, healthListenAddress: '0.0.0.0:30103'}}";
  const { config, diagnostics } = readSettings({
    directory: "/etc/mesh/conf",
    files: new Map([["chassis.yaml", chassis]]),
    env: new Map([["CSE_MESH_CACHEDIR", "kept"]]),
  });
  assert.deepEqual(diagnostics.filter(({ severity }) => severity === "error"), []);
  assert.equal(config!.cacheDir, "/etc/mesh/conf/kept");
  assert.equal(config!.origins.get("cse.mesh.cacheDir")?.value, "/etc/mesh/conf/kept");
  assert.equal(config!.readinessFile, "/run/mesh/ready");
  assert.deepEqual(config!.listen.health, { hostname: "0.0.0.0", port: 30103 });
});
