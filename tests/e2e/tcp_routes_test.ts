/** TCP and TLS routes of a VirtualService, reached by CONNECT: weights, server names, half-closes, many short connections. */
import assert from "node:assert/strict";
import { type AgentProcess, descriptorsBackTo, descriptorsOf, startAgentProcess } from "../harness/agent.ts";
import { bytesOf, textOf, until, within } from "../harness/bytes.ts";
import { makeCertificate } from "../harness/certificate.ts";
import { RawClient } from "../harness/client.ts";
import { makeConf } from "../harness/conf.ts";
import { deadPort, startUpstream } from "../harness/upstream.ts";

/** Two versions of a service on a TCP or TLS port, and how connections are split among them. */
function rules(
  host: string,
  port: number,
  protocol: string,
  versions: Readonly<Record<string, number>>,
  route: string,
): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${host.replaceAll(".", "-")}}
spec:
  hosts: [${host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: ${port}, name: p, protocol: ${protocol}}]
  endpoints:
${
    Object.entries(versions).map(([v, p]) =>
      `  - {address: 127.0.0.1, ports: {p: ${p}}, labels: {version: ${v}}}\n`
    ).join("")
  }---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${host.replaceAll(".", "-")}}
spec:
  host: ${host}
  subsets: [${Object.keys(versions).map((v) => `{name: ${v}, labels: {version: ${v}}}`).join(", ")}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${host.replaceAll(".", "-")}}
spec:
  hosts: [${host}]
${route}`;
}

const split = (host: string, weights: Readonly<Record<string, number>>): string =>
  Object.entries(weights).map(([v, w]) =>
    `    - {destination: {host: ${host}, subset: ${v}}, weight: ${w}}\n`
  ).join("");

async function tunnel(agent: AgentProcess, authority: string): Promise<RawClient> {
  const client = await RawClient.connect(agent.http);
  await client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  assert.match(await client.reader.through("\r\n\r\n") ?? "", /^HTTP\/1.1 200 /);
  return client;
}

/** A TLS server that says its name to whoever connects. */
async function startTlsServer(name: string, certificateFor: string) {
  const { cert, key } = await makeCertificate(certificateFor);
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  const serving = (async () => {
    for await (const conn of listener) {
      (async () => {
        await conn.write(bytesOf(name));
        await conn.closeWrite();
        conn.close();
      })().catch(() => {});
    }
  })().catch(() => {});
  return {
    cert,
    port: (listener.addr as Deno.NetAddr).port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
    },
  };
}

Deno.test("CONNECT goes by tcp routes", async (t) => {
  // Server-first, as databases are: they greet, echo to the end of what they get, and say goodbye after it.
  const greeting = (name: string) =>
    startUpstream(async (link) => {
      await link.write(`hello from ${name}\n`);
      await link.peerGone();
      await link.write(`${name} got ${link.reader.all.length}`);
      await link.end();
    });
  await using one = greeting("v1");
  await using two = greeting("v2");
  const host = "db.default.svc.cluster.local";
  await using conf = await makeConf({
    files: {
      "rules/db.yaml": rules(
        host,
        3306,
        "MySQL",
        { v1: one.port, v2: two.port },
        `  tcp:\n  - match: [{port: 3306}]\n    route:\n${split(host, { v1: 80, v2: 20 })}`,
      ),
    },
    mesh: { accessLog: "json" },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);

  await t.step("by weight; a server that speaks first is not waited for", async () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 400; i++) {
      using client = await tunnel(agent, i % 2 === 0 ? "db:3306" : `${host}:3306`);
      const line = await within(client.reader.through("\n"), "the greeting") ?? "";
      counts.set(line, (counts.get(line) ?? 0) + 1);
    }
    const first = counts.get("hello from v1\n") ?? 0;
    // Six standard deviations around 320.
    assert.ok(first > 272 && first < 368, `v1 got ${first} of 400`);
    assert.equal(first + (counts.get("hello from v2\n") ?? 0), 400);
  });

  await t.step("half-close: the answer to the end of input arrives", async () => {
    using client = await tunnel(agent, "db:3306");
    await client.reader.through("\n");
    await client.send("x".repeat(100_000));
    await client.end();
    assert.match(await client.toEnd(), /^v[12] got 100000$/);
    await until(
      () => agent.accessLog().some((l) => l.authority === "db:3306" && l.response_code === 200),
      "its log line",
    );
  });
});

Deno.test("a port of the agent's own goes by the same routes, and drains", async () => {
  await using server = startUpstream(async (link) => {
    await link.write("hello\n");
    await link.peerGone();
    await link.write(`got ${link.reader.all}`);
    await link.end();
  });
  const host = "db.default.svc.cluster.local";
  const port = deadPort();
  await using conf = await makeConf({
    files: {
      "rules/db.yaml": rules(
        host,
        3306,
        "TCP",
        { v1: server.port },
        `  tcp:\n  - route:\n${split(host, { v1: 1 })}`,
      ),
    },
    mesh: { accessLog: "json", tcp: { listeners: [`${port}=db:3306`] } },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  assert.match(agent.stderr(), new RegExp(`local port 127\\.0\\.0\\.1:${port} leads to db:3306`));
  using client = await RawClient.connect({ ...agent.http, port });
  assert.equal(await within(client.reader.through("\n"), "the greeting"), "hello\n");
  Deno.kill(agent.pid, "SIGTERM");
  await until(() => /draining/.test(agent.stderr()), "the drain");
  await assert.rejects(Deno.connect({ hostname: "127.0.0.1", port }));
  await client.send("still here");
  await client.end();
  assert.equal(await client.toEnd(), "got still here");
  assert.equal((await agent.ended).code, 0);
  const line = agent.accessLog().find((l) => l.authority === "db:3306");
  assert.deepEqual([line?.method, line?.response_code, line?.response_flags], ["-", 0, "-"]);
});

Deno.test("CONNECT goes by tls routes", async (t) => {
  const name = "secure.example.com";
  await using one = await startTlsServer("v1", name);
  await using two = await startTlsServer("v2", name);
  await using other = await startTlsServer("other", "other.example.com");
  await using conf = await makeConf({
    files: {
      "rules/secure.yaml": rules(
        name,
        443,
        "TLS",
        { v1: one.port, v2: two.port },
        `  tls:\n  - match: [{port: 443, sniHosts: [${name}]}]\n    route:\n${
          split(name, { v1: 50, v2: 50 })
        }`,
      ),
      "rules/other.yaml": rules("other.example.com", 443, "TLS", { v1: other.port }, "  http: []\n")
        .replace(/---\napiVersion[^-]*kind: VirtualService[\s\S]*$/, ""),
    },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);

  const ask = async (authority: string, sni: string, certs: readonly string[]): Promise<string> => {
    const tcp = await Deno.connect(agent.http);
    tcp.setNoDelay(true);
    await tcp.write(bytesOf(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`));
    const buffer = new Uint8Array(1000);
    const n = await within(tcp.read(buffer), "the answer to CONNECT") ?? 0;
    assert.match(textOf(buffer.subarray(0, n)), /^HTTP\/1.1 200 /);
    const tls = await Deno.startTls(tcp, { hostname: sni, caCerts: [...certs] });
    try {
      const count = await within(tls.read(buffer), "the name") ?? 0;
      return textOf(buffer.subarray(0, count));
    } finally {
      tls.close();
    }
  };

  await t.step("by server name and weight", async () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 100; i++) {
      const got = await ask(`${name}:443`, name, [one.cert, two.cert]);
      counts.set(got, (counts.get(got) ?? 0) + 1);
    }
    assert.deepEqual([...counts.keys()].sort(), ["v1", "v2"]);
    assert.ok((counts.get("v1") ?? 0) > 20 && (counts.get("v2") ?? 0) > 20, `${[...counts]}`);
  });

  await t.step("a service without a rule is reached by its name alone", async () => {
    assert.equal(await ask("other.example.com:443", "other.example.com", [other.cert]), "other");
  });

  await t.step("the same without CONNECT: the listener reads the name", async () => {
    const seen = new Set<string>();
    const buffer = new Uint8Array(100);
    for (let i = 0; i < 30; i++) {
      const tls = await Deno.startTls(await Deno.connect(agent.http), {
        hostname: name,
        caCerts: [one.cert, two.cert],
      });
      const count = await within(tls.read(buffer), "the name") ?? 0;
      seen.add(textOf(buffer.subarray(0, count)));
      tls.close();
    }
    assert.deepEqual([...seen].sort(), ["v1", "v2"]);
  });
});

Deno.test("10,000 short connections leave nothing behind", async () => {
  await using server = startUpstream(async (link) => {
    await link.reader.fill();
    await link.write("y");
    await link.end();
  });
  const host = "short.default.svc.cluster.local";
  await using conf = await makeConf({
    files: {
      "rules/short.yaml": rules(
        host,
        7000,
        "TCP",
        { v1: server.port },
        `  tcp:\n  - route:\n${split(host, { v1: 100 })}`,
      ),
    },
    mesh: { accessLog: "off" },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const once = async (): Promise<void> => {
    const conn = await Deno.connect(agent.http);
    try {
      await conn.write(bytesOf("CONNECT short:7000 HTTP/1.1\r\nHost: short:7000\r\n\r\nx"));
      const buffer = new Uint8Array(200);
      let text = "";
      for (let n; (n = await conn.read(buffer)) !== null;) text += textOf(buffer.subarray(0, n));
      assert.match(text, /^HTTP\/1.1 200 [\s\S]*\r\n\r\ny$/);
    } finally {
      conn.close();
    }
  };
  await once();
  const before = descriptorsOf(agent.pid);
  for (let round = 0; round < 200; round++) {
    await Promise.all(Array.from({ length: 50 }, once));
  }
  await descriptorsBackTo(agent.pid, before + 5);
});
