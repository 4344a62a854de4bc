/** Many connections, slow ones, and none left: the agent serves on and everything goes back to where it was. */
import assert from "node:assert/strict";
import { descriptorsBackTo, descriptorsOf, memoryOf, startAgentProcess } from "../harness/agent.ts";
import { until } from "../harness/bytes.ts";
import { askOnce, proxyGet, RawClient } from "../harness/client.ts";
import { makeConf, serviceEntry } from "../harness/conf.ts";
import { answering, type RecordingUpstream, startUpstream } from "../harness/upstream.ts";

const MIB = 1024 * 1024;

async function setting(upstream: RecordingUpstream, mesh: Record<string, unknown> = {}) {
  return await makeConf({
    files: { "rules/svc.yaml": serviceEntry("svc.test", 80, { v1: upstream.port }) },
    mesh: { accessLog: "json", ...mesh },
  });
}

Deno.test("1,000 connections at once, then back to the baseline", async () => {
  await using upstream = startUpstream(answering());
  await using conf = await setting(upstream, { timeouts: { upstreamIdle: "1s" } });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const round = async (): Promise<void> => {
    const clients: RawClient[] = [];
    try {
      for (let i = 0; i < 20; i++) {
        clients.push(...await Promise.all(Array.from({ length: 50 }, () => RawClient.connect(agent.http))));
      }
      for (let i = 0; i < 2; i++) {
        const statuses = await Promise.all(
          clients.map((c) => c.ask(proxyGet("svc.test"), 30_000).then((r) => r.status)),
        );
        assert.ok(
          statuses.every((s) => s === 200),
          `answers other than 200: ${statuses.filter((s) => s !== 200)}`,
        );
      }
    } finally {
      for (const client of clients) client.close();
    }
  };
  await askOnce(agent.http, proxyGet("svc.test"));
  const baseline = descriptorsOf(agent.pid);
  await round();
  await descriptorsBackTo(agent.pid, baseline + 2);
  // Pools and heap grow with the first rounds; a leak would go on growing.
  const after: number[] = [memoryOf(agent.pid)];
  const settled = (): boolean => after.length > 2 && after.at(-1)! - after.at(-3)! < 6 * MIB;
  while (!settled() && after.length < 16) {
    await round();
    after.push(memoryOf(agent.pid));
  }
  await descriptorsBackTo(agent.pid, baseline + 2);
  const mib = after.map((bytes) => Math.round(bytes / MIB)).join(", ");
  assert.ok(settled(), `memory goes on growing after rounds of 1,000 connections: ${mib} MiB`);
  assert.ok(after.at(-1)! < 400 * MIB, `memory after rounds of 1,000 connections: ${mib} MiB`);
});

Deno.test("slowloris: slow heads are answered 408, and others are served meanwhile", async () => {
  await using upstream = startUpstream(answering());
  await using conf = await setting(upstream, { timeouts: { head: "600ms", bodyStall: "600ms" } });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  await askOnce(agent.http, proxyGet("svc.test"));
  const baseline = descriptorsOf(agent.pid);
  const slow = await Promise.all(Array.from({ length: 200 }, () => RawClient.connect(agent.http)));
  let feeding = true;
  try {
    // A byte now and then must not buy more time: the deadline is for the whole head.
    const feeders = slow.map(async (client) => {
      await client.send("GET http://svc.test/slow HTTP/1.1\r\nHost: svc.test\r\nX-Slow: ");
      while (feeding && await client.send("a")) await new Promise((resolve) => setTimeout(resolve, 50));
    });
    const fast = await askOnce(agent.http, proxyGet("svc.test", "/fast"));
    assert.equal(fast.status, 200);
    const answers = await Promise.all(slow.map((client) => client.response()));
    assert.ok(answers.every((a) => a.status === 408), "every slow head is 408");
    feeding = false;
    await Promise.all(feeders);
  } finally {
    feeding = false;
    for (const client of slow) client.close();
  }
  await until(
    () => agent.accessLog().filter((l) => l.response_flags === "DT").length === 200,
    "200 lines with DT",
  );

  using body = await RawClient.connect(agent.http);
  await body.send("POST http://svc.test/b HTTP/1.1\r\nHost: svc.test\r\nContent-Length: 10\r\n\r\nabc");
  const stalled = await body.toEnd();
  assert.match(stalled, /^HTTP\/1.1 408 /);
  body.close();
  await descriptorsBackTo(agent.pid, baseline + 2);
});

Deno.test("out of file descriptors: waits, and serves again", async () => {
  await using upstream = startUpstream(answering());
  await using conf = await setting(upstream);
  await using agent = await startAgentProcess(["run", "--config", conf.path], { before: "ulimit -n 64" });
  await askOnce(agent.http, proxyGet("svc.test"));
  const clients: RawClient[] = [];
  // The kernel accepts for the agent (backlog), so connecting goes on when the agent cannot.
  for (let i = 0; i < 120; i++) clients.push(await RawClient.connect(agent.http));
  try {
    await agent.line(/cannot accept a connection/);
  } finally {
    for (const client of clients) client.close();
  }
  const answer = await askOnce(agent.http, proxyGet("svc.test"), 20_000);
  assert.equal(answer.status, 200);
  await until(() => descriptorsOf(agent.pid) < 40, "descriptors free again");
});

Deno.test("above the cap of connections: 503 overloaded", async () => {
  await using upstream = startUpstream(answering());
  await using conf = await setting(upstream, { limits: { maxConnections: 3 } });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const clients: RawClient[] = [];
  try {
    for (let i = 0; i < 3; i++) {
      const client = await RawClient.connect(agent.http);
      clients.push(client);
      assert.equal((await client.ask(proxyGet("svc.test"))).status, 200);
    }
    using fourth = await RawClient.connect(agent.http);
    const refused = await fourth.response();
    assert.equal(refused.status, 503);
    assert.equal(refused.header("x-envoy-overloaded"), "true");
    assert.match(refused.body, /overloaded/);
  } finally {
    for (const client of clients) client.close();
  }
  await until(
    async () => (await askOnce(agent.http, proxyGet("svc.test"))).status === 200,
    "service after the storm",
  );
});

Deno.test("above the cap of requests in flight: 503 overloaded", async () => {
  const gate = Promise.withResolvers<void>();
  await using upstream = startUpstream(async (link) => {
    await link.request();
    await gate.promise;
    await link.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  });
  await using conf = await setting(upstream, { limits: { maxInFlight: 2 } });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const waiting = [1, 2].map(() => askOnce(agent.http, proxyGet("svc.test")));
  await upstream.nth(1);
  const refused = await askOnce(agent.http, proxyGet("svc.test"));
  assert.equal(refused.status, 503);
  assert.equal(refused.header("x-envoy-overloaded"), "true");
  gate.resolve();
  for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 200);
});

Deno.test("a large body streams both ways without being held in memory", async () => {
  const size = 64 * MIB;
  const piece = "x".repeat(65_536);
  let received = 0;
  await using upstream = startUpstream(async (link) => {
    await link.reader.through("\r\n\r\n");
    while (received < size) {
      const part = await link.reader.exactly(Math.min(65_536, size - received));
      if (part === "") return;
      received += part.length;
      link.reader.forget();
    }
    await link.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
    for (let sent = 0; sent < size; sent += piece.length) if (!(await link.write(piece))) return;
  });
  await using conf = await setting(upstream);
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const before = memoryOf(agent.pid);
  using client = await RawClient.connect(agent.http);
  await client.send(`POST http://svc.test/big HTTP/1.1\r\nHost: svc.test\r\nContent-Length: ${size}\r\n\r\n`);
  for (let sent = 0; sent < size; sent += piece.length) assert.ok(await client.send(piece));
  assert.match(await client.reader.through("\r\n\r\n") ?? "", /^HTTP\/1.1 200 /);
  let got = 0;
  while (got < size) {
    got += (await client.reader.exactly(Math.min(65_536, size - got))).length;
    client.reader.forget();
  }
  assert.equal(received, size);
  const grown = memoryOf(agent.pid) - before;
  assert.ok(grown < 48 * MIB, `memory grew by ${Math.round(grown / MIB)} MiB for bodies of 64 MiB`);
});
