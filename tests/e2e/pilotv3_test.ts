/** Rules from a live control plane of every temper: first sync, new weights, a new service, loss and return, all under load. */
import assert from "node:assert/strict";
import { type AgentProcess, startAgentProcess } from "../harness/agent.ts";
import { until } from "../harness/bytes.ts";
import { askOnce, proxyGet } from "../harness/client.ts";
import { istioserver, makeConf, serviceEntry } from "../harness/conf.ts";
import { startControlPlane, type Temper } from "../harness/control_plane.ts";
import { runLoad } from "../harness/load.ts";
import { echoing, startUpstream } from "../harness/upstream.ts";

const REQUEST = proxyGet("istioserver:8084", "/hello");

interface Case {
  readonly name: string;
  readonly temper: Exclude<Temper, "recording-v2" | "recording-v3">;
  readonly discovery: "pilotv2" | "pilotv3";
  readonly delta: boolean;
  /** What status says the stream is. */
  readonly mode: string;
}

const CASES: readonly Case[] = [
  { name: "istiod, delta", temper: "istiod", discovery: "pilotv3", delta: true, mode: "delta" },
  {
    name: "istiod, state of the world",
    temper: "istiod",
    discovery: "pilotv3",
    delta: false,
    mode: "state-of-the-world",
  },
  {
    name: "Pilot 1.0.9",
    temper: "pilot-1.0.9",
    discovery: "pilotv2",
    delta: true,
    mode: "state-of-the-world",
  },
  {
    name: "Pilot 0.8.0",
    temper: "pilot-0.8.0",
    discovery: "pilotv2",
    delta: true,
    mode: "state-of-the-world",
  },
];

for (const { name, temper, discovery, delta, mode } of CASES) {
  Deno.test(`${name}: synced, changed, lost and found again, without a failed request`, async () => {
    await using v1 = startUpstream(echoing("v1"));
    await using v2 = startUpstream(echoing("v2"));
    await using extra = startUpstream(echoing("extra"));
    const endpoints = { v1: v1.port, v2: v2.port };
    const first = await startControlPlane({ temper });
    await using _first = first;
    await first.serve(istioserver(endpoints, { v1: 100, v2: 0 }));
    await using conf = await makeConf({
      discovery,
      address: first.address,
      controlPlane: { delta },
      mesh: { accessLog: "off" },
    });
    await using agent = await startAgentProcess(["run", "--config", conf.path]);
    await first.settled();
    assert.equal((await syncOf(agent)).mode, mode);

    let stop = false;
    const seen = { v1: 0, v2: 0 };
    const load = runLoad({
      address: agent.http,
      request: REQUEST,
      connections: 4,
      stopped: () => stop,
      key: (response) => response.header("x-instance") ?? "(none)",
      onAnswer: (key) => seen[key as "v1" | "v2"]++,
    });
    load.catch(() => {});
    await until(() => seen.v1 > 50, "traffic on v1");
    assert.equal(seen.v2, 0);

    await first.serve(istioserver(endpoints, { v1: 0, v2: 100 }));
    await until(() => seen.v2 > 50, "traffic on v2");

    await first.serve(
      [istioserver(endpoints, { v1: 0, v2: 100 }), serviceEntry("extra.test", 8085, { e: extra.port })]
        .join("---\n"),
    );
    await until(
      async () => (await askOnce(agent.http, proxyGet("extra.test:8085"))).header("x-instance") === "extra",
      "traffic on the new service",
    );

    await first.kill();
    await until(async () => (await syncOf(agent)).step !== "synced", "the loss noticed");
    seen.v2 = 0;
    await until(() => seen.v2 > 50, "traffic without a control plane");
    assert.equal((await ready(agent)).status, 200, "ready all the while");

    await using second = await startControlPlane({ temper, port: first.port });
    await second.serve(istioserver(endpoints, { v1: 100, v2: 0 }));
    await until(async () => (await syncOf(agent)).step === "synced", "synced again", 20_000);
    seen.v1 = 0;
    await until(() => seen.v1 > 50, "traffic on v1 again");
    stop = true;
    assert.deepEqual((await load).failures, []);
    assert.ok(!second.events.some((e) => e.kind === "panic"));
    await until(
      async () => (await askOnce(agent.http, proxyGet("extra.test:8085"))).header("x-instance") !== "extra",
      "the end of what the new one does not know",
    );
    for (const { error } of [...first.requests(), ...second.requests()]) assert.equal(error, undefined);
  });
}

interface Connection {
  readonly step: string;
  readonly mode: string;
}

async function syncOf(agent: AgentProcess): Promise<Connection> {
  const response = await fetch(`http://127.0.0.1:${agent.admin.port}/sync`);
  return ((await response.json()) as { connections: Connection[] }).connections[0] as Connection;
}

async function ready(agent: AgentProcess): Promise<Response> {
  const response = await fetch(`http://127.0.0.1:${agent.admin.port}/ready`);
  await response.body?.cancel();
  return response;
}
