import assert from "node:assert/strict";
import { istioserver } from "../../tests/harness/conf.ts";
import { configOf } from "../../tests/harness/world.ts";
import { type Diagnostic, diagnostic } from "../core/diagnostics.ts";
import { compileRules } from "../discovery/offline.ts";
import type { SourceStatus, World } from "../discovery/types.ts";
import { EMPTY_PROGRAM } from "../model/model.ts";
import { buildRouteTables } from "../route/table.ts";
import { createAdmin, type InboundView } from "./admin.ts";
import { inboundProgram } from "../proxy/inbound_port.ts";
import type { ProxyState } from "./readiness.ts";

const RULES = compileRules(
  new Map([["rules.yaml", istioserver({ v1: 8081, v2: 8082 }, { v1: 25, v2: 75 })]]),
);

function worldOf(revision: number): World {
  const { program, tables } = RULES;
  return revision === 0
    ? {
      revision,
      program: EMPTY_PROGRAM,
      tables: buildRouteTables(EMPTY_PROGRAM),
      diagnostics: [],
      publishedMs: 0,
      stats: {},
    }
    : { revision, program, tables, diagnostics: [], publishedMs: 5, stats: { documents: 3 } };
}

function adminOf(more: {
  revision?: number;
  state?: ProxyState;
  problems?: readonly Diagnostic[];
  status?: readonly SourceStatus[];
  hostname?: string;
  inbound?: InboundView;
} = {}) {
  const config = configOf();
  const admin = createAdmin({
    config: {
      ...config,
      listen: { ...config.listen, admin: { hostname: more.hostname ?? "127.0.0.1", port: 30102 } },
      service: { name: "demo", version: "1.0", application: "" },
    },
    world: { current: worldOf(more.revision ?? 1) },
    state: more.state ?? { accepting: true, draining: false },
    expose: () => "metrics 1\n",
    problems: () => more.problems ?? [],
    status: () => more.status ?? [],
    inbound: () => more.inbound,
    permissions: () => ({ isolated: true, guard: "runtime", net: [], read: [], restart: [], denied: [] }),
    clock: { now: () => 100_000 },
    version: "9.9.9",
  });
  return async (path: string, init: RequestInit = {}) => {
    const response = await admin(new Request(`http://127.0.0.1:30102${path}`, init));
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
}

Deno.test("admin: ready when rules are in, the listener accepts and nothing drains", async () => {
  assert.deepEqual((await adminOf()("/ready")).text, "ready\n");
  const missing = diagnostic("D101", "Cannot read the rules directory", { file: "rules" });
  for (
    const [more, why] of [
      [{ revision: 0, problems: [missing] }, /no rules are in yet: Cannot read the rules directory/],
      [{ state: { accepting: false, draining: false } }, /the proxy is not listening/],
      [{ state: { accepting: true, draining: true } }, /draining/],
    ] as const
  ) {
    const { status, text } = await adminOf(more)("/ready");
    assert.equal(status, 503);
    assert.match(text, why);
  }
  assert.equal((await adminOf({ revision: 0 })("/live")).status, 200);
});

Deno.test("admin: Mesher's health, version and route rules", async () => {
  const get = adminOf();
  const health = JSON.parse((await get("/v1/mesher/health")).text);
  assert.equal(health.status, "green");
  assert.equal(health.serviceName, "demo");
  assert.equal(health.version, "1.0");
  assert.equal(health.connectedConfigCenterClient, false);
  assert.equal(health.connectedMonitoring, false);
  const red = await adminOf({ revision: 0 })("/v1/mesher/health");
  assert.equal(red.status, 500);
  assert.equal(JSON.parse(red.text).status, "red");
  assert.equal(JSON.parse((await get("/v1/mesher/version")).text).version, "9.9.9");

  const rules = JSON.parse((await get("/v1/mesher/routeRule/istioserver")).text);
  assert.deepEqual(rules[0].route.map((r: { tags: unknown; weight: number }) => [r.tags, r.weight]), [
    [{ version: "v1" }, 25],
    [{ version: "v2" }, 75],
  ]);
  assert.equal(rules[0].precedence, 1);
  const unknown = await get("/v1/mesher/routeRule/nobody");
  assert.equal(unknown.status, 404);
  assert.equal(JSON.parse(unknown.text), "nobody routeRule not found");
});

Deno.test("admin: metrics on both paths, as Prometheus text", async () => {
  for (const path of ["/stats/prometheus", "/v1/mesher/metrics"]) {
    const { text, headers } = await adminOf()(path);
    assert.equal(text, "metrics 1\n");
    assert.match(headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  }
});

Deno.test("admin: explains by query and by body, as text and JSON", async () => {
  const get = adminOf();
  const url = encodeURIComponent("http://istioserver:8084/hello");
  assert.match((await get(`/explain?url=${url}&header=end-user:jason`)).text, /25 %.*v1/);
  const json = JSON.parse((await get(`/explain?format=json&url=${url}`)).text);
  assert.equal(json.outcome, "route");
  const body = JSON.stringify({ url: "http://nobody:1/", headers: [["a", "b"]] });
  const posted = await get("/explain?format=json", {
    method: "POST",
    body,
    headers: { "content-length": String(body.length) },
  });
  assert.equal(JSON.parse(posted.text).outcome, "unknownHost");
  assert.equal((await get("/explain")).status, 400);
  assert.equal((await get("/explain?url=reviews")).status, 400);
  assert.equal((await get(`/explain?url=${url}&header=x`)).status, 400);
  assert.equal(
    (await get("/explain", { method: "POST", body: "{", headers: { "content-length": "1" } })).status,
    400,
  );
  assert.equal(
    (await get("/explain", { method: "POST", body, headers: { "content-length": "99999999" } })).status,
    400,
  );
  assert.equal((await adminOf({ revision: 0 })(`/explain?url=${url}`)).status, 503);
});

Deno.test("admin: program in three formats, diagnostics in two", async () => {
  const get = adminOf({ problems: [diagnostic("D102", "nothing there", { file: "rules" })] });
  assert.match((await get("/program")).text, /^Table 8084/);
  assert.ok(JSON.parse((await get("/program?format=json")).text).clusters.length > 0);
  assert.ok(JSON.parse((await get("/program?format=envoy")).text).staticResources);
  assert.equal((await get("/program?format=xml")).status, 400);
  assert.equal(JSON.parse((await get("/diagnostics")).text)[0].code, "D102");
  assert.match((await get("/diagnostics?format=text")).text, /^rules: warning \[D102\] nothing there/);
});

Deno.test("admin: only GET and HEAD, POST for explain; unknown paths show what there is", async () => {
  const get = adminOf();
  const post = await get("/ready", { method: "POST" });
  assert.deepEqual([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
  assert.equal((await get("/explain", { method: "DELETE" })).headers.get("allow"), "GET, HEAD, POST");
  const head = await get("/ready", { method: "HEAD" });
  assert.deepEqual([head.status, head.text], [200, ""]);
  const unknown = await get("/reday");
  assert.equal(unknown.status, 404);
  assert.match(unknown.text, /\/ready/);
  const { headers } = await get("/");
  assert.deepEqual([headers.get("cache-control"), headers.get("x-content-type-options")], [
    "no-store",
    "nosniff",
  ]);
});

for (
  const [host, listen, status] of [
    ["127.0.0.1:30102", "127.0.0.1", 200],
    ["localhost:30102", "127.0.0.1", 200],
    ["[::1]:30102", "::1", 200],
    ["LOCALHOST", "127.0.0.1", 200],
    ["evil.example:30102", "127.0.0.1", 403],
    ["127.0.0.1.evil.example", "127.0.0.1", 403],
    ["localhost.evil.example", "localhost", 403],
    ["evil.example", "[::1]", 403],
    ["evil.example", "0:0:0:0:0:0:0:1", 403],
    ["evil.example", "::ffff:127.0.0.1", 403],
    ["evil.example", "LOCALHOST", 403],
    ["evil.example", "my-pod", 403],
    ["My-Pod:30102", "my-pod", 200],
    ["pod.default.svc", "0.0.0.0", 200],
    ["pod.default.svc", "10.1.2.3", 200],
    ["pod.default.svc", "fd00::1", 200],
  ] as const
) {
  Deno.test(`admin: Host ${host} on ${listen} is ${status === 200 ? "answered" : "refused (DNS rebinding)"}`, async () => {
    const { status: got } = await adminOf({ hostname: listen })("/live", { headers: { host } });
    assert.equal(got, status);
  });
}

const WAITING: SourceStatus = {
  name: "pilotv3",
  addresses: [{ address: "grpc://istiod:15010", inUse: false }],
  step: "waiting",
  sinceMs: 99_000,
  mode: "delta",
  node: "sidecar~10.0.0.7~a.b~b.svc.cluster.local",
  connects: 1,
  failures: 1,
  reason: '[D201] Cannot find "istiod": there is no such name',
  nextTryMs: 103_000,
  types: [],
};

Deno.test("admin: a connection that is not synced says in /ready why, once rules are in it does not matter", async () => {
  const { status, text } = await adminOf({ revision: 0, status: [WAITING] })("/ready");
  assert.equal(status, 503);
  assert.equal(
    text,
    "not ready: no rules are in yet: pilotv3 has no connection to grpc://istiod:15010, next try in 3s; last failure: " +
      '[D201] Cannot find "istiod": there is no such name\n',
  );
  assert.equal((await adminOf({ status: [WAITING] })("/ready")).status, 200);
});

Deno.test("admin: /sync as JSON and as text", async () => {
  const get = adminOf({ status: [WAITING] });
  const report = JSON.parse((await get("/sync")).text);
  assert.deepEqual([report.ready, report.nowMs, report.version], [true, 100_000, "9.9.9"]);
  assert.deepEqual(report.connections, [WAITING]);
  assert.match((await get("/sync?format=text")).text, /\n {2}step +waiting for 1s\n/);
});

Deno.test("admin: POST /quitquitquit from this machine ends the agent, and from nowhere else", async () => {
  let quits = 0;
  const config = configOf();
  const input = {
    config,
    world: { current: worldOf(1) },
    state: { accepting: true, draining: false },
    expose: () => "",
    problems: () => [],
    status: () => [],
    permissions: () => ({
      isolated: true,
      guard: "runtime" as const,
      net: [],
      read: [],
      restart: [],
      denied: [],
    }),
    clock: { now: () => 0 },
    version: "9.9.9",
  };
  const admin = createAdmin({ ...input, quit: () => void quits++ });
  const ask = async (peer: string | undefined, init: RequestInit = {}, to = admin) => {
    const request = new Request("http://127.0.0.1:30102/quitquitquit", { method: "POST", ...init });
    return (await to(request, peer)).status;
  };
  for (const peer of ["10.0.0.5", "192.168.127.1", "::2", "fe80::1", "::ffff:10.127.0.1", undefined]) {
    assert.equal(await ask(peer), 403, `${peer}`);
  }
  assert.equal(await ask("127.0.0.1", { headers: { origin: "http://evil.example" } }), 403);
  assert.equal(await ask("127.0.0.1", { headers: { "sec-fetch-site": "cross-site" } }), 403);
  assert.equal(await ask("127.0.0.1", { headers: { host: "evil.example" } }), 403);
  assert.equal(await ask("127.0.0.1", { method: "GET" }), 405);
  assert.equal(quits, 0);
  assert.equal(await ask("127.0.0.1", {}, createAdmin(input)), 501);
  for (const peer of ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"]) {
    assert.equal(await ask(peer), 200, peer);
  }
  assert.equal(quits, 4);
});

Deno.test("admin: explains a request to a service port by the port's own world", async () => {
  const program = inboundProgram({ protocol: "rest", cluster: "inbound|8084||", localPort: 8080 }, 8084);
  const inbound: InboundView = {
    status: () => [{
      address: "10.0.0.5:8084",
      protocol: "rest",
      application: "127.0.0.1:8080",
      from: "settings",
      check: "none",
    }],
    worldOf: (port) =>
      port === 8084 ? { ...worldOf(1), program, tables: buildRouteTables(program) } : undefined,
  };
  // Rules need not be in: nothing of them decides.
  const ask = adminOf({ inbound, revision: 0 });
  const url = encodeURIComponent("http://10.0.0.5:8084/a");
  const { status, text } = await ask(`/explain?direction=inbound&url=${url}`);
  assert.equal(status, 200);
  assert.match(text, /Goes to inbound\|8084\|\|[^]*127\.0\.0\.1:8080[^]*x-forwarded-client-cert/);
  const other = await ask("/explain?direction=inbound&url=http://10.0.0.5/");
  assert.deepEqual([other.status, other.text], [
    400,
    'Cannot explain "http://10.0.0.5/": port 80 is no service port; want one of 10.0.0.5:8084\n',
  ]);
  assert.equal((await ask("/explain?direction=inbound&url=nonsense")).status, 400);
  assert.match(
    (await adminOf()("/explain?direction=inbound&url=http://x:8084/")).text,
    /port 8084 is no service port; want one \(--service-ports\)/,
  );
  assert.equal(JSON.parse((await ask("/sync")).text).inbound[0].address, "10.0.0.5:8084");
});
