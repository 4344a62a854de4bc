/** Upstreams and clients that misbehave: right status, right flag in the access log, agent unharmed, nothing left open. */
import assert from "node:assert/strict";
import { type AgentProcess, descriptorsBackTo, descriptorsOf, startAgentProcess } from "../harness/agent.ts";
import { until } from "../harness/bytes.ts";
import { askOnce, proxyGet, RawClient } from "../harness/client.ts";
import { destinationRule, makeConf, serviceEntry } from "../harness/conf.ts";
import { answering, deadPort, type Script, startUpstream } from "../harness/upstream.ts";

interface Trouble {
  readonly name: string;
  /** Null: nobody listens. */
  readonly script: Script | null;
  /** 0: the client sees a cut answer. */
  readonly status: number;
  readonly flags: string;
  /** The answer must not be whole. */
  readonly cut?: boolean;
}

const never = (): Promise<void> => Promise.resolve();

const TROUBLES: readonly Trouble[] = [
  { name: "dead", script: null, status: 503, flags: "UF" },
  {
    name: "slow",
    script: async (link) => {
      await link.request();
      await link.peerGone();
    },
    status: 504,
    flags: "UT",
  },
  {
    name: "silent",
    script: async (link) => {
      await link.request();
    },
    status: 503,
    flags: "UC",
  },
  {
    name: "midhead",
    script: async (link) => {
      await link.request();
      await link.write("HTTP/1.1 200 OK\r\nContent-Ty");
    },
    status: 503,
    flags: "UC",
  },
  {
    name: "midbody",
    script: async (link) => {
      await link.request();
      await link.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    },
    status: 200,
    flags: "UC",
    cut: true,
  },
  {
    name: "midchunk",
    script: async (link) => {
      await link.request();
      await link.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
    },
    status: 200,
    flags: "UC",
    cut: true,
  },
  {
    name: "stall",
    script: async (link) => {
      await link.request();
      await link.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
      await link.peerGone();
    },
    status: 200,
    flags: "UT",
    cut: true,
  },
  {
    name: "garbage",
    script: async (link) => {
      await link.request();
      await link.write("\x00\x01\x02 this is not HTTP\r\n\r\n");
    },
    status: 502,
    flags: "UPE",
  },
  {
    name: "slams",
    // Closes with unread bytes, so that the kernel sends a reset.
    script: never,
    status: 503,
    flags: "UC",
  },
];

const routeOf = (name: string): string =>
  `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec:
  hosts: [${name}.test]
  http:
  - route: [{destination: {host: ${name}.test}}]
    timeout: 0.4s
    retries: {attempts: 0}
`;

Deno.test("upstreams in trouble", async (t) => {
  const upstreams = TROUBLES.map(({ script }) => script === null ? null : startUpstream(script));
  await using good = startUpstream(answering());
  const files: Record<string, string> = {
    "rules/good.yaml": serviceEntry("good.test", 80, { v1: good.port }),
  };
  for (const [i, { name }] of TROUBLES.entries()) {
    const port = upstreams[i]?.port ?? deadPort();
    files[`rules/${name}.yaml`] = `${serviceEntry(`${name}.test`, 80, { v1: port })}---\n${routeOf(name)}`;
  }
  // A subset that no endpoint is of, and a service without endpoints.
  files["rules/empty.yaml"] = serviceEntry("empty.test", 80, {}).replace("  endpoints:\n", "") +
    "---\n" + serviceEntry("subset.test", 80, { v1: good.port }) +
    "---\n" + destinationRule("subset.test", ["v9"]) + `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: subset}
spec:
  hosts: [subset.test]
  http:
  - match: [{uri: {prefix: /unknown}}]
    route: [{destination: {host: subset.test, subset: v8}}]
  - match: [{uri: {prefix: /labelless}}]
    route: [{destination: {host: subset.test, subset: v9}}]
  - match: [{uri: {exact: /only}}]
    route: [{destination: {host: subset.test}}]
`;
  await using conf = await makeConf({ files, mesh: { accessLog: "json", timeouts: { bodyStall: "1s" } } });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  await askOnce(agent.http, proxyGet("good.test"));
  const baseline = descriptorsOf(agent.pid);

  for (const trouble of TROUBLES) {
    await t.step(trouble.name, async () => {
      using client = await RawClient.connect(agent.http);
      await client.send(proxyGet(`${trouble.name}.test`, `/${trouble.name}`));
      const answer = await client.response();
      assert.equal(answer.status, trouble.status);
      assert.equal(answer.complete, trouble.cut !== true, "whole or cut");
      if (trouble.cut !== true) assert.match(answer.header("proxy-status") ?? "", /^mesh-agent; error=/);
      const line = await lineOf(agent, `/${trouble.name}`);
      assert.equal(line.response_code, trouble.status);
      assert.equal(line.response_flags, trouble.flags);
    });
  }
  for (
    const [name, path, status, flags] of [
      ["an unknown subset", "/unknown", 503, "NC"],
      ["a subset without endpoints", "/labelless", 503, "UH"],
      ["no route for the path", "/nothing", 404, "NR"],
    ] as const
  ) {
    await t.step(name, async () => {
      const answer = await askOnce(agent.http, proxyGet("subset.test", path));
      assert.equal(answer.status, status, answer.raw);
      assert.equal((await lineOf(agent, path)).response_flags, flags);
    });
  }
  await t.step("a known host on an unknown port names the ports", async () => {
    const answer = await askOnce(agent.http, proxyGet("good.test:81", "/port"));
    assert.equal(answer.status, 404);
    assert.match(answer.body, /\b80\b/);
    assert.equal((await lineOf(agent, "/port")).response_flags, "NR");
  });
  await t.step("the agent itself is a loop", async () => {
    for (
      const host of [
        `127.0.0.1:${agent.http.port}`,
        `localhost:${agent.http.port}`,
        `127.0.0.1:${agent.admin.port}`,
      ]
    ) {
      const answer = await askOnce(agent.http, proxyGet(host, "/loop"));
      assert.equal(answer.status, 508, answer.raw);
    }
  });
  await t.step("the client goes away while it waits", async () => {
    const client = await RawClient.connect(agent.http);
    await using slow = startUpstream(async (link) => {
      await link.request();
      await link.peerGone();
    });
    await client.send(proxyGet(`127.0.0.1:${slow.port}`, "/gone"));
    await slow.nth(0);
    client.close();
    const line = await lineOf(agent, "/gone");
    assert.equal(line.response_flags, "DC");
    assert.equal(line.response_code, 0);
    // The upstream is let go of as well.
    await slow.links[0]!.peerGone();
  });
  await t.step("the client goes away in the middle of its body", async () => {
    await using slow = startUpstream(async (link) => {
      await link.request();
      await link.peerGone();
    });
    const client = await RawClient.connect(agent.http);
    const host = `127.0.0.1:${slow.port}`;
    await client.send(
      `POST http://${host}/half HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 100\r\n\r\nhalf`,
    );
    await until(() => slow.received().includes("half"), "half a body");
    client.close();
    assert.equal((await lineOf(agent, "/half")).response_flags, "DC");
  });
  await t.step("the client goes away in the middle of the answer", async () => {
    await using endless = startUpstream(async (link) => {
      await link.request();
      await link.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      while (await link.write(`10000\r\n${"x".repeat(65_536)}\r\n`));
    });
    const client = await RawClient.connect(agent.http);
    await client.send(proxyGet(`127.0.0.1:${endless.port}`, "/endless"));
    await client.reader.exactly(1_000_000);
    client.close();
    assert.equal((await lineOf(agent, "/endless")).response_flags, "DC");
  });
  await t.step("and the agent is unharmed", async () => {
    assert.equal((await askOnce(agent.http, proxyGet("good.test"))).status, 200);
    await descriptorsBackTo(agent.pid, baseline + 2);
    assert.doesNotMatch(agent.stderr(), /mistake in the agent|a task failed/);
  });
  for (const upstream of upstreams) await upstream?.close();
});

async function lineOf(
  agent: AgentProcess,
  path: string,
): Promise<ReturnType<AgentProcess["accessLog"]>[number]> {
  const find = () => agent.accessLog().find((line) => line.path === path);
  await until(() => find() !== undefined, `the access-log line of ${path}`);
  return find()!;
}
