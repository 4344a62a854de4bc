/** A start without control plane: the agent decides by what the last run kept, says so, and follows the control plane once it is back. */
import assert from "node:assert/strict";
import { type AgentProcess, runAgent, startAgentProcess } from "../harness/agent.ts";
import { until } from "../harness/bytes.ts";
import { askOnce, proxyGet } from "../harness/client.ts";
import { istioserver, makeConf } from "../harness/conf.ts";
import { startControlPlane } from "../harness/control_plane.ts";
import { GENERATIONS, nameOf } from "../harness/mesh.ts";
import { startRestPilot } from "../harness/rest_pilot.ts";
import { echoing, startUpstream } from "../harness/upstream.ts";

async function answerOf(agent: AgentProcess): Promise<string> {
  const response = await askOnce(agent.http, proxyGet("istioserver:8084", "/", "Connection: close\r\n"));
  return response.header("x-instance") ?? String(response.status);
}

async function adminSays(agent: AgentProcess, path: string): Promise<{ status: number; text: string }> {
  const response = await askOnce(
    agent.admin,
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`,
  );
  return { status: response.status, text: response.body };
}

const worldOf = async (agent: AgentProcess) => JSON.parse((await adminSays(agent, "/sync")).text).world;

async function keptIn(directory: string): Promise<void> {
  const file = await Deno.stat(`${directory}/world.cache`).catch(() => undefined);
  assert.ok(file !== undefined && file.size > 200, "the world was kept at the end");
}

for (const generation of GENERATIONS) {
  Deno.test(`boot cache, ${nameOf(generation)}: the last world serves at once, and goes when the control plane is back`, async () => {
    await using v1 = startUpstream(echoing("v1"));
    await using v2 = startUpstream(echoing("v2"));
    const rules = (weights: { v1: number; v2: number }) => istioserver({ v1: v1.port, v2: v2.port }, weights);
    const { temper } = generation;
    const first = await startControlPlane({ temper });
    await using _first = first;
    await first.serve(rules({ v1: 100, v2: 0 }));
    await using conf = await makeConf({
      discovery: temper === "istiod" ? "pilotv3" : "pilotv2",
      address: first.address,
      controlPlane: { delta: generation.delta },
      mesh: { accessLog: "off", outboundTrafficPolicy: "REGISTRY_ONLY", cacheDir: "cache" },
    });
    const cache = conf.file("cache");
    await Deno.mkdir(cache);
    {
      await using agent = await startAgentProcess(["run", "--config", conf.path]);
      assert.equal(await answerOf(agent), "v1");
      assert.equal((await worldOf(agent)).cachedMs, undefined);
      assert.equal((await agent.stop()).code, 0);
      await keptIn(cache);
    }
    await first.kill();
    await using agent = await startAgentProcess(["run", "--config", conf.path]);
    assert.equal(await answerOf(agent), "v1");
    const ready = await adminSays(agent, "/ready");
    assert.equal(ready.status, 200);
    assert.match(ready.text, /^ready: rules from cache, \d+m?s old\n$/);
    assert.ok(Date.now() - (await worldOf(agent)).cachedMs < 60_000);
    const status = await runAgent(["status", "--admin", `127.0.0.1:${agent.admin.port}`]);
    assert.equal(status.code, 0);
    assert.match(status.stdout, /in force +from cache, \d+m?s old; revision 1,/);
    assert.match(agent.stderr(), /info the rules of the cache decide until the control plane answers/);
    assert.match(
      (await adminSays(agent, "/diagnostics?format=text")).text,
      /warning \[D242\] Rules are those/,
    );

    await using second = await startControlPlane({ temper, port: first.port });
    await second.serve(rules({ v1: 0, v2: 100 }));
    await until(async () => await answerOf(agent) === "v2", "the rules of the new control plane");
    assert.equal((await worldOf(agent)).cachedMs, undefined);
    assert.equal((await adminSays(agent, "/ready")).text, "ready\n");
    assert.doesNotMatch((await adminSays(agent, "/diagnostics?format=text")).text, /D242/);
  });
}

Deno.test("boot cache, pilot v1: services of the last run are reached without Pilot", async () => {
  await using v1 = startUpstream(echoing("v1"));
  await using v2 = startUpstream(echoing("v2"));
  const services = (port: number) =>
    JSON.stringify([{
      "service-key": "istioserver.default.svc.cluster.local|http",
      hosts: [{ ip_address: "127.0.0.1", port }],
    }]);
  const pilot = startRestPilot();
  pilot.registrationOnly = true;
  pilot.set("/v1/registration", services(v1.port));
  await using conf = await makeConf({
    discovery: "pilot",
    address: `http://127.0.0.1:${pilot.port}`,
    mesh: { accessLog: "off", outboundTrafficPolicy: "REGISTRY_ONLY", cacheDir: "cache" },
  });
  await Deno.mkdir(conf.file("cache"));
  {
    await using agent = await startAgentProcess(["run", "--config", conf.path]);
    assert.equal(await answerOf(agent), "v1");
    // Killed: what is kept is kept while it runs.
    await until(
      () => Deno.stat(conf.file("cache/world.cache")).then(() => true, () => false),
      "the world to be kept",
    );
    agent.signal("SIGKILL");
    await agent.ended;
  }
  pilot.temper = "close";
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  assert.equal(await answerOf(agent), "v1");
  assert.match((await adminSays(agent, "/ready")).text, /from cache/);
  pilot.set("/v1/registration", services(v2.port));
  pilot.temper = "serve";
  agent.signal("SIGHUP");
  await until(async () => await answerOf(agent) === "v2", "what Pilot says now");
  await pilot[Symbol.asyncDispose]();
});

Deno.test("boot cache: a damaged one is a line, and the agent starts without it", async () => {
  await using v1 = startUpstream(echoing("v1"));
  const first = await startControlPlane({ temper: "istiod" });
  await using _first = first;
  await first.serve(istioserver({ v1: v1.port }, { v1: 100 }));
  await using conf = await makeConf({
    discovery: "pilotv3",
    address: first.address,
    mesh: { accessLog: "off", cacheDir: "cache" },
  });
  const file = conf.file("cache/world.cache");
  await Deno.mkdir(conf.file("cache"));
  {
    await using agent = await startAgentProcess(["run", "--config", conf.path]);
    await agent.stop();
  }
  await first.kill();
  const whole = await Deno.readFile(file);
  await Deno.writeFile(file, whole.subarray(0, whole.length / 2));
  {
    await using agent = await startAgentProcess(["run", "--config", conf.path], { rules: false });
    await agent.line(
      /warning \[D240\] Cannot use the cache ".*": it is damaged or was not written to its end/,
    );
    assert.equal(await answerOf(agent), "503");
    assert.equal((await adminSays(agent, "/ready")).status, 503);
    await using second = await startControlPlane({ temper: "istiod", port: first.port });
    await second.serve(istioserver({ v1: v1.port }, { v1: 100 }));
    await until(async () => await answerOf(agent) === "v1", "the rules of the control plane");
    await agent.stop();
  }
  assert.deepEqual((await Deno.readFile(file)).length > whole.length / 2, true, "it was replaced");
});

Deno.test("boot cache: without its directory the agent says so and works", async () => {
  await using v1 = startUpstream(echoing("v1"));
  await using plane = await startControlPlane({ temper: "istiod" });
  await plane.serve(istioserver({ v1: v1.port }, { v1: 100 }));
  await using conf = await makeConf({
    discovery: "pilotv3",
    address: plane.address,
    mesh: { accessLog: "off", cacheDir: "none" },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  await agent.line(
    /warning \[D241\] Cannot keep the rules in ".*\/none\/world\.cache": there is no such directory/,
  );
  assert.equal(await answerOf(agent), "v1");
});

Deno.test("boot cache: a worker that dies while the control plane is away comes back with its rules", async () => {
  await using v1 = startUpstream(echoing("v1"));
  await using plane = await startControlPlane({ temper: "istiod" });
  await plane.serve(istioserver({ v1: v1.port }, { v1: 100 }));
  await using conf = await makeConf({
    discovery: "pilotv3",
    address: plane.address,
    mesh: { accessLog: "off", cacheDir: "cache" },
  });
  await Deno.mkdir(conf.file("cache"));
  await using agent = await startAgentProcess(["run", "--config", conf.path], {
    main: "tests/harness/failing_agent.ts",
  });
  assert.equal(await answerOf(agent), "v1");
  await until(() => Deno.stat(conf.file("cache/world.cache")).then(() => true, () => false), "a cache");
  await plane.kill();
  await conf.write("fail", "");
  await agent.line(/the agent is back/);
  assert.equal(await answerOf(agent), "v1");
  assert.match((await adminSays(agent, "/ready")).text, /^ready: rules from cache/);
});

for (
  const [name, options, told] of [
    ["full", "size=16k", /\[D241\] Cannot keep the rules in ".*": the disk is full; want room/],
    [
      "read-only",
      "size=16k,ro",
      /\[D241\] Cannot keep the rules in ".*": the file system is read-only; want room/,
    ],
  ] as const
) {
  Deno.test(`boot cache: on a ${name} disk the agent says so and works`, async () => {
    await using v1 = startUpstream(echoing("v1"));
    await using plane = await startControlPlane({ temper: "istiod" });
    await plane.serve(istioserver({ v1: v1.port }, { v1: 100 }));
    await using conf = await makeConf({
      discovery: "pilotv3",
      address: plane.address,
      mesh: { accessLog: "off", cacheDir: "cache" },
    });
    const cache = conf.file("cache");
    await Deno.mkdir(cache);
    const fill = name === "full" ? `head -c 16384 /dev/zero > ${cache}/fill;` : "";
    const mounted = `mount -t tmpfs -o ${options} none ${cache}; ${fill} exec "$@"`;
    await using agent = await startAgentProcess(["run", "--config", conf.path], {
      before: `exec unshare -rm sh -c '${mounted}' sh "$@"`,
    });
    await agent.line(told);
    assert.equal(await answerOf(agent), "v1");
    assert.equal((await adminSays(agent, "/ready")).text, "ready\n");
    assert.match((await adminSays(agent, "/diagnostics?format=text")).text, told);
  });
}
