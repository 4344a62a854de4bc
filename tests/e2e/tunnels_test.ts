/** CONNECT and Upgrade: bytes pass both ways, TLS and WebSocket peers notice nothing. */
import assert from "node:assert/strict";
import { startAgentProcess } from "../harness/agent.ts";
import { bytesOf, textOf, until, within } from "../harness/bytes.ts";
import { makeCertificate } from "../harness/certificate.ts";
import { askOnce, proxyGet, RawClient } from "../harness/client.ts";
import { makeConf, serviceEntry } from "../harness/conf.ts";
import { answering, deadPort, startUpstream } from "../harness/upstream.ts";

/** A server that echoes WebSocket text messages, by the runtime's own implementation. */
function startWebSocketServer(): { port: number; close(): Promise<void> } {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.onmessage = (event) => socket.send(`echo ${event.data}`);
    return response;
  });
  return { port: server.addr.port, close: () => server.shutdown() };
}

/** A masked text frame of a client (RFC 6455 section 5.2). */
function textFrame(text: string): string {
  const mask = [1, 2, 3, 4];
  const masked = [...text].map((c, i) => c.charCodeAt(0) ^ mask[i % 4]!);
  return String.fromCharCode(0x81, 0x80 | text.length, ...mask, ...masked);
}

const handshake = (target: string, host: string): string =>
  `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async function echoes(client: RawClient): Promise<void> {
  const head = await within(client.reader.through("\r\n\r\n"), "the handshake");
  assert.match(head ?? "", /^HTTP\/1.1 101 /);
  assert.match(head ?? "", /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
  for (const word of ["one", "two", "three"]) {
    await client.send(textFrame(word));
    const frame = await within(client.reader.exactly(2 + 5 + word.length), "the echo");
    assert.equal(frame, String.fromCharCode(0x81, 5 + word.length) + `echo ${word}`);
  }
  // Close frame, answered by a close frame, then the end.
  await client.send(String.fromCharCode(0x88, 0x82, 0, 0, 0, 0, 3, 0xe8));
  assert.equal((await client.toEnd()).charCodeAt(0), 0x88);
}

Deno.test("tunnels", async (t) => {
  const ws = startWebSocketServer();
  await using plain = startUpstream(answering());
  await using conf = await makeConf({
    files: {
      "rules/ws.yaml": serviceEntry("ws.test", 80, { v1: ws.port }),
      "rules/plain.yaml": serviceEntry("plain.test", 80, { v1: plain.port }),
    },
    mesh: { accessLog: "json" },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);

  await t.step("WebSocket through Upgrade, by a rule", async () => {
    using client = await RawClient.connect(agent.http);
    await client.send(handshake("http://ws.test/chat", "ws.test"));
    await echoes(client);
    client.close();
    await until(
      () => agent.accessLog().some((l) => l.path === "/chat" && l.response_code === 101),
      "its log line",
    );
  });

  await t.step("WebSocket through CONNECT", async () => {
    using client = await RawClient.connect(agent.http);
    const host = `127.0.0.1:${ws.port}`;
    await client.send(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert.match(await client.reader.through("\r\n\r\n") ?? "", /^HTTP\/1.1 200 /);
    await client.send(handshake("/", host));
    await echoes(client);
    client.close();
    await until(
      () => agent.accessLog().some((l) => l.method === "CONNECT" && l.response_code === 200),
      "its log line",
    );
  });

  await t.step("an upgrade that the server declines is an ordinary answer", async () => {
    using client = await RawClient.connect(agent.http);
    const answer = await client.ask(handshake("http://plain.test/", "plain.test"));
    assert.equal(answer.status, 200);
    assert.equal((await client.ask(proxyGet("plain.test"))).status, 200);
  });

  await t.step("TLS through CONNECT, with data sent ahead of the answer", async () => {
    const { cert, key } = await makeCertificate("secure.test");
    const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
    const port = (listener.addr as Deno.NetAddr).port;
    const serving = (async () => {
      const conn = await listener.accept();
      const buffer = new Uint8Array(1000);
      const count = await conn.read(buffer) ?? 0;
      await conn.write(bytesOf(`secret ${textOf(buffer.subarray(0, count))}`));
      conn.close();
    })();
    const tcp = await Deno.connect(agent.http);
    await tcp.write(bytesOf(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`));
    const buffer = new Uint8Array(1000);
    const count = await within(tcp.read(buffer), "the answer to CONNECT") ?? 0;
    const head = textOf(buffer.subarray(0, count));
    assert.match(head, /^HTTP\/1.1 200 /);
    assert.doesNotMatch(
      head,
      /content-length|transfer-encoding/i,
      "a tunnel has no body framing (RFC 9110 9.3.6)",
    );
    const tls = await Deno.startTls(tcp, { hostname: "secure.test", caCerts: [cert] });
    await tls.write(bytesOf("hello"));
    const n = await within(tls.read(buffer), "the TLS answer") ?? 0;
    assert.equal(textOf(buffer.subarray(0, n)), "secret hello");
    tls.close();
    await serving;
    listener.close();
  });

  await t.step("half-close: what comes after the client's end still arrives", async () => {
    await using late = startUpstream(async (link) => {
      await link.peerGone();
      await link.write(`got ${link.reader.all}`);
    });
    using client = await RawClient.connect(agent.http);
    // The first bytes of the tunnel come together with the CONNECT.
    await client.send(`CONNECT 127.0.0.1:${late.port} HTTP/1.1\r\nHost: x\r\n\r\nearly`);
    assert.match(await client.reader.through("\r\n\r\n") ?? "", /^HTTP\/1.1 200 /);
    await client.send(" and late");
    await client.end();
    assert.equal(await client.toEnd(), "got early and late");
  });

  await t.step("CONNECT to nobody, to the agent, without a port", async () => {
    const ask = (target: string) =>
      askOnce(agent.http, `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
    assert.equal((await ask(`127.0.0.1:${deadPort()}`)).status, 503);
    assert.equal((await ask(`127.0.0.1:${agent.http.port}`)).status, 508);
    assert.equal((await ask("169.254.169.254:80")).status, 403);
    assert.equal((await ask("plain.test")).status, 400);
  });
  await ws.close();
});

Deno.test("REGISTRY_ONLY: unknown hosts are refused, by name, by address and by CONNECT", async () => {
  await using known = startUpstream(answering());
  await using unknown = startUpstream(answering());
  await using conf = await makeConf({
    files: { "rules/known.yaml": serviceEntry("known.test", 80, { v1: known.port }) },
    mesh: { outboundTrafficPolicy: "REGISTRY_ONLY" },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  assert.equal((await askOnce(agent.http, proxyGet("known.test"))).status, 200);
  const host = `127.0.0.1:${unknown.port}`;
  assert.equal((await askOnce(agent.http, proxyGet(host))).status, 502);
  assert.equal((await askOnce(agent.http, proxyGet("unknown.test"))).status, 502);
  assert.equal((await askOnce(agent.http, `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).status, 502);
  assert.equal(unknown.links.length, 0);
});
