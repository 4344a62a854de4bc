/** The second listener of Mesher's configuration, `cse.protocols.grpc`: it takes what the first takes, and is accounted for. */
import assert from "node:assert/strict";
import { startAgentProcess } from "../harness/agent.ts";
import { until, within } from "../harness/bytes.ts";
import { askOnce, proxyGet, RawClient } from "../harness/client.ts";
import { makeConf, serviceEntry } from "../harness/conf.ts";
import { Http2Side } from "../harness/http2_side.ts";
import { answering, deadPort, startUpstream } from "../harness/upstream.ts";

Deno.test("the grpc listener takes HTTP/1.1, HTTP/2 and CONNECT, as the http listener does", async (t) => {
  await using upstream = startUpstream(answering());
  const port = deadPort();
  await using conf = await makeConf({
    grpc: `127.0.0.1:${port}`,
    files: { "rules/svc.yaml": serviceEntry("svc.test", 80, { v1: upstream.port }) },
    mesh: { accessLog: "json" },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const grpc = { hostname: "127.0.0.1", port };
  const get = "GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n";

  for (const [name, address] of [["http", agent.http], ["grpc", grpc]] as const) {
    await t.step(`${name}: HTTP/1.1, HTTP/2, CONNECT over both`, async () => {
      assert.equal((await askOnce(address, proxyGet("svc.test"))).status, 200);
      using tunnel = await RawClient.connect(address);
      await tunnel.send("CONNECT svc.test:80 HTTP/1.1\r\nHost: svc.test:80\r\n\r\n");
      assert.match(await tunnel.reader.through("\r\n\r\n") ?? "", /^HTTP\/1.1 200 /);
      assert.equal((await tunnel.ask(get)).status, 200);
      using client = await Http2Side.connect(address.port);
      client.request(get);
      await within(client.line(/^headers 1 "HTTP\/1.1 200 /), "the answer");
      const stream = client.request("CONNECT svc.test:80 HTTP/1.1\r\n\r\n", get);
      await within(client.line(/^data 3 \d+ bytes/), "the answer in the tunnel");
      assert.ok(stream.localClosed);
    });
  }

  await t.step("each is counted, and neither is a destination", async () => {
    const metrics =
      (await askOnce(agent.admin!, "GET /stats/prometheus HTTP/1.1\r\nHost: localhost\r\n\r\n")).body;
    assert.match(metrics, /^mesh_agent_grpc_listener_connections_total 3$/m);
    assert.match(metrics, /^mesh_agent_http_listener_connections_total 3$/m);
    assert.equal((await askOnce(agent.http, proxyGet(`127.0.0.1:${port}`))).status, 508);
    assert.equal((await askOnce(grpc, proxyGet(`127.0.0.1:${agent.http.port}`))).status, 508);
  });

  await t.step("a drain closes both", async () => {
    using client = await Http2Side.connect(port);
    await until(() => client.connection.peer.known, "SETTINGS");
    const stopped = agent.stop();
    await within(client.line(/^goaway/), "GOAWAY");
    await within(client.line(/^closed/), "the end");
    assert.equal((await stopped).code, 0);
    await assert.rejects(Deno.connect(grpc));
  });
});

Deno.test("a grpc port that is taken is said so", async () => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using conf = await makeConf({ grpc: `127.0.0.1:${taken.addr.port}` });
  await assert.rejects(
    startAgentProcess(["run", "--config", conf.path]),
    new RegExp(`\\[N101\\] Cannot listen on "127.0.0.1:${taken.addr.port}" \\(grpc\\)`),
  );
  taken.close();
});
