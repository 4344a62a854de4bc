import assert from "node:assert/strict";
import { decodeClusters } from "./clusters.ts";
import { decodeListeners } from "./listeners.ts";
import { createV1Programs, hostFilter } from "./program.ts";
import { decodeHosts, decodeRegistration } from "./registration.ts";
import { decodeRoutes } from "./routes.ts";
import { formatServiceKey, parseServiceKey, pathPart, portKindByName } from "./service_key.ts";

const ORIGIN = { kind: "Test", version: "1" };
const CONTEXT = { faults: [], wanted: () => true };

Deno.test("service keys: parsed, and formatted as Pilot spells them", () => {
  const rows: readonly [string, string, readonly string[], readonly Record<string, string>[]][] = [
    ["a.b", "a.b", [""], []],
    ["a.b|http", "a.b", ["http"], []],
    ["a.b|grpc,http", "a.b", ["grpc", "http"], []],
    ["a.b|http|version=v1", "a.b", ["http"], [{ version: "v1" }]],
    ["a.b|http|app=x,version=v1", "a.b", ["http"], [{ app: "x", version: "v1" }]],
    ["a.b|http|app=x;canary", "a.b", ["http"], [{ app: "x" }, { canary: "" }]],
    ["a.b||version=v1", "a.b", [""], [{ version: "v1" }]],
    ["*.none.example.com|http", "*.none.example.com", ["http"], []],
  ];
  for (const [text, host, ports, labels] of rows) {
    const key = parseServiceKey(text);
    assert.deepEqual(key, { host, ports, labels }, text);
    assert.equal(formatServiceKey(key), text);
  }
  assert.equal(
    formatServiceKey({ host: "a", ports: ["z", "b"], labels: [{ v: "2", app: "x" }, { a: "" }] }),
    "a|b,z|a;app=x,v=2",
  );
  assert.deepEqual(parseServiceKey("A.B|http|")?.host, "a.b");
  for (const wrong of ["", "|http", "a|b|c|d", "a b|http", "a/b|http"]) {
    assert.equal(parseServiceKey(wrong), undefined, wrong);
  }
});

Deno.test("parts of paths are escaped, `~` too", () => {
  assert.equal(pathPart("a.b|http|app=x,v=1;c"), "a.b%7Chttp%7Capp%3Dx%2Cv%3D1%3Bc");
  assert.equal(pathPart("sidecar~10.1.1.7~a.b~c"), "sidecar%7E10.1.1.7%7Ea.b%7Ec");
  assert.equal(decodeURIComponent(pathPart("ü/ ?#%")), "ü/ ?#%");
});

Deno.test("the name of a port tells its protocol by the part before the first dash", () => {
  const rows = {
    http: "http",
    "http-web": "http",
    HTTP: "http",
    http2: "http2",
    "grpc-a-b": "http2",
    "grpc-web": "http2",
    "grpc-web-x": "http2",
    tcp: "tcp",
    "tcp-sql": "tcp",
    mongo: "tcp",
    https: "tls",
    "https-admin": "tls",
    web: "sniffed",
    "": "sniffed",
    httpx: "sniffed",
  };
  for (const [name, kind] of Object.entries(rows)) assert.equal(portKindByName(name), kind, name);
});

Deno.test("registration: tags, names, IPv6, doubles, and places of what is wrong", () => {
  const decoded = decodeRegistration([
    {
      "service-key": "a|http",
      hosts: [
        { ip_address: "10.0.0.1", port: 80, tags: { az: "r1/z1", load_balancing_weight: 3 } },
        { ip_address: "FD00::1", port: 80, tags: { az: "r1/z1", canary: true, load_balancing_weight: 0 } },
        { ip_address: "Name.Example.com", port: 81 },
      ],
    },
    { "service-key": "b|http", hosts: null },
    { "service-key": "a|http", hosts: [] },
    { "service-key": "c|http", hosts: [{ ip_address: "10.0.0.1" }] },
    { "service-key": "d|e|f|g", hosts: [] },
    { "service-key": "e|http", hosts: {} },
    "x",
  ], ORIGIN);
  assert.deepEqual([...decoded?.services.keys() ?? []], ["a|http", "b|http"]);
  assert.deepEqual(decoded?.services.get("a|http")?.assignment.endpoints, [
    {
      locality: { region: "r1", zone: "z1" },
      lbEndpoints: [
        { address: "10.0.0.1", port: 80, loadBalancingWeight: 3 },
        { address: "fd00::1", port: 80 },
      ],
    },
    { lbEndpoints: [{ address: "name.example.com", port: 81 }] },
  ]);
  assert.deepEqual(decoded?.problems.map((p) => `${p.code} ${p.where.field}`), [
    "D213 [2]",
    "D212 [3].hosts[0].port",
    "D212 [4].service-key",
    "D212 [5].hosts",
    "D212 [6]",
  ]);
  assert.equal(decodeRegistration({ hosts: [] }, ORIGIN), undefined);
  assert.equal(decodeRegistration(null, ORIGIN), undefined);
});

Deno.test("endpoints of one key: nothing but a list is an answer", () => {
  assert.deepEqual(decodeHosts({ hosts: [] }, "k", ORIGIN).assignment, { clusterName: "k", endpoints: [] });
  assert.deepEqual(decodeHosts({ hosts: null }, "k", ORIGIN).assignment?.endpoints, []);
  for (const wrong of [null, [], {}, { hosts: 1 }, { hosts: [{ ip_address: "", port: 1 }] }]) {
    const { assignment, problems } = decodeHosts(wrong, "k", ORIGIN);
    assert.equal(assignment, undefined, JSON.stringify(wrong));
    assert.equal(problems.length, 1);
  }
});

Deno.test("clusters: types, TLS, and places of what is wrong; the last good value stays", () => {
  const good = {
    name: "out.a|http",
    service_name: "a|http",
    type: "sds",
    lb_type: "least_request",
    connect_timeout_ms: 250,
    ssl_context: {
      cert_chain_file: "/c",
      private_key_file: "/k",
      ca_cert_file: "/r",
      verify_subject_alt_name: ["spiffe://x"],
    },
  };
  const first = decodeClusters({
    clusters: [
      good,
      { name: "in.80", type: "static" },
      { name: "out.dns", type: "strict_dns", hosts: [{ url: "tcp://x.example.com:80" }] },
      { name: "out.ip", type: "static", hosts: [{ url: "tcp://[::1]:81" }] },
      { name: "out.dst", type: "original_dst", lb_type: "original_dst_lb" },
    ],
  }, ORIGIN);
  assert.deepEqual(first?.problems, []);
  assert.deepEqual([...first?.clusters.values() ?? []].map((c) => `${c.name} ${c.type} ${c.lbPolicy}`), [
    "out.a|http EDS LEAST_REQUEST",
    "out.dns STRICT_DNS ROUND_ROBIN",
    "out.ip STATIC ROUND_ROBIN",
    "out.dst ORIGINAL_DST CLUSTER_PROVIDED",
  ]);
  const a = first?.clusters.get("out.a|http");
  assert.equal(a?.connectTimeout, "0.250s");
  assert.deepEqual(a?.tls, {
    mode: "MUTUAL",
    clientCertificate: "/c",
    privateKey: "/k",
    caCertificates: "/r",
    subjectAltNames: ["spiffe://x"],
  });
  assert.deepEqual(first?.clusters.get("out.ip")?.loadAssignment?.endpoints[0]?.lbEndpoints, [
    { address: "::1", port: 81 },
  ]);

  // Names that every object of JavaScript has.
  const inherited = decodeClusters({
    clusters: [{ name: "a", type: "constructor" }, { name: "b", type: "static", lb_type: "toString" }],
  }, ORIGIN);
  assert.deepEqual(inherited?.problems.map((p) => p.where.field), [
    "clusters[0].type",
    "clusters[1].lb_type",
  ]);
  assert.equal(inherited?.clusters.size, 0);

  const second = decodeClusters(
    {
      clusters: [
        { ...good, type: "other" },
        { name: "out.dns", type: "strict_dns", hosts: [{ url: "x" }] },
        { name: "out.new", type: "sds" },
        { name: "out.ip", type: "static", lb_type: "maglev" },
        { name: "out.dst", type: "original_dst", lb_type: "original_dst_lb" },
        7,
      ],
    },
    { ...ORIGIN, version: "2" },
    first?.clusters,
  );
  assert.deepEqual(second?.problems.map((p) => p.where.field), [
    "clusters[0].type",
    "clusters[1].hosts[0].url",
    "clusters[2].service_name",
    "clusters[3].lb_type",
    "clusters[5]",
  ]);
  assert.equal(second?.problems[0]?.where.resource, "out.a|http");
  for (const [name, cluster] of second?.clusters ?? []) {
    assert.equal(cluster, first?.clusters.get(name), name);
  }
  assert.equal(second?.clusters.size, 4);
  assert.equal(decodeClusters([], ORIGIN), undefined);
  assert.equal(decodeClusters({ clusters: null }, ORIGIN)?.clusters.size, 0);
});

Deno.test("while one object has no name, nothing that is absent counts as deleted", () => {
  const services = decodeRegistration([{ "service-key": "a|http", hosts: [] }], ORIGIN)?.services;
  assert.deepEqual([...decodeRegistration([{ hosts: [] }], ORIGIN, services)?.services.keys() ?? []], [
    "a|http",
  ]);
  assert.equal(decodeRegistration([], ORIGIN, services)?.services.size, 0);

  const clusters = decodeClusters({ clusters: [{ name: "a", type: "static" }] }, ORIGIN)?.clusters;
  assert.equal(decodeClusters({ clusters: [{ type: "static" }] }, ORIGIN, clusters)?.clusters.size, 1);
  assert.equal(decodeClusters({ clusters: [] }, ORIGIN, clusters)?.clusters.size, 0);

  const listener = {
    name: "l",
    address: "tcp://0.0.0.0:80",
    filters: [{ name: "http_connection_manager", config: { rds: { route_config_name: "80" } } }],
  };
  const listeners = decodeListeners({ listeners: [listener] }, ORIGIN);
  assert.deepEqual(decodeListeners({ listeners: [{ address: "x" }] }, ORIGIN, listeners)?.tables, ["80"]);
  assert.deepEqual(decodeListeners({ listeners: [] }, ORIGIN, listeners)?.tables, []);

  const routes = [{ prefix: "/", cluster: "c" }];
  const hosts = { virtual_hosts: [{ name: "a|http", domains: ["a"], routes }] };
  const table = decodeRoutes("80", hosts, CONTEXT, ORIGIN);
  const without = (list: unknown[]) =>
    decodeRoutes("80", { virtual_hosts: list }, CONTEXT, ORIGIN, table)?.configuration.virtualHosts.length;
  assert.equal(without([{ domains: ["x"], routes: [] }]), 1);
  assert.equal(without([]), 0);
});

Deno.test("a nameless listener that leads to the workload itself, and TCP to it, are left out", () => {
  const tcp = (...clusters: string[]) => ({
    address: "tcp://10.0.0.5:3306",
    filters: [{
      name: "tcp_proxy",
      config: { route_config: { routes: clusters.map((cluster) => ({ cluster })) } },
    }],
  });
  const made = decodeListeners(
    { listeners: [tcp("in.3306"), { ...tcp("in.1", "out.db"), name: "b" }] },
    ORIGIN,
  );
  assert.deepEqual([...made?.listeners.keys() ?? []], ["b"]);
  assert.deepEqual(made?.listeners.get("b")?.filterChains.map((c) => c.tcp?.cluster), ["out.db"]);
  assert.deepEqual([...made?.inbound ?? []], [
    ["10.0.0.5_3306", { address: "10.0.0.5", port: 3306, protocol: "tcp", localPort: 3306 }],
  ]);
});

Deno.test("ports of the workload: out of routes in the listener, kept by name while it is broken, shared", () => {
  const http = (more: object = {}) => ({
    name: "http_10.0.0.5_80",
    address: "tcp://10.0.0.5:80",
    filters: [{
      name: "http_connection_manager",
      config: { route_config: { virtual_hosts: [{ domains: ["*"], routes: [{ cluster: "in.8080" }] }] } },
    }],
    ...more,
  });
  const first = decodeListeners({ listeners: [http()] }, ORIGIN);
  assert.deepEqual([...first?.inbound ?? []], [
    ["http_10.0.0.5_80", { address: "10.0.0.5", port: 80, protocol: "http", localPort: 8080 }],
  ]);
  assert.equal(first?.listeners.size, 0);
  assert.equal(decodeListeners({ listeners: [http()] }, ORIGIN, first)?.inbound, first?.inbound);
  const broken = decodeListeners({ listeners: [http({ address: "x" })] }, ORIGIN, first);
  assert.equal(broken?.problems.length, 1);
  assert.equal(broken?.inbound, first?.inbound);
  assert.equal(decodeListeners({ listeners: [http({ name: 7 })] }, ORIGIN, first)?.inbound.size, 1);
  assert.equal(decodeListeners({ listeners: [] }, ORIGIN, first)?.inbound.size, 0);
});

Deno.test("of two listeners of one name the first counts, and the other is told", () => {
  const http = (table: string) => ({
    name: "l",
    address: "tcp://0.0.0.0:80",
    filters: [{ name: "http_connection_manager", config: { rds: { route_config_name: table } } }],
  });
  const made = decodeListeners({ listeners: [http("80"), http("81")] }, ORIGIN);
  assert.deepEqual(made?.tables, ["80"]);
  assert.deepEqual(made?.problems.map((p) => `${p.code} ${p.where.field}`), ["D213 listeners[1]"]);
});

Deno.test("a wildcard host with endpoints leads to them, one without to where the client wanted to", () => {
  const programs = createV1Programs({ namespace: "default", domainSuffix: "svc.cluster.local", hosts: [] });
  const typeWith = (hosts: unknown[]) => {
    const { services } = decodeRegistration([{ "service-key": "*.x.com|http", hosts }], ORIGIN)!;
    const { program } = programs.build({ services, subsets: new Map(), origin: ORIGIN });
    return program.clusters.get("out.*.x.com|http")?.type;
  };
  assert.equal(typeWith([{ ip_address: "10.0.0.1", port: 80 }]), "EDS");
  assert.equal(typeWith([]), "ORIGINAL_DST");
});

Deno.test("what Pilot answered is quoted on one line", () => {
  const made = decodeRegistration([{ "service-key": "a b\n\x1b[2J", hosts: [] }], ORIGIN);
  assert.match(made?.problems[0]?.message ?? "", /^Cannot use service key "a b\\u000a\\u001b\[2J"/);
});

Deno.test("listeners: only numbers and http_proxy are asked for; a bad one keeps its last good value", () => {
  const http = (table: string, filters: unknown[] = []) => ({
    address: "tcp://0.0.0.0:80",
    name: `http_${table}`,
    filters: [{ name: "http_connection_manager", config: { rds: { route_config_name: table }, filters } }],
    bind_to_port: false,
  });
  const fault = {
    name: "fault",
    config: { delay: { fixed_duration_ms: 5, fixed_delay_percent: 7 }, upstream_cluster: "c" },
  };
  const first = decodeListeners(
    { listeners: [http("80", [fault]), http("http_proxy"), http("foo")] },
    ORIGIN,
  );
  assert.deepEqual(first?.tables, ["80", "http_proxy"]);
  assert.deepEqual(first?.notes.map((n) => n.code), ["D223"]);
  assert.deepEqual(first?.faults.get("80"), [{
    upstreamCluster: "c",
    headers: [],
    fault: { delay: { fixedDelay: "0.005s", percentage: { numerator: 7, denominator: "HUNDRED" } } },
  }]);
  const broken = { ...http("80"), address: "udp://1" };
  const second = decodeListeners({ listeners: [broken, { filters: 1 }, http("http_proxy")] }, ORIGIN, first);
  assert.deepEqual(second?.tables, ["80", "http_proxy"]);
  assert.deepEqual(second?.faults.get("80"), first?.faults.get("80"));
  assert.equal(second?.listeners.get("http_80"), first?.listeners.get("http_80"));
  assert.deepEqual(second?.problems.map((p) => p.where.field), [
    "listeners[0].address",
    "listeners[1].address",
  ]);
  assert.equal(decodeListeners({ listeners: "x" }, ORIGIN), undefined);
});

Deno.test("discovery.hosts: short names are those of the workload's namespace, wildcards cover", () => {
  const wanted = hostFilter({
    hosts: ["reviews", "*.shop.com"],
    namespace: "ns",
    domainSuffix: "svc.cluster.local",
  });
  assert.ok(wanted("reviews.ns.svc.cluster.local"));
  assert.ok(wanted("reviews"));
  assert.ok(wanted("eu.shop.com"));
  assert.ok(!wanted("reviews.other.svc.cluster.local"));
  assert.ok(!wanted("shop.com"));
});
