/** gRPC and HTTP/2 through the agent: grpc-js and curl in processes of their own, rules from files. */
import assert from "node:assert/strict";
import { startAgentProcess } from "../harness/agent.ts";
import { makeConf, serviceEntry } from "../harness/conf.ts";
import { GrpcServer, playGrpc } from "../harness/grpc_pair.ts";
import { RawClient } from "../harness/client.ts";
import { within } from "../harness/bytes.ts";
import { answering, startUpstream } from "../harness/upstream.ts";

const grpcEntry = (host: string, port: number): string =>
  serviceEntry(host, 80, { v1: port }).replace(/protocol: HTTP}/, "protocol: GRPC}");

const virtualService = (host: string, route: string): string =>
  `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${host.replaceAll(".", "-")}}
spec:
  hosts: [${host}]
  http:
  - route: [{destination: {host: ${host}, port: {number: 80}}}]
${route}`;

/** curl with HTTP/2 prior knowledge: status, version and body. */
async function curl(host: string, ...more: string[]): Promise<string> {
  const { stdout } = await new Deno.Command("curl", {
    args: ["-sS", "-m", "10", "--noproxy", "*", "--http2-prior-knowledge", "-H", `Host: ${host}`, ...more],
  }).output();
  return new TextDecoder().decode(stdout);
}

Deno.test("gRPC and HTTP/2 end to end", async (t) => {
  await using server = await GrpcServer.start();
  await using leaving = await GrpcServer.start(200);
  await using plain = startUpstream(answering());
  await using conf = await makeConf({
    files: {
      "rules/grpc.yaml": grpcEntry("grpc.test", server.port),
      "rules/vs.yaml": virtualService("grpc.test", "    retries: {attempts: 3, retryOn: unavailable}\n"),
      "rules/limited.yaml": grpcEntry("limited.test", server.port),
      "rules/limited-vs.yaml": virtualService("limited.test", "    timeout: 0.3s\n"),
      "rules/leaving.yaml": grpcEntry("leaving.test", leaving.port),
      // This server closes at once when it has nothing to do, so a request may meet the end without being refused.
      "rules/leaving-vs.yaml": virtualService("leaving.test", "    retries: {attempts: 3, retryOn: reset}\n"),
      "rules/once.yaml": grpcEntry("once.test", leaving.port),
      "rules/once-vs.yaml": virtualService("once.test", "    retries: {attempts: 0}\n"),
      "rules/plain.yaml": serviceEntry("plain.test", 80, { v1: plain.port }),
    },
    mesh: { accessLog: "json" },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const { port } = agent.http;
  const play = async (authority: string, name: string) => (await playGrpc(port, authority, name))[0]!;
  const url = `http://127.0.0.1:${port}`;

  await t.step("unary, by a VirtualService", async () => {
    const seen = await play("grpc.test", "unary");
    assert.equal(seen.code, 0);
    assert.equal(seen.last, '{"echo":true}');
  });

  await t.step("metadata and trailers, binary ones too", async () => {
    const seen = await play("grpc.test", "metadata");
    const got = JSON.parse(seen.last);
    assert.equal(got["x-one"], "1");
    assert.equal(got["x-two"], "a, b");
    assert.deepEqual(got["x-raw-bin"].data, [1, 2, 254]);
    assert.equal(seen.trailers["x-trailer"], "t");
    assert.deepEqual(seen.bin, [0, 1, 255]);
  });

  await t.step("trailers-only", async () => {
    const seen = await play("grpc.test", "trailersOnly");
    assert.deepEqual([seen.code, seen.details], [5, "not here"]);
  });

  await t.step("an error after messages", async () => {
    const seen = await play("grpc.test", "failAfter");
    assert.deepEqual([seen.code, seen.messages, seen.details], [14, 2, "on purpose"]);
  });

  await t.step("retries after UNAVAILABLE in a head", async () => {
    const seen = await play("grpc.test", "retried");
    assert.deepEqual([seen.code, seen.last], [0, "3"]);
  });

  await t.step("messages to and fro", async () => {
    assert.equal((await play("grpc.test", "pingPong")).messages, 50);
  });

  await t.step("a stream of the server", async () => {
    assert.equal((await play("grpc.test", "serverStream")).bytes, 5_000_000);
  });

  await t.step("a client's cancel reaches the server", async () => {
    assert.equal((await play("grpc.test", "cancel")).code, 1);
    await within(server.event((e) => e.event === "cancelled"), "the cancel at the server");
  });

  await t.step("a client's deadline", async () => {
    const seen = await play("grpc.test", "deadline");
    assert.equal(seen.code, 4);
    await within(server.event((e) => e.event === "cancelled"), "the cancel at the server");
  });

  await t.step("the route's timeout is UNAVAILABLE and a cancel", async () => {
    const seen = await play("limited.test", "agentsDeadline");
    assert.equal(seen.code, 14);
    assert.match(seen.details, /upstream request timeout/);
    await within(server.event((e) => e.event === "cancelled"), "the cancel at the server");
  });

  await t.step("1000 streams at once", async () => {
    assert.equal((await play("grpc.test", "thousand")).ok, 1000);
  });

  await t.step("30 MB there and back", async () => {
    assert.equal((await play("grpc.test", "large")).bytes, 30_000_000);
  });

  await t.step("streams that nobody reads do not stop others", async () => {
    assert.equal((await play("grpc.test", "stalled")).ok, 20);
  });

  await t.step("GOAWAY every 200 ms under load", async () => {
    const seen = await play("leaving.test", "steady");
    assert.equal(seen.failed, 0, seen.details);
    assert.ok(seen.ok > 100);
  });

  await t.step(
    "GOAWAY without a retry policy: no call is made twice, and what was refused goes elsewhere",
    async () => {
      // grpc-js says that it takes every stream and closes when it has nothing to do: a call on its way then may have been looked at.
      const seen = await play("once.test", "lone");
      assert.equal(seen.twice, 0);
      assert.ok(seen.codes.every((code) => code === 14), seen.codes.join());
      assert.ok(seen.ok > 100 && seen.failed <= 3, JSON.stringify(seen));
      const metrics = await (await fetch(`http://127.0.0.1:${agent.admin.port}/stats/prometheus`)).text();
      assert.match(metrics, /^mesh_agent_http2_upstream_goaways_total [1-9]/m);
    },
  );

  await t.step("own answers are gRPC-shaped", async () => {
    const seen = await play("nobody.test", "unary");
    assert.equal(seen.code, 14);
  });

  await t.step("curl over HTTP/2 to an HTTP/1.1 upstream", async () => {
    const got = await curl("plain.test", "-w", " %{http_version} %{http_code}", "-d", "body", `${url}/x?y=1`);
    assert.match(got, / 2 200$/);
    const request = plain.requests.at(-1)!;
    assert.equal(request.header("host"), "plain.test");
    assert.equal(request.header("content-length"), "4");
    assert.equal(request.header("te"), undefined);
  });

  await t.step("an HTTP/1.1 client to an HTTP/2 upstream, trailers in chunks", async () => {
    using client = await RawClient.connect(agent.http);
    const message = '{"echo":true}';
    const frame = `\0\0\0\0${String.fromCharCode(message.length)}${message}`;
    await client.send(
      "POST /pair/Call HTTP/1.1\r\nHost: grpc.test\r\nTE: trailers\r\nConnection: TE, close\r\n" +
        `Content-Type: application/grpc\r\nContent-Length: ${frame.length}\r\n\r\n${frame}`,
    );
    const all = await client.toEnd();
    assert.match(all, /^HTTP\/1.1 200 \r\n/);
    assert.match(all, /transfer-encoding: chunked\r\n/i);
    assert.ok(all.includes(message));
    assert.match(all, /\r\n0\r\ngrpc-status: 0\r\n/);
  });

  await t.step("the access log tells the status of gRPC", async () => {
    const finished = await agent.stop();
    assert.equal(finished.code, 0);
    const lines = finished.stdout.split("\n").filter((l) => l.includes("/pair/Call")).map((l) =>
      JSON.parse(l)
    );
    assert.ok(lines.some((l) => l.grpc_status === 5 && l.protocol === "HTTP/2" && l.response_code === 200));
    assert.ok(lines.some((l) => l.grpc_status === 0));
  });
});
