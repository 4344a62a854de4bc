/** Where HTTP/2 meets what the rest of the agent knows of HTTP/1.1, played in memory. */
import assert from "node:assert/strict";
import { bytes } from "../wire/http2/connection_fixture_test.ts";
import { Client, Server } from "./h2_fixture_test.ts";
import { GET, got, OK, once, rig, send, settle } from "./proxy_fixture_test.ts";

// Else the first request would wait for the disk.
await Promise.all([import("./h2_attempt.ts"), import("./h2_downstream.ts")]);

const HTTP2 = { httpProtocolOptions: { protocol: "HTTP2" as const } };
const UPGRADE = "GET / HTTP/1.1\r\nHost: svc\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

Deno.test("CONNECT over HTTP/2 has no content, whatever it announces (RFC 9110 9.3.6)", async () => {
  for (const length of [0, 3]) {
    const r = rig({ upstream: () => {} });
    const client = new Client(r.client());
    const stream = client.request(
      `CONNECT svc:80 HTTP/1.1\r\nhost: svc:80\r\ncontent-length: ${length}\r\n\r\n`,
      false,
    );
    for (let i = 0; i < 3; i++) await settle();
    client.connection.sendData(stream, bytes("hello"), 0, 5, false);
    client.flush();
    await settle();
    assert.equal(got(r.upstreams[0]!), "hello");
    assert.equal(r.upstreams[0]!.incoming.ended, false);
    r.proxy.close();
  }
});

Deno.test("an upstream that leaves before it takes an upgrade is not dialled for ever", async () => {
  const leaves = [
    rig({ cluster: HTTP2, upstream: (stream) => stream.close() }),
    rig({ cluster: HTTP2, upstream: (stream) => void new Server(stream, 0) }),
  ];
  for (const r of leaves) {
    const client = r.client();
    send(client, UPGRADE);
    for (let i = 0; i < 10; i++) await settle();
    assert.equal(r.dialed.length, 3);
    await r.clock.advance(1_000);
    assert.equal(r.dialed.length, 11);
    assert.match(got(client), /^HTTP\/1.1 503 [^]*closed the connection before the request/);
    r.proxy.close();
  }
});

Deno.test("an interim answer has no length (RFC 9110 8.6)", async () => {
  const early = "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nLink: x\r\n\r\n";
  const plain = rig({ upstream: (stream) => send(stream, early + OK) });
  const seen = await once(plain, GET);
  plain.proxy.close();

  const r = rig({ cluster: HTTP2 });
  const client = r.client();
  send(client, GET);
  await settle();
  const server = new Server(r.upstreams[0]!);
  await settle();
  server.connection.respond(server.requests[0]!, bytes(early), false);
  server.answer(0);
  await settle();
  for (const answer of [seen, got(client)]) {
    assert.match(answer, /^HTTP\/1.1 103 [^]*?link: x\r\n\r\nHTTP\/1.1 200 [^]*ok$/i);
    assert.doesNotMatch(answer, /length: 5/i);
  }
  r.proxy.close();
});

Deno.test("trailers of HTTP/2 that could change a message of HTTP/1.1 do not get there (RFC 9110 6.5.1)", async () => {
  const trailers = bytes(
    "content-length: 9\r\nx-sum: 1\r\nhost: evil\r\nauthorization: x\r\ncookie: a=b\r\ngrpc-status: 0\r\ntrailer: x\r\n",
  );
  const kept = /\r\n0\r\nx-sum: 1\r\ngrpc-status: 0\r\n\r\n$/;
  const up = rig({ upstream: () => {} });
  const client = new Client(up.client());
  const stream = client.request("POST / HTTP/1.1\r\nhost: svc\r\n\r\n", false);
  client.connection.sendData(stream, bytes("body"), 0, 4, false);
  client.connection.sendTrailers(stream, trailers);
  client.flush();
  for (let i = 0; i < 3; i++) await settle();
  assert.match(got(up.upstreams[0]!), kept);
  up.proxy.close();

  const down = rig({ cluster: HTTP2 });
  const plain = down.client();
  send(plain, GET);
  await settle();
  const server = new Server(down.upstreams[0]!);
  await settle();
  server.connection.respond(server.requests[0]!, bytes("HTTP/1.1 200 OK\r\n\r\n"), false);
  server.connection.sendTrailers(server.requests[0]!, trailers);
  server.flush();
  await settle();
  assert.match(got(plain), kept);
  down.proxy.close();
});

Deno.test("a connection of HTTP/2 that is cut at its first bytes is no bad request", async () => {
  for (let turns = 0; turns < 40; turns++) {
    const r = rig();
    send(r.client(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    for (let i = 0; i < turns; i++) await Promise.resolve();
    r.proxy.close();
    await settle();
    assert.deepEqual(r.records, [], `after ${turns} turns`);
  }
});
