/** The agent in a worker with its own rights: what is denied, what brings it back, what a restart would change. */
import assert from "node:assert/strict";
import { type AgentProcess, runAgent, startAgentProcess } from "../harness/agent.ts";
import { until, within } from "../harness/bytes.ts";
import { askOnce, proxyGet, RawClient } from "../harness/client.ts";
import { makeConf, serviceEntry } from "../harness/conf.ts";
import { answering, echoing, startUpstream } from "../harness/upstream.ts";

interface Permissions {
  readonly isolated: boolean;
  readonly guard: string;
  readonly restart: readonly string[];
  readonly denied: readonly { readonly code: string; readonly what: string; readonly count: number }[];
}

async function permissionsOf(agent: AgentProcess): Promise<Permissions> {
  const answer = await askOnce(
    agent.admin,
    "GET /sync HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
  );
  return JSON.parse(answer.body).permissions;
}

Deno.test("a destination outside of the scope: 403 with name and setting, and no connection", async () => {
  await using inside = startUpstream(echoing("inside"));
  await using outside = startUpstream(echoing("outside"));
  await using conf = await makeConf({
    files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: inside.port }) },
    mesh: { accessLog: "json", permissions: { net: [`127.0.0.1:${inside.port}`] } },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const ask = (authority: string) => askOnce(agent.http, proxyGet(authority, "/", "Connection: close\r\n"));
  assert.equal((await ask("svc.test")).header("x-instance"), "inside");

  const place = `127.0.0.1:${outside.port}`;
  const denied = await ask(place);
  assert.equal(denied.status, 403);
  assert.match(
    denied.header("proxy-status")!,
    new RegExp(`error=destination_ip_prohibited; details="\\[P209\\] Cannot connect to '${place}'`),
  );
  assert.match(denied.body, /cse\.mesh\.permissions\.net/);

  const tunnel = await RawClient.connect(agent.http);
  assert.equal((await tunnel.ask(`CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n\r\n`)).status, 403);
  tunnel.close();

  await agent.line(
    new RegExp(`warn \\[P209\\] denied: connect ${place}; want it in cse\\.mesh\\.permissions\\.net`),
  );
  await until(() => agent.accessLog().length === 3, "three lines of the access log");
  assert.deepEqual(agent.accessLog().map((line) => line.response_flags), ["-", "UAEX", "UAEX"]);
  const { isolated, guard, denied: list } = await permissionsOf(agent);
  assert.deepEqual([isolated, guard], [true, "runtime"]);
  assert.deepEqual(list.map(({ code, what, count }) => [code, what, count]), [[
    "P209",
    `connect ${place}`,
    2,
  ]]);
  assert.equal(outside.requests.length, 0);
});

Deno.test("places that rule files name at the start are in the scope, later ones want a restart", async () => {
  await using first = startUpstream(echoing("first"));
  await using second = startUpstream(echoing("second"));
  await using conf = await makeConf({
    files: { "rules/a.yaml": serviceEntry("first.test", 80, { v1: first.port }) },
    mesh: { permissions: { net: ["10.0.0.0/8"] } },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const ask = (authority: string) => askOnce(agent.http, proxyGet(authority, "/", "Connection: close\r\n"));
  assert.equal((await ask("first.test")).header("x-instance"), "first");

  await conf.write("rules/b.yaml", serviceEntry("second.test", 80, { v1: second.port }));
  const right = `+connect 127.0.0.1:${second.port}`;
  await agent.line(
    /warning \[N113\] Cannot change the rights of a running agent: want a restart for \+connect 127/,
  );
  await agent.line(/rules in force revision=2/);
  assert.equal((await ask("second.test")).status, 403);
  assert.deepEqual((await permissionsOf(agent)).restart, [right]);
  const status = await runAgent(["status", "--admin", `127.0.0.1:${agent.admin.port}`]);
  assert.match(status.stdout, new RegExp(`want a restart: \\${right}`));

  // SIGHUP compares the settings as well.
  await conf.write(
    "chassis.yaml",
    (await Deno.readTextFile(conf.file("chassis.yaml"))).replace("10.0.0.0/8", "11.0.0.0/8"),
  );
  agent.signal("SIGHUP");
  await agent.line(/\[N113\].*\+connect 11\.0\.0\.0\/8.*-connect 10\.0\.0\.0\/8/);
  await until(async () => (await permissionsOf(agent)).restart.length === 3, "three rights in the status");

  await agent.stop();
  await using again = await startAgentProcess(["run", "--config", conf.path]);
  const answer = await askOnce(again.http, proxyGet("second.test", "/", "Connection: close\r\n"));
  assert.equal(answer.header("x-instance"), "second");
});

Deno.test("a link out of the rules directory is not followed, unless it may be read", async () => {
  await using upstream = startUpstream(echoing("v1"));
  await using elsewhere = await makeConf({
    files: { "b.yaml": serviceEntry("linked.test", 80, { v1: upstream.port }) },
  });
  await using conf = await makeConf({
    files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: upstream.port }) },
  });
  await Deno.symlink(elsewhere.file("b.yaml"), conf.file("rules/b.yaml"));
  const statusOf = async (agent: AgentProcess) =>
    (await askOnce(agent.http, proxyGet("linked.test", "/", "Connection: close\r\n"))).status;
  {
    await using agent = await startAgentProcess(["run", "--config", conf.path]);
    await agent.line(
      /\[D105\] Cannot read the rule file .*b\.yaml": it leads to ".*cse\.mesh\.permissions\.read/,
    );
    assert.notEqual(await statusOf(agent), 200);
  }
  const env = { CSE_MESH_PERMISSIONS_READ: elsewhere.path };
  await using agent = await startAgentProcess(["run", "--config", conf.path], { env });
  assert.equal(await statusOf(agent), 200);
});

Deno.test("without isolation the agent has the rights of its process", async () => {
  await using upstream = startUpstream(echoing("v1"));
  await using conf = await makeConf({ mesh: { permissions: { net: ["10.0.0.0/8"] } } });
  await using agent = await startAgentProcess(["run", "--config", conf.path, "--no-isolation"]);
  const answer = await askOnce(
    agent.http,
    proxyGet(`127.0.0.1:${upstream.port}`, "/", "Connection: close\r\n"),
  );
  assert.equal(answer.header("x-instance"), "v1");
  assert.equal((await permissionsOf(agent)).isolated, false);
  agent.signal("SIGUSR1");
  await agent.line(/SIGUSR1: status\nagent +ready/);
  assert.equal((await agent.stop()).code, 0);
});

const FAILING = { main: "tests/harness/failing_agent.ts" };

Deno.test("a worker that dies comes back on its ports, with the reason told", async () => {
  await using upstream = startUpstream(echoing("v1"));
  await using conf = await makeConf({
    files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: upstream.port }) },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path], FAILING);
  const ask = () => askOnce(agent.http, proxyGet("svc.test", "/", "Connection: close\r\n"));
  assert.equal((await ask()).status, 200);

  await conf.write("fail", "once");
  await agent.line(
    /error the agent died and is started again reason="Error: asked to fail: by file\\n.*afterMs=100/,
  );
  await agent.line(/info the agent is back/);
  assert.equal((await ask()).header("x-instance"), "v1");
  assert.equal((await permissionsOf(agent)).isolated, true);

  agent.signal("SIGUSR1");
  await agent.line(/info SIGUSR1: status\nagent +ready/);
  const { code, stderr } = await agent.stop();
  assert.equal(code, 0);
  assert.match(stderr, /info drained/);
  assert.doesNotMatch(stderr, /Uncaught/);
});

Deno.test("a worker that dies under load: until it is back connections break, no answer is a wrong one", async () => {
  await using upstream = startUpstream(echoing("v1"));
  await using conf = await makeConf({
    files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: upstream.port }) },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path], FAILING);
  const seen = { answered: 0, broken: 0, brokenWhenBack: 0 };
  const others: string[] = [];
  let back = false;
  let over = false;
  const load = async (): Promise<void> => {
    while (!over) {
      const wasBack = back;
      const answer = await askOnce(agent.http, proxyGet("svc.test", "/", "Connection: close\r\n")).catch(() =>
        undefined
      );
      if (answer === undefined) seen[wasBack ? "brokenWhenBack" : "broken"]++;
      else if (answer.status === 200 && answer.header("x-instance") === "v1") seen.answered++;
      // The rules of the new worker are not in yet.
      else if (answer.status !== 503) others.push(`${answer.status} ${answer.body}`);
    }
  };
  const clients = Array.from({ length: 8 }, load);
  await until(() => seen.answered >= 50, "answers");
  await conf.write("fail", "once");
  await agent.line(/info the agent is back/);
  back = true;
  const before = seen.answered;
  await until(() => seen.answered >= before + 50, "answers of the new worker");
  over = true;
  await Promise.all(clients);
  assert.deepEqual(others, []);
  assert.ok(seen.broken > 0, "the load met the death");
  assert.equal(seen.brokenWhenBack, 0);
  assert.equal((await agent.stop()).code, 0);
});

Deno.test("a worker that dies again and again ends the process with the reason", async () => {
  await using conf = await makeConf();
  await using agent = await startAgentProcess(["run", "--config", conf.path], FAILING);
  await conf.write("fail", "always");
  const { code, stderr } = await within(agent.ended, "the end of the agent", 30_000);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /error \[N111\] Cannot keep the agent running: it died 6 times within 60 s, first of: .*asked to fail: by file.*; the last time of: .*asked to fail: at start/,
  );
  assert.equal(stderr.match(/is started again/g)?.length, 5);
});

Deno.test("SIGTERM reaches a request under way: it is answered before the process ends", async () => {
  const gate = Promise.withResolvers<void>();
  await using upstream = startUpstream(async (link) => {
    await link.request();
    await gate.promise;
    await link.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
  });
  await using conf = await makeConf({
    files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: upstream.port }) },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const asking = askOnce(agent.http, proxyGet("svc.test"));
  await until(() => upstream.requests.length === 1, "the request at the upstream");
  agent.signal("SIGTERM");
  await agent.line(/info draining: .*inFlight=1/);
  gate.resolve();
  assert.equal((await asking).body, "late");
  const { code, signal } = await within(agent.ended, "the end of the agent");
  assert.deepEqual([code, signal], [0, null]);
});

Deno.test("an address that is taken is told as before, with 2, and nothing is tried again", async () => {
  await using upstream = startUpstream(answering());
  await using conf = await makeConf({ http: `127.0.0.1:${upstream.port}` });
  const { code, stderr } = await runAgent(["run", "--config", conf.path]);
  assert.equal(code, 2);
  assert.match(
    stderr,
    /^\[N101\] Cannot listen on "127\.0\.0\.1:\d+" \(http\): another program has the port/m,
  );
  assert.doesNotMatch(stderr, /started again/);
});

Deno.test("permissions: each grant with its cause, for people and for programs", async () => {
  await using conf = await makeConf({
    files: {
      "rules/a.yaml": serviceEntry("svc.test", 80, { v1: 8080 }).replace("127.0.0.1", "203.0.113.7"),
    },
    http: "127.0.0.1:4001",
    mesh: { permissions: { net: ["private", "api.example.com:443"] } },
  });
  const { code, stdout } = await runAgent(["permissions", "--config", conf.path]);
  assert.equal(code, 0);
  for (
    const line of [
      /^listen +127\.0\.0\.1:4001 +cse\.protocols\.http\.listenAddress +.*chassis\.yaml:\d+:\d+$/m,
      /^connect +10\.0\.0\.0\/8 +cse\.mesh\.permissions\.net +/m,
      /^connect +api\.example\.com:443 +cse\.mesh\.permissions\.net +/m,
      /^connect +203\.0\.113\.7:8080 +rule file +.*rules\/a\.yaml:1$/m,
      /^read +\/etc\/resolv\.conf +/m,
      /^env +DENO_TOKIO_MAX_IO_EVENTS_PER_TICK +/m,
      /^never: writing, /m,
      /^The runtime holds the agent to these/m,
    ]
  ) assert.match(stdout, line);

  const json = JSON.parse((await runAgent(["permissions", "--config", conf.path, "--json"])).stdout);
  assert.equal(json.guard, "runtime");
  assert.ok(json.runtime.net.includes("203.0.113.7:8080"));
  const listen = json.grants.find((g: { value: string }) => g.value === "127.0.0.1:4001");
  assert.equal(listen.because, "cse.protocols.http.listenAddress");
  assert.match(listen.origin, /chassis\.yaml:\d+:\d+$/);

  const any = await runAgent(["permissions", "--config", conf.path], {
    env: { CSE_MESH_PERMISSIONS_NET: "any" },
  });
  assert.match(any.stdout, /^connect +any +cse\.mesh\.permissions\.net +variable CSE_MESH_PERMISSIONS_NET$/m);
  assert.match(any.stdout, /^any: it may connect to and listen on any address/m);
});

Deno.test("a range of IPv6 is held to by the agent, and said so", async () => {
  await using upstream = startUpstream(echoing("v1"));
  await using conf = await makeConf({ mesh: { permissions: { net: ["fd00::/8"] } } });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  assert.equal((await permissionsOf(agent)).guard, "agent");
  const answer = await askOnce(
    agent.http,
    proxyGet(`127.0.0.1:${upstream.port}`, "/", "Connection: close\r\n"),
  );
  assert.equal(answer.status, 403);
  assert.equal(upstream.requests.length, 0);
});
