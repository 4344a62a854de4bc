/** What the outside sees of a running agent: systemd, the readiness file, the health listener, and the end that a Job asks for. */
import assert from "node:assert/strict";
import { type AgentProcess, startAgentProcess } from "../harness/agent.ts";
import { until, within } from "../harness/bytes.ts";
import { type Address, askOnce, proxyGet, RawClient } from "../harness/client.ts";
import { type ConfDirectory, makeConf, serviceEntry } from "../harness/conf.ts";
import { NotifySocket } from "../harness/notify_socket.ts";
import { startUpstream } from "../harness/upstream.ts";

const there = (path: string) => Deno.stat(path).then(() => true, () => false);

async function ask(address: Address, line: string): Promise<{ status: number; body: string }> {
  return await askOnce(address, `${line} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
}

const run = (conf: ConfDirectory, more: readonly string[] = [], env: Record<string, string> = {}) =>
  startAgentProcess(["run", "--config", conf.path, ...more], { env });

async function healthOf(agent: AgentProcess): Promise<Address> {
  const [, hostname, port] = await agent.line(/health listening on ([\d.]+):(\d+)/);
  return { hostname: hostname!, port: Number(port) };
}

for (const isolation of [[], ["--no-isolation"]]) {
  const name = isolation.length === 0 ? "isolated" : "not isolated";

  Deno.test(`${name}: systemd hears of start, reload, life and end; the readiness file comes and goes`, async () => {
    await using socket = await NotifySocket.open();
    await using conf = await makeConf({ mesh: { readinessFile: "ready" } });
    await Deno.writeTextFile(conf.file("ready"), "of an agent that was killed\n");
    await using agent = await run(conf, isolation, {
      NOTIFY_SOCKET: socket.path,
      WATCHDOG_USEC: "200000",
    });
    await socket.waitFor(/^READY=1/);
    await socket.waitFor(/^STATUS=ready$/m);
    await until(() => there(conf.file("ready")), "the readiness file");
    await socket.waitFor(/^WATCHDOG=1$/, 4);
    agent.signal("SIGHUP");
    await socket.waitFor(/^READY=1/, 2);
    assert.equal(socket.matching(/^RELOADING=1\nMONOTONIC_USEC=\d+$/).length, 1);
    assert.equal((await agent.stop()).code, 0);
    await socket.waitFor(/^STATUS=not ready: the agent is draining$/);
    const last = socket.messages.filter((message) => message !== "WATCHDOG=1").slice(-3);
    assert.deepEqual(last, ["READY=1", "STOPPING=1", "STATUS=not ready: the agent is draining"]);
    assert.equal(await there(conf.file("ready")), false);
    assert.deepEqual(agent.stderr().match(/N12[01]/g), null);
  });

  Deno.test(`${name}: POST /quitquitquit drains what is under way, then the process ends with 0`, async () => {
    const gate = Promise.withResolvers<void>();
    await using upstream = startUpstream(async (link) => {
      await link.request();
      await gate.promise;
      await link.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    });
    await using conf = await makeConf({
      files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: upstream.port }) },
    });
    await using agent = await run(conf, isolation);
    using busy = await RawClient.connect(agent.http);
    await busy.send(proxyGet("svc.test"));
    await upstream.nth(0);
    assert.equal((await ask(agent.admin, "GET /quitquitquit")).status, 405);
    const answer = await ask(agent.admin, "POST /quitquitquit");
    assert.deepEqual(answer.status, 200, answer.body);
    await agent.line(/asked to end by POST \/quitquitquit/);
    await agent.line(/draining: .*inFlight=1/);
    gate.resolve();
    assert.equal((await busy.response()).body, "late");
    const { code, signal } = await within(agent.ended, "the end");
    assert.deepEqual({ code, signal }, { code: 0, signal: null });
  });
}

Deno.test("a worker that hangs gives no sign of life any more, while its supervisor runs on", async () => {
  await using socket = await NotifySocket.open();
  await using conf = await makeConf();
  await using agent = await startAgentProcess(["run", "--config", conf.path], {
    main: "tests/harness/failing_agent.ts",
    env: { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: "200000" },
  });
  await socket.waitFor(/^WATCHDOG=1$/, 3);
  await conf.write("hang", "");
  await agent.line(/hanging now/);
  const before = socket.matching(/WATCHDOG/).length;
  // That nothing comes takes its time: four periods of the watchdog. The supervisor answers signals still.
  await new Promise((resolve) => setTimeout(resolve, 800));
  agent.signal("SIGHUP");
  await socket.waitFor(/^RELOADING=1/);
  // One sign may have been on its way.
  assert.ok(socket.matching(/WATCHDOG/).length <= before + 1);
  agent.signal("SIGKILL");
  await agent.ended;
});

Deno.test("the health listener says ready and live to whoever may reach it, and nothing more", async () => {
  await using conf = await makeConf({ mesh: { healthListenAddress: "0.0.0.0:0" } });
  await using agent = await run(conf);
  const health = await healthOf(agent);
  const local = { hostname: "127.0.0.1", port: health.port };
  assert.deepEqual(
    await askOnce(local, "GET /ready HTTP/1.1\r\nHost: pod-1.shop\r\nConnection: close\r\n\r\n")
      .then(({ status, body }) => ({ status, body })),
    { status: 200, body: "ready\n" },
  );
  assert.equal((await ask(local, "GET /live")).status, 200);
  for (const path of ["/", "/sync", "/program", "/stats/prometheus", "/explain?url=http://a/"]) {
    assert.equal((await ask(local, `GET ${path}`)).status, 404, path);
  }
  assert.equal((await ask(local, "POST /quitquitquit")).status, 404);
  await agent.stop();
  await assert.rejects(RawClient.connect(local), Deno.errors.ConnectionRefused);
});

Deno.test("the health listener is unready while no rules are in, and tells no name of the inside", async () => {
  await using conf = await makeConf({
    discovery: "pilotv3",
    address: "grpc://127.0.0.1:1",
    mesh: { healthListenAddress: "127.0.0.1:0" },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path], { rules: false });
  const health = await healthOf(agent);
  assert.deepEqual(
    await ask(health, "GET /ready").then(({ status, body }) => ({ status, body })),
    { status: 503, body: "not ready: no rules are in yet\n" },
  );
  assert.equal((await ask(health, "GET /live")).status, 200);
});
