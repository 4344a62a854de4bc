import assert from "node:assert/strict";
import type { Route } from "../../model/model.ts";
import { decodeClusters } from "./clusters.ts";
import { attachFaults, type ListenerFault } from "./faults.ts";
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
        { ip_address: "FD00::1", port: 80, tags: { az: "r1/z1", canary: true } },
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

const routesOf = (...routes: unknown[]) =>
  decodeRoutes("80", { virtual_hosts: [{ name: "a|http", domains: ["a"], routes }] }, CONTEXT, ORIGIN);

Deno.test("routes: header conditions, a quoted prefix, presence, patterns", () => {
  const rows: readonly [Record<string, unknown>, unknown][] = [
    [{ name: "X-A", value: "b" }, { name: "x-a", stringMatch: { exact: "b" } }],
    [{ name: "x", value: "" }, { name: "x", presentMatch: true }],
    [{ name: "x" }, { name: "x", presentMatch: true }],
    [{ name: "x", value: "^b\\.c.*", regex: true }, { name: "x", stringMatch: { prefix: "b.c" } }],
    [{ name: "x", value: "^.*", regex: true }, { name: "x", presentMatch: true }],
    [{ name: "x", value: "^b.c.*", regex: true }, {
      name: "x",
      stringMatch: { safeRegex: { regex: "^b.c.*" } },
    }],
    [{ name: "x", value: "^b\\d.*", regex: true }, {
      name: "x",
      stringMatch: { safeRegex: { regex: "^b\\d.*" } },
    }],
    [{ name: ":method", value: "GET" }, { name: ":method", stringMatch: { exact: "GET" } }],
    [{ name: "x", value: "^b.*", regex: false }, { name: "x", stringMatch: { exact: "^b.*" } }],
  ];
  for (const [written, wanted] of rows) {
    const made = routesOf({ prefix: "/", cluster: "c", headers: [written] });
    assert.deepEqual(made?.problems, []);
    assert.deepEqual(
      made?.configuration.virtualHosts[0]?.routes[0]?.match.headers,
      [wanted],
      JSON.stringify(written),
    );
  }
});

Deno.test("routes: weights, timeouts, retries, CORS; zero weights stay out", () => {
  const made = routesOf({
    regex: "/a[0-9]+",
    case_sensitive: false,
    weighted_clusters: {
      clusters: [{ name: "v1", weight: 0 }, { name: "v2", weight: 30 }, { name: "v3", weight: 70 }],
    },
    timeout_ms: 1500,
    retry_policy: { retry_on: "5xx", per_try_timeout_ms: 0 },
    use_websocket: true,
    cors: { max_age: "1h0m0s", allow_origin: ["*"], enabled: true },
    runtime: { key: "x", default: 50 },
    auto_host_rewrite: true,
  }, {
    path: "/one",
    weighted_clusters: { clusters: [{ name: "v1", weight: 0 }, { name: "v2", weight: 1 }] },
  }, {
    prefix: "/off",
    cluster: "c",
    runtime: { key: "x", default: 0 },
  });
  const [first, second, ...rest] = made?.configuration.virtualHosts[0]?.routes ?? [];
  assert.deepEqual(rest, []);
  assert.deepEqual(first?.match, { safeRegex: { regex: "/a[0-9]+" }, caseSensitive: false });
  assert.deepEqual(first?.route, {
    weightedClusters: { clusters: [{ name: "v2", weight: 30 }, { name: "v3", weight: 70 }] },
    timeout: "1.500s",
    retryPolicy: { retryOn: "5xx", numRetries: 1 },
  });
  assert.equal(first?.typedPerFilterConfig?.["envoy.filters.http.cors"]?.maxAge, "3600");
  assert.equal(second?.route?.cluster, "v2");
  assert.equal(second?.route?.timeout, undefined);
  assert.deepEqual(made?.notes.map((n) => n.where.field), [
    "virtual_hosts[0].routes[0].runtime",
    "virtual_hosts[0].routes[0].auto_host_rewrite",
  ]);
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

  const table = routesOf({ prefix: "/", cluster: "c" });
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

Deno.test("routes: Host and pseudo headers are left alone, which is told", () => {
  const made = routesOf({
    prefix: "/",
    cluster: "c",
    request_headers_to_add: [{ key: "Host", value: "x" }, { key: ":path", value: "y" }, {
      key: "a",
      value: "b",
    }],
  });
  assert.deepEqual(
    made?.configuration.virtualHosts[0]?.routes[0]?.requestHeadersToAdd?.map((h) => h.header),
    [
      { key: "a", value: "b" },
    ],
  );
  assert.equal(made?.notes.length, 2);
});

Deno.test("routes: what is wrong is told with its place, and keeps only its own virtual host out", () => {
  const rows: readonly [unknown, string][] = [
    [{ prefix: "/" }, ""],
    [{ cluster: "c" }, ""],
    [{ prefix: "/", path: "/", cluster: "c" }, ""],
    [{ regex: "(", cluster: "c" }, ".regex"],
    [{ regex: "a(?!b)", cluster: "c" }, ".regex"],
    [{ prefix: "/", cluster: 1 }, ".cluster"],
    [{ prefix: "/", cluster: "c", timeout_ms: -1 }, ".timeout_ms"],
    [{ prefix: "/", cluster: "c", headers: [{ name: "" }] }, ".headers[0].name"],
    [{ prefix: "/", cluster: "c", headers: [{ name: "x", value: "[", regex: true }] }, ".headers[0].value"],
    [{ prefix: "/", cluster: "c", cors: { max_age: "soon" } }, ".cors.max_age"],
    [{ prefix: "/", cluster: "c", prefix_rewrite: "/\r\nx: y" }, ".prefix_rewrite"],
    [{ prefix: "/", cluster: "c", host_rewrite: "a\nb" }, ".host_rewrite"],
    [{ prefix: "/", path_redirect: "/\r" }, ".path_redirect"],
    [{ prefix: "/", host_redirect: "a\0" }, ".host_redirect"],
    [
      { prefix: "/", cluster: "c", request_headers_to_add: [{ key: "a b", value: "" }] },
      ".request_headers_to_add[0].key",
    ],
    [
      { prefix: "/", cluster: "c", request_headers_to_add: [{ key: "a", value: "b\r\nc: d" }] },
      ".request_headers_to_add[0].value",
    ],
    [{ prefix: "/", weighted_clusters: { clusters: [{ name: "a", weight: 0 }] } }, ".weighted_clusters"],
    [
      { prefix: "/", weighted_clusters: { clusters: [{ name: "a", weight: "x" }] } },
      ".weighted_clusters.clusters[0].weight",
    ],
  ];
  for (const [route, field] of rows) {
    const made = decodeRoutes(
      "80",
      {
        virtual_hosts: [
          { name: "a|http", domains: ["a"], routes: [route] },
          { name: "b|http", domains: ["b"], routes: [{ prefix: "/", cluster: "c" }] },
        ],
      },
      CONTEXT,
      ORIGIN,
    );
    assert.ok(
      made?.problems.some((p) => p.where.field === `virtual_hosts[0].routes[0]${field}`),
      JSON.stringify(route),
    );
    assert.deepEqual(made?.configuration.virtualHosts.map((v) => v.name), ["b|http"]);
  }
});

Deno.test("routes: the domain of two virtual hosts goes to the first; addresses without CIDR; null is empty", () => {
  const made = decodeRoutes(
    "80",
    {
      virtual_hosts: [
        {
          name: "a|http",
          domains: ["A", "10.0.0.5/32:80", "10.0.0.5/32", "0.0.0.0:80", "0.0.0.0", "10.0.0.0/8"],
          routes: [],
        },
        { name: "b|http", domains: ["a", "b"], routes: [] },
        { name: "b|http", domains: ["c"], routes: [] },
      ],
    },
    CONTEXT,
    ORIGIN,
  );
  assert.deepEqual(made?.configuration.virtualHosts.map((v) => v.domains), [
    ["a", "10.0.0.5:80", "10.0.0.5"],
    ["a", "b"],
  ]);
  assert.deepEqual(made?.problems.map((p) => `${p.code} ${p.where.field}`), [
    "D213 virtual_hosts[1].domains",
    "D213 virtual_hosts[2]",
  ]);
  assert.deepEqual(decodeRoutes("80", null, CONTEXT, ORIGIN)?.configuration.virtualHosts, []);
  assert.equal(decodeRoutes("80", {}, CONTEXT, ORIGIN), undefined);
});

Deno.test("routes: a virtual host whose JSON stayed is the same object; another version of the rest is told apart", () => {
  const table = (weight: number) => ({
    virtual_hosts: [
      { name: "a|http", domains: ["a"], routes: [{ prefix: "/", cluster: "c", timeout_ms: weight }] },
      { name: "b|http", domains: ["b"], routes: [{ prefix: "/", cluster: "c" }] },
    ],
  });
  const first = decodeRoutes("80", table(1), CONTEXT, ORIGIN);
  const same = decodeRoutes("80", table(1), CONTEXT, { ...ORIGIN, version: "2" }, first);
  assert.equal(same?.configuration, first?.configuration);
  const second = decodeRoutes("80", table(2), CONTEXT, { ...ORIGIN, version: "3" }, same);
  assert.equal(second?.configuration.virtualHosts[1], first?.configuration.virtualHosts[1]);
  assert.equal(second?.configuration.virtualHosts[0]?.origin?.version, "3");
});

Deno.test("faults: on the route that asks for the headers, by a copy elsewhere, on weights only when all have it", () => {
  const header = { name: "x", stringMatch: { exact: "1" } };
  const fault = { abort: { httpStatus: 400, percentage: { numerator: 5, denominator: "HUNDRED" as const } } };
  const of = (upstreamCluster: string, headers = [header]): ListenerFault => ({
    upstreamCluster,
    headers,
    fault,
  });
  const to = (cluster: string, more: Partial<Route["match"]> = {}): Route => ({
    match: { prefix: "/", ...more },
    route: { cluster },
  });
  const faulty = (route: Route) => route.typedPerFilterConfig?.["envoy.filters.http.fault"] !== undefined;

  assert.deepEqual(attachFaults([to("a", { headers: [header] })], [of("a")]).map(faulty), [true]);
  const split = attachFaults([to("a")], [of("a")]);
  assert.deepEqual(split.map(faulty), [true, false]);
  assert.deepEqual(split[0]?.match.headers, [header]);
  assert.equal(split[1]?.match.headers, undefined);
  assert.deepEqual(attachFaults([to("b")], [of("a")]).map(faulty), [false]);
  assert.deepEqual(attachFaults([to("a")], [of("a", [])]).map(faulty), [true]);

  const weighted: Route = {
    match: { prefix: "/" },
    route: { weightedClusters: { clusters: [{ name: "a", weight: 1 }, { name: "b", weight: 1 }] } },
  };
  assert.deepEqual(attachFaults([weighted], [of("a", [])]).map(faulty), [false]);
  assert.deepEqual(attachFaults([weighted], [of("a", []), of("b", [])]).map(faulty), [true]);
  const redirect: Route = { match: { prefix: "/" }, redirect: { responseCode: 301 } };
  assert.deepEqual(attachFaults([redirect], [of("a", [])]).map(faulty), [false]);
  const routes = [to("a")];
  assert.equal(attachFaults(routes, []), routes);
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
