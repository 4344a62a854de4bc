/**
 * Load by h2load, wrk and node: no error, the same process, descriptors and memory back. Three seconds each; MESH_LOAD_SECONDS sets
 * another length.
 */
import assert from "node:assert/strict";
import {
  type AgentProcess,
  descriptorsBackTo,
  descriptorsOf,
  memoryOf,
  startAgentProcess,
} from "../harness/agent.ts";
import { askOnce, proxyGet } from "../harness/client.ts";
import { makeConf, serviceEntry } from "../harness/conf.ts";
import { judge, judged } from "./judges.ts";
import { runToEnd, startServer } from "./process.ts";

const SECONDS = Number(Deno.env.get("MESH_LOAD_SECONDS") ?? 3);
const MIB = 1024 * 1024;

const at = (name: string): string => new URL(`./http/${name}`, import.meta.url).pathname;

/** Plays the load twice: after the second the memory may not be much above that after the first. */
async function unharmed(agent: AgentProcess, host: string, load: () => Promise<void>): Promise<void> {
  const alive = async (): Promise<void> => {
    assert.equal((await askOnce(agent.http, proxyGet(host, "/", "Connection: close\r\n"))).status, 200);
  };
  await alive();
  const descriptors = descriptorsOf(agent.pid);
  const idle = memoryOf(agent.pid);
  await load();
  await descriptorsBackTo(agent.pid, descriptors + 2);
  const first = memoryOf(agent.pid);
  await load();
  await alive();
  await descriptorsBackTo(agent.pid, descriptors + 2);
  const second = memoryOf(agent.pid);
  const told = [idle, first, second].map((bytes) => `${Math.round(bytes / MIB)} MiB`).join(", ");
  if (SECONDS > 3) console.log(`memory idle, after the load, after it again: ${told}`);
  assert.ok(second - first < 64 * MIB, told);
  assert.doesNotMatch(agent.stderr(), / (error|warn) /);
}

const settings = (files: Readonly<Record<string, string>>) =>
  makeConf({ files, mesh: { accessLog: "off", timeouts: { upstreamIdle: "1s" } } });

judged("load: h2load, 100 clients of 10 streams", ["h2load", "node"], async () => {
  await using server = await startServer(judge("node"), [at("http.mjs")]);
  await using conf = await settings({ "rules/a.yaml": serviceEntry("svc.test", 80, { v1: server.port }) });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  await unharmed(agent, "svc.test", async () => {
    const url = `http://127.0.0.1:${agent.http.port}/`;
    const said = await runToEnd(
      judge("h2load"),
      ["-c", "100", "-m", "10", "-t", "1", "-D", String(SECONDS), "-H", ":authority: svc.test", url],
      SECONDS * 1000 + 60_000,
    );
    if (SECONDS > 3) console.log(said);
    assert.match(said, /, (\d+) succeeded, 0 failed, 0 errored, 0 timeout\n/);
    const counts = /^status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx$/m.exec(said);
    assert.ok(Number(counts?.[1]) > 1000, said);
  });
});

judged("load: wrk, 1,000 connections", ["wrk", "node"], async () => {
  await using server = await startServer(judge("node"), [at("http.mjs")]);
  await using conf = await settings({ "rules/a.yaml": serviceEntry("svc.test", 80, { v1: server.port }) });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  await unharmed(agent, "svc.test", async () => {
    const url = `http://127.0.0.1:${agent.http.port}/`;
    const said = await runToEnd(
      judge("wrk"),
      ["-c", "1000", "-t", "1", "-d", `${SECONDS}s`, "--timeout", "10s", "-H", "Host: svc.test", url],
      SECONDS * 1000 + 60_000,
    );
    if (SECONDS > 3) console.log(said);
    assert.ok(Number(/^ *(\d+) requests in /m.exec(said)?.[1]) > 1000, said);
    assert.doesNotMatch(said, /Socket errors|Non-2xx/);
  });
});

for (const how of ["as advised", "at-once"]) {
  judged(`load: a server that leaves every connection after 200 ms, ${how}`, ["node"], async () => {
    await using server = await startServer(judge("node"), [at("leaving.mjs"), "200", how]);
    await using conf = await settings({
      "rules/a.yaml": serviceEntry("leaving.test", 80, { v1: server.port })
        .replace("protocol: HTTP}", "protocol: HTTP2}"),
    });
    await using agent = await startAgentProcess(["run", "--config", conf.path]);
    await unharmed(agent, "leaving.test", async () => {
      const said = await runToEnd(
        judge("node"),
        [at("load.mjs"), String(agent.http.port), "leaving.test", String(SECONDS)],
        SECONDS * 1000 + 60_000,
      );
      if (SECONDS > 3) console.log(said);
      const [, ok, failed] = /^(\d+) answers, (\d+) failed/.exec(said) ?? [];
      assert.equal(failed, "0", said);
      assert.ok(Number(ok) > 500, said);
    });
    const stats = await (await fetch(`http://127.0.0.1:${agent.admin.port}/stats/prometheus`)).text();
    const connections = Number(/^mesh_agent_upstream_connections_total (\d+)$/m.exec(stats)?.[1]);
    assert.ok(connections > 10, `only ${connections} connections to a server that leaves`);
  });
}
