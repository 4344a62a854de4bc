/** TCP by Python's sockets at both ends: half-closes, and 10,000 short connections that leave nothing behind. */
import assert from "node:assert/strict";
import { descriptorsBackTo, descriptorsOf, startAgentProcess } from "../harness/agent.ts";
import { until } from "../harness/bytes.ts";
import { makeConf, serviceEntry } from "../harness/conf.ts";
import { deadPort } from "../harness/upstream.ts";
import { judge, judged } from "./judges.ts";
import { runToEnd, startServer } from "./process.ts";

const at = (name: string): string => new URL(`./tcp/${name}`, import.meta.url).pathname;

/** Sockets of this machine with one of these ports at an end, in any state but TIME_WAIT (what `ss -tan` shows). */
function socketsAt(...ports: number[]): number {
  const wanted = new Set(ports.map((port) => port.toString(16).toUpperCase().padStart(4, "0")));
  return Deno.readTextFileSync("/proc/net/tcp").trim().split("\n").slice(1).filter((line) => {
    const [, local, remote, state] = line.trim().split(/\s+/);
    const there = wanted.has(local!.slice(-4)) || wanted.has(remote!.slice(-4));
    return there && state !== "06";
  }).length;
}

judged("TCP: half-closes and 10,000 short connections by Python", ["python3"], async (t) => {
  await using server = await startServer(judge("python3"), [at("server.py")]);
  const port = deadPort();
  await using conf = await makeConf({
    files: {
      "rules/db.yaml": serviceEntry("db.default.svc.cluster.local", 7000, { v1: server.port })
        .replace("protocol: HTTP}", "protocol: TCP}"),
    },
    mesh: { accessLog: "off", tcp: { listeners: [`${port}=db:7000`] } },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  /** Number of connections, bytes on each, threads, and where to. */
  const play = (count: number, bytes: number, threads: number, ...connect: string[]): Promise<string> => {
    const to = connect.length > 0 ? agent.http.port : port;
    return runToEnd(judge("python3"), [
      at("client.py"),
      ...[to, count, bytes, threads].map(String),
      ...connect,
    ], 120_000);
  };

  await t.step("what the server says after the client's end arrives", async () => {
    assert.equal(await play(20, 1_000_000, 4), "20 good, 0 bad []\n");
    assert.equal(await play(20, 1_000_000, 4, "db:7000"), "20 good, 0 bad []\n");
  });

  await t.step("10,000 short connections", async () => {
    const descriptors = descriptorsOf(agent.pid);
    const sockets = socketsAt(agent.http.port, port, server.port);
    assert.equal(await play(5000, 10, 20), "5000 good, 0 bad []\n");
    assert.equal(await play(5000, 10, 20, "db:7000"), "5000 good, 0 bad []\n");
    await descriptorsBackTo(agent.pid, descriptors);
    await until(
      () => socketsAt(agent.http.port, port, server.port) <= sockets,
      `at most ${sockets} sockets`,
    );
  });
});
