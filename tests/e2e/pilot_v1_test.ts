/** Pilot's v1 REST API in front of the agent as a process: RouteRule weights, updates, a Pilot that goes away, routes by v2. */
import assert from "node:assert/strict";
import { runAgent, startAgentProcess } from "../harness/agent.ts";
import { until } from "../harness/bytes.ts";
import { askOnce, proxyGet } from "../harness/client.ts";
import { istioserver, makeConf } from "../harness/conf.ts";
import { startControlPlane } from "../harness/control_plane.ts";
import { runLoad } from "../harness/load.ts";
import { type RestPilot, startRestPilot } from "../harness/rest_pilot.ts";
import { echoing, type RecordingUpstream, startUpstream } from "../harness/upstream.ts";

const ISTIOSERVER = "istioserver.default.svc.cluster.local|http";
const NODE = "sidecar~10.1.1.7~app-1.default~default.svc.cluster.local";
/** Whose recordings are played; and proxy variables that lead nowhere, as application and agent share an environment. */
const ENV = {
  POD_NAME: "app-1",
  POD_NAMESPACE: "default",
  INSTANCE_IP: "10.1.1.7",
  http_proxy: "http://127.0.0.1:1",
  HTTP_PROXY: "http://127.0.0.1:1",
  ALL_PROXY: "http://127.0.0.1:1",
};

const hosts = (...upstreams: readonly RecordingUpstream[]) =>
  upstreams.map(({ port }) => ({ ip_address: "127.0.0.1", port }));

/** The recorded RouteRules of istioserver, with endpoints that are ours. */
async function serveRouteRules(pilot: RestPilot, versions: readonly RecordingUpstream[]): Promise<void> {
  await pilot.play("pilot-0.8.0/v1/routerule");
  pilot.set("/v1/registration", JSON.stringify([{ "service-key": ISTIOSERVER, hosts: hosts(...versions) }]));
  versions.forEach((upstream, i) => {
    pilot.set(
      `/v1/registration/${ISTIOSERVER}|version=v${i + 1}`,
      JSON.stringify({ hosts: hosts(upstream) }),
    );
  });
}

const REQUEST = proxyGet("istioserver:8084", "/hello");
const keyOf = (response: { header(name: string): string | undefined }) =>
  response.header("x-instance") ?? "(none)";

Deno.test("pilot v1: traffic by RouteRule weights, updates, and none lost while Pilot is away", async () => {
  await using v1 = startUpstream(echoing("v1"));
  await using v2 = startUpstream(echoing("v2"));
  await using v3 = startUpstream(echoing("v3"));
  const first = startRestPilot();
  await using _first = first;
  await serveRouteRules(first, [v1, v2, v3]);
  await using conf = await makeConf({
    discovery: "pilot",
    address: `http://127.0.0.1:${first.port}`,
    mesh: { accessLog: "off", outboundTrafficPolicy: "REGISTRY_ONLY" },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path], { env: ENV });
  const { counts, failures } = await runLoad({
    address: agent.http,
    request: REQUEST,
    connections: 16,
    total: 4_000,
    key: keyOf,
  });
  assert.deepEqual(failures, []);
  for (const [version, weight] of [["v1", 25], ["v2", 25], ["v3", 50]] as const) {
    const share = (counts.get(version) ?? 0) / 40;
    assert.ok(Math.abs(share - weight) <= 3, `${version} got ${share} %, wanted ${weight} %`);
  }

  // The rest of the rules acts too.
  const redirected = await askOnce(
    agent.http,
    proxyGet("istioserver:8084", "/redirect", "Connection: close\r\n"),
  );
  assert.equal(redirected.status, 301);
  assert.equal(redirected.header("location"), "http://elsewhere.example.com/elsewhere");

  // CONNECT goes to an endpoint of the service, whatever its host resolves to.
  const tunnel = await askOnce(
    agent.http,
    "CONNECT istioserver:8084 HTTP/1.1\r\nHost: istioserver:8084\r\n\r\n",
  );
  assert.equal(tunnel.status, 200);

  const status = await runAgent([
    "status",
    "--admin",
    `127.0.0.1:${agent.admin.port}`,
  ]);
  assert.match(status.stdout, /pilot/);
  assert.match(status.stdout, /registration/);
  assert.match(status.stdout, /RouteRule and DestinationPolicy only/);

  // 0/0/100, and then nothing of Pilot at all.
  let seen = new Map<string, number>();
  let stop = false;
  const load = runLoad({
    address: agent.http,
    request: REQUEST,
    connections: 4,
    stopped: () => stop,
    key: keyOf,
    onAnswer: (key) => seen.set(key, (seen.get(key) ?? 0) + 1),
  });
  load.catch(() => {});
  await first.play("pilot-0.8.0/v1/updates", (name) => name.startsWith("02-"));
  agent.signal("SIGHUP");
  await until(async () => {
    seen = new Map();
    await until(() => (seen.get("v3") ?? 0) > 100, "traffic on v3");
    return seen.get("v1") === undefined && seen.get("v2") === undefined;
  }, "all traffic on v3");
  for (const temper of ["close", 503, "garbage"] as const) {
    first.temper = temper;
    agent.signal("SIGHUP");
    await until(() => first.asked().length > 0, "a poll in trouble");
  }
  await first.close();
  agent.signal("SIGHUP");
  seen = new Map();
  await until(() => (seen.get("v3") ?? 0) > 500, "traffic without Pilot");

  await using second = startRestPilot(first.port);
  await serveRouteRules(second, [v1, v2, v3]);
  agent.signal("SIGHUP");
  await until(() => (seen.get("v1") ?? 0) > 20, "the weights of the new Pilot");
  stop = true;
  assert.deepEqual((await load).failures, []);
});

Deno.test("Pilot 1.0: services by v1, default routes on every port of a host", async () => {
  await using v1 = startUpstream(echoing("v1"));
  await using pilot = startRestPilot();
  pilot.registrationOnly = true;
  pilot.set("/v1/registration", JSON.stringify([{ "service-key": ISTIOSERVER, hosts: hosts(v1) }]));
  await using conf = await makeConf({ discovery: "pilot", address: `http://127.0.0.1:${pilot.port}` });
  await using agent = await startAgentProcess(["run", "--config", conf.path], { env: ENV });
  for (const authority of ["istioserver:8084", "istioserver", "istioserver.default.svc.cluster.local:1"]) {
    const answer = await askOnce(agent.http, proxyGet(authority, "/", "Connection: close\r\n"));
    assert.equal(answer.header("x-instance"), "v1", authority);
  }
  assert.deepEqual(new Set(pilot.raw.map((p) => p.split("/")[2])), new Set(["registration", "listeners"]));
  assert.ok(
    pilot.raw.some((p) => p.endsWith(`/${encodeURIComponent(NODE).replaceAll("~", "%7E")}`)),
    pilot.raw.join(),
  );
});

for (const [written, temper] of [["http", "pilot-0.8.0"], ["grpc", "pilot-1.0.9"]] as const) {
  Deno.test(`services on 8080 by v1, routes on 15010 by v2 (${temper}, address written ${written}://)`, async () => {
    await using v1 = startUpstream(echoing("v1"));
    await using v2 = startUpstream(echoing("v2"));
    await using only = startUpstream(echoing("only in v1"));
    await using plane = await startControlPlane({ temper });
    await plane.serve(istioserver({ v1: v1.port, v2: v2.port }, { v1: 0, v2: 100 }));
    await using pilot = startRestPilot();
    pilot.set(
      "/v1/registration",
      JSON.stringify([
        { "service-key": ISTIOSERVER, hosts: hosts(v1, v2) },
        { "service-key": "other.default.svc.cluster.local|http", hosts: hosts(only) },
      ]),
    );
    await using conf = await makeConf({
      discovery: "pilot",
      address: `http://127.0.0.1:${pilot.port}`,
      files: { "router.yaml": `router:\n  infra: pilot\n  address: ${written}://127.0.0.1:${plane.port}\n` },
    });
    await using agent = await startAgentProcess(["run", "--config", conf.path], { env: ENV });
    const instance = async (authority: string) => {
      const answer = await askOnce(agent.http, proxyGet(authority, "/", "Connection: close\r\n"));
      return answer.header("x-instance") ?? String(answer.status);
    };
    for (let i = 0; i < 20; i++) assert.equal(await instance("istioserver:8084"), "v2");
    assert.equal(await instance("other:8091"), "only in v1");
    // Known to the rules, so they alone decide, also on another port.
    assert.equal(await instance("istioserver:9999"), "404");
    // v1 is asked for services only.
    assert.deepEqual([...new Set(pilot.raw)], ["/v1/registration"]);

    await plane.serve(istioserver({ v1: v1.port, v2: v2.port }, { v1: 100, v2: 0 }));
    await until(async () => await instance("istioserver:8084") === "v1", "the new weights");
    const status = await runAgent([
      "status",
      "--admin",
      `127.0.0.1:${agent.admin.port}`,
    ]);
    assert.match(status.stdout, /pilot \(services\)/);
    assert.match(status.stdout, /pilotv2 \(rules\)/);

    // Either may go away.
    await pilot.close();
    agent.signal("SIGHUP");
    assert.equal(await instance("other:8091"), "only in v1");
    await plane.kill();
    assert.equal(await instance("istioserver:8084"), "v1");
    assert.equal(await instance("other:8091"), "only in v1");
  });
}
