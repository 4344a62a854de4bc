/** From start to end: drain, a second signal, a crash, rereading, several agents side by side. */
import assert from "node:assert/strict";
import { startAgentProcess } from "../harness/agent.ts";
import { until, within } from "../harness/bytes.ts";
import { askOnce, proxyGet, RawClient } from "../harness/client.ts";
import { chassisText, istioserver, makeConf, serviceEntry } from "../harness/conf.ts";
import { answering, echoing, startUpstream } from "../harness/upstream.ts";

/** An upstream that answers when told. */
function startGated() {
  const gate = Promise.withResolvers<void>();
  const upstream = startUpstream(async (link) => {
    for (let r = await link.request(); r !== undefined; r = await link.request()) {
      await gate.promise;
      await link.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    }
  });
  return { upstream, open: () => gate.resolve() };
}

Deno.test("SIGTERM drains: unready, no new connections, Connection: close, exit 0", async () => {
  const { upstream, open } = startGated();
  await using _closing = upstream;
  await using conf = await makeConf({
    files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: upstream.port }) },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  using busy = await RawClient.connect(agent.http);
  await busy.send(proxyGet("svc.test"));
  await upstream.nth(0);
  using idle = await RawClient.connect(agent.http);

  agent.signal("SIGTERM");
  const plan = await agent.line(/draining: .*inFlight=(\d+) connections=(\d+) cutOffAfterMs=10000/);
  assert.equal(plan[1], "1");
  assert.equal((await askOnce(agent.admin, "GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).status, 503);
  assert.equal((await askOnce(agent.admin, "GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).status, 200);
  await assert.rejects(RawClient.connect(agent.http), Deno.errors.ConnectionRefused);
  assert.equal(await idle.toEnd(), "", "idle connections close at once");

  open();
  const answer = await busy.response();
  assert.equal(answer.body, "late");
  assert.equal(answer.header("connection"), "close");
  assert.equal(await busy.toEnd(), "");
  const { code, signal } = await within(agent.ended, "the end");
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
  await agent.line(/drained/);
});

Deno.test("the drain deadline cuts what is left, tunnels too", async () => {
  await using silent = startUpstream((link) => link.peerGone());
  await using conf = await makeConf({
    files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: silent.port }) },
    mesh: { drainTimeout: "300ms" },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  using waiting = await RawClient.connect(agent.http);
  await waiting.send(proxyGet("svc.test"));
  using tunnel = await RawClient.connect(agent.http);
  await tunnel.send(`CONNECT 127.0.0.1:${silent.port} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await tunnel.reader.through("\r\n\r\n");
  await until(() => silent.links.length === 2, "both at the upstream");
  agent.signal("SIGTERM");
  assert.equal((await within(agent.ended, "the end", 5_000)).code, 0);
  assert.equal(await tunnel.toEnd(), "");
  await waiting.toEnd();
});

Deno.test("a second signal ends at once", async () => {
  await using silent = startUpstream((link) => link.peerGone());
  await using conf = await makeConf({
    files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: silent.port }) },
    mesh: { drainTimeout: "60s" },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  using waiting = await RawClient.connect(agent.http);
  await waiting.send(proxyGet("svc.test"));
  await until(() => silent.received() !== "", "the request");
  agent.signal("SIGINT");
  await agent.line(/draining/);
  agent.signal("SIGTERM");
  assert.equal((await within(agent.ended, "the end", 5_000)).code, 0);
});

Deno.test("killed and started again on the same port, it serves as before", async () => {
  await using upstream = startUpstream(answering());
  await using conf = await makeConf({
    files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: upstream.port }) },
  });
  const first = await startAgentProcess(["run", "--config", conf.path]);
  const { port } = first.http;
  using open = await RawClient.connect(first.http);
  assert.equal((await open.ask(proxyGet("svc.test"))).status, 200);
  first.signal("SIGKILL");
  assert.equal((await first.ended).signal, "SIGKILL");
  await conf.write("chassis.yaml", chassisText({ http: `127.0.0.1:${port}` }));
  await using second = await startAgentProcess(["run", "--config", conf.path]);
  assert.equal(second.http.port, port);
  assert.equal((await askOnce(second.http, proxyGet("svc.test"))).status, 200);
});

Deno.test("SIGHUP rereads the rules and names settings that need a restart", async () => {
  await using v1 = startUpstream(echoing("v1"));
  await using conf = await makeConf({
    files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: v1.port }) },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  await conf.write("chassis.yaml", chassisText({ mesh: { drainTimeout: "7s" } }));
  agent.signal("SIGHUP");
  const told = await agent.line(/\[N105\] Cannot apply (.*) while running: want a restart/);
  assert.match(told[1]!, /drainTimeout/);
  await conf.write("chassis.yaml", "cse: [");
  agent.signal("SIGHUP");
  await agent.line(/the settings have errors: the old ones stay/);
  await Deno.rename(conf.path, `${conf.path}-away`);
  agent.signal("SIGHUP");
  await agent.line(/\[N110\] .*; the old settings stay/);
  await agent.line(/D107/);
  await Deno.rename(`${conf.path}-away`, conf.path);
  assert.equal((await askOnce(agent.http, proxyGet("svc.test"))).status, 200);
});

Deno.test("a rules directory that is swapped and deleted like a ConfigMap", async () => {
  await using v1 = startUpstream(echoing("v1"));
  await using v2 = startUpstream(echoing("v2"));
  await using conf = await makeConf();
  await conf.remove("rules");
  const rules = (weights: Record<string, number>) => istioserver({ v1: v1.port, v2: v2.port }, weights);
  // As the kubelet does: ..data is a link to the current directory, files are links into ..data.
  await Deno.mkdir(conf.file("rules/..1"), { recursive: true });
  await Deno.writeTextFile(conf.file("rules/..1/a.yaml"), rules({ v1: 1, v2: 0 }));
  await Deno.symlink("..1", conf.file("rules/..data"));
  await Deno.symlink("..data/a.yaml", conf.file("rules/a.yaml"));
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const ask = async () => (await askOnce(agent.http, proxyGet("istioserver:8084"))).header("x-instance");
  assert.equal(await ask(), "v1");

  await Deno.mkdir(conf.file("rules/..2"));
  await Deno.writeTextFile(conf.file("rules/..2/a.yaml"), rules({ v1: 0, v2: 1 }));
  await Deno.symlink("..2", conf.file("rules/..tmp"));
  await Deno.rename(conf.file("rules/..tmp"), conf.file("rules/..data"));
  await until(async () => await ask() === "v2", "the swapped rules in force");

  await conf.remove("rules");
  await agent.line(/D107/);
  assert.equal(await ask(), "v2", "a deleted directory keeps the last rules in force");
  await conf.write("rules/b.yaml", rules({ v1: 1, v2: 0 }));
  await until(async () => await ask() === "v1", "the recreated directory in force");
});

Deno.test("several agents with directories of their own run side by side", async () => {
  await using v1 = startUpstream(echoing("v1"));
  await using v2 = startUpstream(echoing("v2"));
  await using one = await makeConf({ files: { "rules/a.yaml": istioserver({ v1: v1.port }, { v1: 100 }) } });
  await using two = await makeConf({ files: { "rules/a.yaml": istioserver({ v2: v2.port }, { v2: 100 }) } });
  await using a = await startAgentProcess(["run", "--config", one.path]);
  // Named by the environment, and by a file in it.
  await two.write(
    "conf/chassis.yaml",
    chassisText().replace("address: rules", `address: ${two.file("rules")}`),
  );
  await using b = await startAgentProcess(["run"], { env: { CHASSIS_HOME: two.path } });
  await two.write("conf/mesher.yaml", "admin: {enable: true}\n");
  await using c = await startAgentProcess(["run", "--config", two.file("conf/mesher.yaml")]);
  for (const [agent, wanted] of [[a, "v1"], [b, "v2"], [c, "v2"]] as const) {
    assert.equal((await askOnce(agent.http, proxyGet("istioserver:8084"))).header("x-instance"), wanted);
  }
});
