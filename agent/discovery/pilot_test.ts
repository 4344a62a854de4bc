import assert from "node:assert/strict";
import { until } from "../../tests/harness/bytes.ts";
import { startRestPilot } from "../../tests/harness/rest_pilot.ts";
import { rulesComeByV1 } from "./pilot.ts";
import { PROBE_POLLS } from "./pilot_poll.ts";
import {
  CLUSTERS,
  codes,
  endpointsOf,
  INTERVAL_MS,
  ISTIOSERVER,
  LISTENERS,
  NODE,
  playing,
  REGISTRATION,
  start,
  table,
} from "./pilot_fixture_test.ts";

Deno.test("istioserver of 0.8.0: one table, default route to all three endpoints; the VirtualService does not act", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/istioserver");
  await using run = await start([pilot]);
  assert.deepEqual(pilot.asked(), [REGISTRATION, LISTENERS, CLUSTERS, table("8084")]);
  const { program } = run.world.current;
  assert.deepEqual([...program.routeConfigurations.keys()], ["8084"]);
  assert.deepEqual([...program.clusters.keys()], [
    `out.${ISTIOSERVER}`,
    "BlackHoleCluster",
    "PassthroughCluster",
  ]);
  assert.deepEqual(endpointsOf(run.world, ISTIOSERVER), [
    "127.0.0.1:9001",
    "127.0.0.1:9002",
    "127.0.0.1:9003",
  ]);
  for (const host of ["istioserver", "istioserver.default", "10.0.0.5", ISTIOSERVER.replace("|http", "")]) {
    assert.equal(run.decide(`http://${host}:8084/`), `out.${ISTIOSERVER}`, host);
  }
  assert.equal(run.decide("http://istioserver/"), "unknownPort");
  assert.deepEqual(codes(run.source), ["D222"]);
  const [status] = run.source.status();
  assert.equal(status?.step, "synced");
  assert.equal(status?.mode, "polling");
  assert.equal(status?.node, NODE);
  assert.equal(run.type("registration").resources, 1);
  assert.equal(run.type("routes").resources, 1);
  assert.match(run.type("routes").version, /^[0-9a-f]{13,14}$/);
});

Deno.test("bookinfo: HTTP services by table, gRPC as HTTP/2, TCP as listeners, ports of the workload", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/bookinfo");
  await using run = await start([pilot]);
  const { program } = run.world.current;
  assert.deepEqual([...program.routeConfigurations.keys()], ["50051", "9080"]);
  assert.equal(program.clusters.size, 7 + 2);
  assert.equal(program.routeConfigurations.get("9080")?.virtualHosts.length, 4);
  assert.equal(
    program.clusters.get("out.grpcsvc.default.svc.cluster.local|grpc")?.httpProtocolOptions?.protocol,
    "HTTP2",
  );
  assert.equal(run.decide("http://reviews:9080/"), "out.reviews.default.svc.cluster.local|http");
  assert.equal(run.decide("http://grpcsvc:50051/"), "out.grpcsvc.default.svc.cluster.local|grpc");
  assert.deepEqual([...program.listeners?.keys() ?? []], [
    "http_0.0.0.0_50051",
    "http_0.0.0.0_9080",
    "mongo_10.0.1.5/32_27017",
    "tcp_10.0.1.6/32_3306",
  ]);
  const mysql = program.listeners?.get("tcp_10.0.1.6/32_3306");
  assert.equal(mysql?.address, "10.0.1.6");
  assert.deepEqual(mysql?.filterChains[0]?.tcp?.cluster, "out.mysqldb.default.svc.cluster.local|tcp");
  assert.equal(run.decide("http://mysqldb:3306/"), "unknownHost");
  assert.deepEqual(
    [...program.inbound?.values() ?? []].map((p) => `${p.address}:${p.port} ${p.protocol} ${p.localPort}`),
    ["10.1.1.7:3333 tcp 3333", "10.1.1.7:9080 http 9080", "10.1.1.7:9999 tcp 9999"],
  );
});

Deno.test("kitchen_sink: names resolve as STRICT_DNS, a wildcard without endpoints passes on, two ports of one host", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/kitchen_sink");
  await using run = await start([pilot]);
  const { clusters, routeConfigurations } = run.world.current.program;
  assert.deepEqual([...routeConfigurations.keys()].sort(), ["80", "8090", "8091", "8092", "8095", "8099"]);
  assert.equal(clusters.get("out.dns.example.com|http")?.type, "STRICT_DNS");
  assert.deepEqual(clusters.get("out.dnseps.example.com|http")?.loadAssignment?.endpoints[0]?.lbEndpoints, [
    { address: "one.example.com", port: 8081 },
    { address: "two.example.com", port: 80 },
  ]);
  assert.equal(clusters.get("out.*.none.example.com|http")?.type, "ORIGINAL_DST");
  assert.equal(run.decide("http://x.none.example.com/"), "out.*.none.example.com|http");
  assert.equal(run.decide("http://sink:8090/"), "out.sink.default.svc.cluster.local|http");
  assert.equal(run.decide("http://sink:8092/"), "out.sink.default.svc.cluster.local|http2");
  assert.equal(run.decide("http://novip.example.com:8095/"), "out.novip.example.com|http");
  assert.deepEqual(codes(run.source), ["D222"]);
});

Deno.test("routerule: weights, matches, timeouts, retries, CORS, faults, redirect and rewrite; subsets asked one by one", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/routerule");
  const subset = (labels: string) => `out.${ISTIOSERVER}|${labels}`;
  pilot.set(
    `/v1/registration/${ISTIOSERVER}|version=v2`,
    '{"hosts":[{"ip_address":"127.0.0.1","port":9002}]}',
  );
  await using run = await start([pilot]);
  assert.deepEqual(
    pilot.asked().filter((p) => p.startsWith("/v1/registration/")).sort(),
    ["app=istioserver,version=v1", "version=v1", "version=v2", "version=v3"]
      .map((labels) => `/v1/registration/${ISTIOSERVER}|${labels}`),
  );
  // Only what may stand in a path as it is.
  for (const target of pilot.raw) assert.match(target, /^[A-Za-z0-9/.%_-]+$/);

  assert.equal(run.decide("http://istioserver:8084/", 0), subset("version=v1"));
  assert.equal(run.decide("http://istioserver:8084/", 0.26), subset("version=v2"));
  assert.equal(run.decide("http://istioserver:8084/", 0.51), subset("version=v3"));
  const counts = new Map<string, number>();
  for (let i = 0; i < 1000; i++) {
    const cluster = run.decide("http://istioserver:8084/", i / 1000);
    counts.set(cluster, (counts.get(cluster) ?? 0) + 1);
  }
  assert.deepEqual([...counts.values()], [250, 250, 500]);
  assert.deepEqual(endpointsOf(run.world, `${ISTIOSERVER}|version=v2`), ["127.0.0.1:9002"]);
  // Nobody recorded v3: an unknown key is a legal empty list.
  assert.deepEqual(endpointsOf(run.world, `${ISTIOSERVER}|version=v3`), []);

  assert.equal(run.decide("http://istioserver:8084/redirect"), "redirect");
  assert.equal(run.decide("http://istioserver:8084/old/x"), subset("app=istioserver,version=v1"));
  const jason = { "end-user": "jason", cookie: "a=b;user=tester" };
  assert.equal(run.decide("http://istioserver:8084/api", 0, jason), subset("version=v2"));
  assert.equal(run.decide("http://istioserver:8084/api", 0, { "end-user": "jason" }), subset("version=v1"));

  const { program } = run.world.current;
  const routes = program.routeConfigurations.get("8084")?.virtualHosts[0]?.routes ?? [];
  assert.deepEqual(routes.map((r) => r.name), [
    "istioserver-redirect",
    "istioserver-rewrite",
    "istioserver-jason",
    "istioserver-default",
  ]);
  const [redirect, rewrite, rule, standard] = routes;
  assert.deepEqual(redirect?.redirect, {
    pathRedirect: "/elsewhere",
    hostRedirect: "elsewhere.example.com",
    responseCode: 301,
  });
  assert.equal(rewrite?.route?.prefixRewrite, "/new");
  assert.equal(rewrite?.route?.hostRewriteLiteral, "new.example.com");
  assert.equal(rule?.route?.timeout, "3s");
  assert.deepEqual(rule?.route?.retryPolicy, {
    retryOn: "5xx,connect-failure,refused-stream",
    numRetries: 2,
    perTryTimeout: "1s",
  });
  assert.deepEqual(rule?.route?.requestMirrorPolicies, [{ cluster: subset("version=v3") }]);
  assert.deepEqual(rule?.requestHeadersToAdd?.[0]?.header, { key: "x-added", value: "one" });
  assert.deepEqual(rule?.typedPerFilterConfig, {
    "envoy.filters.http.cors": {
      allowOriginStringMatch: [{ exact: "http://a.example.com" }],
      allowMethods: "GET",
      allowHeaders: "x-a",
      exposeHeaders: "x-b",
      maxAge: "600",
      allowCredentials: true,
    },
    "envoy.filters.http.fault": {
      delay: { fixedDelay: "5s", percentage: { numerator: 10, denominator: "HUNDRED" } },
      abort: { httpStatus: 400, percentage: { numerator: 5, denominator: "HUNDRED" } },
    },
  });
  assert.equal(standard?.route?.timeout, "0s");
  assert.equal(standard?.typedPerFilterConfig, undefined);
  assert.match(rule?.origin?.field ?? "", /^virtual_hosts\[0\]\.routes\[2\]$/);
  assert.equal(rule?.origin?.resource, "8084");

  const v1 = program.clusters.get(subset("version=v1"));
  assert.equal(v1?.lbPolicy, "RANDOM");
  assert.equal(v1?.httpProtocolOptions?.maxRequestsPerConnection, 4);
  assert.equal(v1?.circuitBreakers?.maxConnections, 100);
  assert.equal(v1?.outlierDetection?.baseEjectionTime, "30s");
  assert.deepEqual(v1?.subsetLabels, { version: "v1" });
});

Deno.test("updates: every recorded step is taken up by the next poll, and shares what stayed", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/routerule");
  await using run = await start([pilot]);
  const step = async (number: string): Promise<void> => {
    await pilot.play("pilot-0.8.0/v1/updates", (name) => name.startsWith(`${number}-`));
    await run.poll();
  };
  const share = (random: number) => run.decide("http://istioserver:8084/", random).split("=").at(-1);
  const others = () => run.world.current.program.routeConfigurations.get("8091");
  const before = others();

  await step("01");
  assert.deepEqual([0.05, 0.15, 0.35].map(share), ["v1", "v2", "v3"]);
  await step("02");
  assert.deepEqual([0, 0.5, 0.99].map(share), ["v3", "v3", "v3"]);
  await step("03");
  assert.deepEqual([0, 0.3, 0.6].map(share), ["v1", "v2", "v3"]);
  assert.equal(others(), before);
  await step("04");
  assert.equal(run.decide("http://extra:8085/"), "out.extra.default.svc.cluster.local|http");
  const tables = run.world.current.program.routeConfigurations;
  await step("05");
  assert.equal(endpointsOf(run.world, ISTIOSERVER)?.length, 4);
  assert.equal(run.world.current.program.routeConfigurations, tables, "an endpoint recompiles no route");
  await step("06");
  assert.equal(run.decide("http://extra:8085/"), "unknownHost");
  await step("11");
  assert.equal(run.decide("http://istioserver:8084/redirect"), `out.${ISTIOSERVER}`);
  assert.equal(run.world.current.program.clusters.get(`out.${ISTIOSERVER}|version=v1`), undefined);
  await step("12");
  assert.equal(run.decide("http://istioserver:8084/"), "unknownHost");
  assert.equal(run.decide("http://other:8091/"), "out.other.default.svc.cluster.local|http");
  assert.deepEqual(codes(run.source), ["D222"]);
});

Deno.test("1.0.9 serves the registration only: every port of a host with one HTTP port leads to its default route", async () => {
  await using pilot = await playing("pilot-1.0.9/http");
  await using run = await start([pilot]);
  assert.deepEqual(pilot.asked(), [REGISTRATION, LISTENERS]);
  for (
    const host of [
      "istioserver:8084",
      "istioserver",
      "istioserver.default:1",
      ISTIOSERVER.replace("|http", ""),
    ]
  ) {
    assert.equal(run.decide(`http://${host}/x`), `out.${ISTIOSERVER}`, host);
  }
  const { program } = run.world.current;
  const [host] = program.routeConfigurations.get("http_proxy")?.virtualHosts ?? [];
  assert.equal(host?.routes[0]?.name, "default");
  assert.equal(host?.routes[0]?.route?.timeout, "0s");
  assert.equal(host?.routes[0]?.route?.retryPolicy?.numRetries, 2);
  assert.equal(endpointsOf(run.world, ISTIOSERVER)?.length, 3);
  assert.deepEqual(codes(run.source), ["D222"]);
  assert.match(run.source.problems()[0]?.message ?? "", /only the registration/);
});

Deno.test("what is not served is asked for again from time to time only", async () => {
  await using pilot = await playing("pilot-1.0.9/http");
  await using run = await start([pilot]);
  pilot.asked();
  let polls = 0;
  const asked: string[] = [];
  while (!asked.includes(LISTENERS)) {
    const polled = Promise.withResolvers<void>();
    pilot.onRequest = () => polled.resolve();
    run.clock.advance(INTERVAL_MS);
    await polled.promise;
    await until(() => run.source.status()[0]?.nextTryMs !== undefined, "the end of the poll");
    asked.push(...pilot.asked());
    polls++;
  }
  assert.equal(polls, PROBE_POLLS + 1);
  assert.equal(asked.filter((path) => path === REGISTRATION).length, polls);
});

Deno.test("registration only, several ports: certain numbers lead on, others end with 404 and D231", async () => {
  await using pilot = startRestPilot();
  pilot.registrationOnly = true;
  const entry = (key: string, ...ports: number[]) => ({
    "service-key": key,
    hosts: ports.map((port) => ({ ip_address: "10.0.0.9", port })),
  });
  pilot.set(
    REGISTRATION,
    JSON.stringify([
      entry("two.default.svc.cluster.local|http", 8080, 8080),
      entry("two.default.svc.cluster.local|http-admin", 9090),
      entry("same.default.svc.cluster.local|grpc", 7000),
      entry("same.default.svc.cluster.local|web", 7000),
      entry("db.default.svc.cluster.local|tcp-sql", 3306),
      entry("mixed.default.svc.cluster.local|http", 80),
      entry("mixed.default.svc.cluster.local|mongo", 27017),
      entry("moving.default.svc.cluster.local|web", 8081, 8082),
      entry("moving.default.svc.cluster.local|grpc", 8083),
    ]),
  );
  await using run = await start([pilot]);
  assert.equal(run.decide("http://two:8080/"), "out.two.default.svc.cluster.local|http");
  assert.equal(run.decide("http://two/"), "out.two.default.svc.cluster.local|http");
  assert.equal(run.decide("http://two:9090/"), "out.two.default.svc.cluster.local|http-admin");
  assert.equal(run.decide("http://two:1234/"), "unknownPort");
  assert.equal(run.decide("http://same:7000/"), "unknownHost");
  assert.equal(run.decide("http://moving:8083/"), "out.moving.default.svc.cluster.local|grpc");
  assert.equal(run.decide("http://moving:8081/"), "unknownPort", "its endpoints do not agree on a number");
  assert.equal(run.decide("http://db:3306/"), "unknownHost");
  assert.equal(run.decide("http://mixed:5555/"), "out.mixed.default.svc.cluster.local|http");
  assert.deepEqual(codes(run.source), ["D231", "D222"]);
  assert.match(run.source.problems()[0]?.message ?? "", /same\.default/);
});

Deno.test("unchanged answers publish nothing and are not decoded again", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/routerule");
  await using run = await start([pilot]);
  const { current } = run.world;
  await run.poll();
  await run.poll();
  assert.equal(run.world.current, current);
  assert.equal(run.type("registration").received, 3);
  assert.equal(run.source.status()[0]?.connects, 3);
  assert.equal(pilot.connections, 1, "the connection is kept");
});

Deno.test("polls come at refreshInterval, earlier or later by a fifth at most", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/istioserver");
  for (const [chance, wanted] of [[0, 0.8], [0.5, 1], [0.999999, 1.2]] as const) {
    await using run = await start([pilot], { rng: () => chance });
    const { nextTryMs } = run.source.status()[0] ?? {};
    const waitMs = (nextTryMs ?? 0) - run.clock.now();
    assert.ok(Math.abs(waitMs - wanted * INTERVAL_MS) < 1, `${waitMs} for ${chance}`);
    const asked = Promise.withResolvers<void>();
    pilot.onRequest = (path) => {
      if (path.startsWith("/v1/routes/")) asked.resolve();
    };
    pilot.asked();
    run.clock.advance(waitMs - 1);
    assert.deepEqual(pilot.asked(), []);
    run.clock.advance(2);
    await asked.promise;
  }
});

Deno.test("discovery.hosts: only these hosts are kept, and only their subsets asked for", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/routerule");
  await using run = await start([pilot], { more: { hosts: ["other"] } });
  assert.equal(run.decide("http://other:8091/"), "out.other.default.svc.cluster.local|http");
  assert.equal(run.decide("http://istioserver:8084/"), "unknownHost");
  assert.deepEqual([...run.world.current.program.loadAssignments.keys()], [
    "other.default.svc.cluster.local|http",
  ]);
  assert.deepEqual(pilot.asked().filter((p) => p.startsWith("/v1/registration/")), []);
});
Deno.test("whose rules: v1's own address means v1, any other gRPC", () => {
  const address = (scheme: "http" | "grpc" | "grpcs", port: number) => ({
    text: "",
    scheme,
    host: "pilot",
    port,
  });
  assert.equal(rulesComeByV1([]), true);
  assert.equal(rulesComeByV1([address("http", 8080)]), true);
  assert.equal(rulesComeByV1([address("grpc", 15_010)]), false);
  assert.equal(rulesComeByV1([address("grpcs", 15_012)]), false);
});
