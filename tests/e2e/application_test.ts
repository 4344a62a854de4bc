/** What applications and people really do: proxy variables, the demo, the library inside a program of their own. */
import assert from "node:assert/strict";
import { readSettings } from "../../agent/settings/read.ts";
import { compileRules, explain, start } from "../../mod.ts";
import { DENO, runAgent, startAgentProcess } from "../harness/agent.ts";
import { within } from "../harness/bytes.ts";
import { askOnce, proxyGet } from "../harness/client.ts";
import { istioserver, makeConf } from "../harness/conf.ts";
import { echoing, startUpstream } from "../harness/upstream.ts";
import { configOf } from "../harness/world.ts";

Deno.test("an application with http_proxy set reaches the service by its name", async () => {
  await using v1 = startUpstream(echoing("v1"));
  await using conf = await makeConf({ files: { "rules/a.yaml": istioserver({ v1: v1.port }, { v1: 100 }) } });
  // The agent itself has the variable too: it must not dial through itself.
  await using agent = await startAgentProcess(["run", "--config", conf.path], {
    env: { http_proxy: "http://127.0.0.1:9", HTTP_PROXY: "http://127.0.0.1:9" },
  });
  const application = new Deno.Command(DENO, {
    args: ["eval", `console.log(await (await fetch("http://istioserver:8084/hello?a=b")).text())`],
    clearEnv: true,
    env: { PATH: Deno.env.get("PATH") ?? "", HTTP_PROXY: `http://127.0.0.1:${agent.http.port}` },
  });
  const { stdout } = await within(application.output(), "the application's end", 20_000);
  const seen = JSON.parse(new TextDecoder().decode(stdout)) as {
    instance: string;
    target: string;
    headers: string[][];
  };
  assert.equal(seen.instance, "v1");
  assert.equal(seen.target, "/hello?a=b");
  const host = seen.headers.find(([name]) => name!.toLowerCase() === "host");
  assert.equal(host?.[1], "istioserver:8084");
});

Deno.test("demo --once sends requests itself and ends with the table of shares", async () => {
  const { code, stdout, stderr } = await runAgent([
    "demo",
    "--once",
    "2000",
    "--http",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
  ]);
  assert.equal(code, 0, stderr);
  const shares = [...stdout.matchAll(/^\s*(v[123])\s.*?(\d+(?:\.\d+)?) ?%.*?(\d+(?:\.\d+)?) ?%/gm)];
  assert.equal(shares.length, 3, stdout);
});

Deno.test("the library: an agent inside the process, from a conf directory", async () => {
  await using v1 = startUpstream(echoing("v1"));
  await using v2 = startUpstream(echoing("v2"));
  await using conf = await makeConf({
    files: { "rules/a.yaml": istioserver({ v1: v1.port, v2: v2.port }, { v1: 0, v2: 100 }) },
    mesh: { accessLog: "off", logLevel: "error" },
  });
  const { config, diagnostics } = readSettings({
    directory: conf.path,
    files: new Map([["chassis.yaml", await Deno.readTextFile(conf.file("chassis.yaml"))]]),
    env: new Map(),
    flags: {},
  });
  assert.deepEqual(diagnostics, []);
  const agent = await start(config!);
  try {
    assert.equal(agent.world.current.revision, 1);
    const answer = await askOnce(agent.httpAddress, proxyGet("istioserver:8084"));
    assert.equal(answer.header("x-instance"), "v2");
    assert.equal(
      (await askOnce(agent.adminAddress!, "GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).status,
      200,
    );
  } finally {
    await agent.drain(1_000);
  }
});

Deno.test("the library: two agents in one process, each engine", async () => {
  await using v1 = startUpstream(echoing("v1"));
  await using conf = await makeConf({ files: { "rules/a.yaml": istioserver({ v1: v1.port }, { v1: 100 }) } });
  const agents = await Promise.all((["native", "serve"] as const).map((engine) => {
    const config = configOf({ engine });
    return start({
      ...config,
      serviceDiscovery: { ...config.serviceDiscovery, address: conf.file("rules") },
      router: { ...config.router, address: conf.file("rules") },
    });
  }));
  for (const agent of agents) {
    assert.equal((await askOnce(agent.httpAddress, proxyGet("istioserver:8084"))).header("x-instance"), "v1");
  }
  for (const agent of agents) await agent.close();
});

Deno.test("the library: rules compiled and explained without an agent", async () => {
  const rules = await compileRules(
    new Map([["a.yaml", istioserver({ v1: 9001, v2: 9002 }, { v1: 20, v2: 80 })]]),
  );
  assert.deepEqual(rules.diagnostics.filter((d) => d.severity === "error"), []);
  const told = await explain(rules, { method: "GET", url: "http://istioserver:8084/" });
  assert.match(JSON.stringify(told), /outbound\|8084\|v2\|istioserver\.default\.svc\.cluster\.local/);
  const bad = await compileRules(new Map([["a.yaml", "kind: ["]]));
  assert.equal(bad.diagnostics[0]?.code, "Y001");
});
