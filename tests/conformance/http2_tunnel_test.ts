/** Tunnels on streams: CONNECT over HTTP/2 (RFC 9113 section 8.5) and extended CONNECT (RFC 8441), frame by frame at the client. */
import assert from "node:assert/strict";
import { bytes } from "../../agent/wire/http2/connection_fixture_test.ts";
import type { Http2Stream } from "../../agent/wire/http2/connection.ts";
import { until, within } from "../harness/bytes.ts";
import { RawClient } from "../harness/client.ts";
import { Http2Side } from "../harness/http2_side.ts";
import { type InProcessRig, startRig } from "../harness/rig.ts";
import { startUpstream } from "../harness/upstream.ts";
import { worldOf } from "../harness/world.ts";

const CONNECT = "CONNECT svc.test:80 HTTP/1.1\r\n\r\n";
const CANCEL = 8;

function send(client: Http2Side, stream: Http2Stream, text: string, end = false): void {
  client.connection.sendData(stream, bytes(text), 0, text.length, end);
  void client.flush();
}

function open(client: Http2Side, head: string, protocol = ""): Http2Stream {
  const stream = client.connection.request(bytes(head), false, false, protocol)!;
  void client.flush();
  return stream;
}

const seen = (client: Http2Side, pattern: RegExp): Promise<string> =>
  within(client.line(pattern), `${pattern} in ${client.recorder.lines.join("\n")}`);

/** TCP servers that the test drives by hand. */
async function listening(
  run: (conn: Deno.TcpConn) => Promise<void>,
  test: (port: number, served: Promise<void>) => Promise<void>,
): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = (async () => {
    const conn = await listener.accept();
    try {
      await run(conn);
    } finally {
      try {
        conn.close();
      } catch {
        // Closed already.
      }
    }
  })();
  try {
    await test(listener.addr.port, served);
  } finally {
    listener.close();
  }
}

async function readText(conn: Deno.TcpConn): Promise<string | null> {
  const buf = new Uint8Array(4096);
  const n = await conn.read(buf);
  return n === null ? null : new TextDecoder().decode(buf.subarray(0, n));
}

Deno.test("CONNECT: bytes both ways, END_STREAM is the end of each side", async () => {
  await listening(async (conn) => {
    assert.equal(await readText(conn), "ping");
    await conn.write(bytes("pong"));
    assert.equal(await readText(conn), "last");
    assert.equal(await readText(conn), null);
    await conn.write(bytes("after your end"));
  }, async (port, served) => {
    await using rig = startRig("native");
    rig.serve(port);
    using client = await Http2Side.connect(rig.address.port);
    const stream = open(client, CONNECT);
    // Before the answer is here.
    send(client, stream, "ping");
    const head = await seen(client, /^headers 1 "HTTP\/1.1 200 /);
    assert.doesNotMatch(head, /content-length| end$/);
    await seen(client, /^data 1 "pong"$/);
    send(client, stream, "last", true);
    await seen(client, /^data 1 "after your end"( end)?$/);
    await until(() => stream.closed, "both ends");
    await within(served, "the server");
    await until(() => rig.records.length === 1, "the record");
    const [record] = rig.records;
    assert.deepEqual(
      [record!.method, record!.path, record!.protocol, record!.status, record!.flags],
      ["CONNECT", "svc.test:80", "HTTP/2", 200, ""],
    );
    assert.equal(record!.bytesReceived, 8);
    assert.equal(rig.counts.get("tcp_sent_bytes_total"), 18);
    assert.equal(client.recorder.lines.some((line) => /^reset|^closed/.test(line)), false);
    assert.deepEqual(rig.errors, []);
  });
});

Deno.test("CONNECT: the end of the server comes first, the client may go on", async () => {
  const rest = Promise.withResolvers<string | null>();
  await listening(async (conn) => {
    await conn.write(bytes("bye"));
    await conn.closeWrite();
    rest.resolve(await readText(conn));
  }, async (port) => {
    await using rig = startRig("native");
    rig.serve(port);
    using client = await Http2Side.connect(rig.address.port);
    const stream = open(client, CONNECT);
    await seen(client, /^data 1 ("bye"|"") end$/);
    send(client, stream, "more", true);
    assert.equal(await within(rest.promise, "what came after"), "more");
    await until(() => rig.records.length === 1, "the record");
    assert.equal(rig.records[0]!.flags, "");
  });
});

Deno.test("CONNECT: a connection that breaks resets the stream with CONNECT_ERROR", async () => {
  // Its server is gone after the first byte.
  await listening(async (conn) => void await readText(conn), async (port, served) => {
    await using rig = startRig("native");
    rig.serve(port);
    using client = await Http2Side.connect(rig.address.port);
    const stream = open(client, CONNECT);
    send(client, stream, "x");
    await within(served, "the server");
    await seen(client, /^data 1 "" end$/);
    // The first of these is answered by TCP's reset.
    await until(() => {
      send(client, stream, "y");
      return stream.closed;
    }, "the reset");
    await seen(client, /^reset 1 CONNECT_ERROR/);
    await until(() => rig.records.length === 1, "the record");
    assert.equal(rig.records[0]!.flags, "UC");
    // The others go on.
    client.request("CONNECT nobody.test:1 HTTP/1.1\r\n\r\n", "");
    await seen(client, /^headers 3 /);
  });
});

Deno.test("CONNECT: a reset by the client closes the connection to the server", async () => {
  const end = Promise.withResolvers<string | null>();
  await listening(async (conn) => {
    await readText(conn);
    end.resolve(await readText(conn).catch(() => null));
  }, async (port) => {
    await using rig = startRig("native");
    rig.serve(port);
    using client = await Http2Side.connect(rig.address.port);
    const stream = open(client, CONNECT);
    send(client, stream, "x");
    await seen(client, /^headers 1 /);
    client.connection.reset(stream, CANCEL);
    await client.flush();
    assert.equal(await within(end.promise, "the end at the server"), null);
    await until(() => rig.records.length === 1, "the record");
    assert.equal(rig.records[0]!.flags, "DC");
    assert.equal(rig.proxy.stats().tunnels, 0);
  });
});

Deno.test("CONNECT: what cannot be reached is an ordinary answer", async () => {
  await using rig = startRig("native");
  using client = await Http2Side.connect(rig.address.port);
  open(client, CONNECT);
  const head = await seen(client, /^headers 1 "HTTP\/1.1 503 /);
  assert.match(head, /destination_unavailable/);
  await seen(client, /^data 1 .* end$/);
  open(client, `CONNECT 127.0.0.1:${rig.address.port} HTTP/1.1\r\n\r\n`);
  await seen(client, /^headers 3 "HTTP\/1.1 508 /);
  open(client, "CONNECT svc.test HTTP/1.1\r\n\r\n");
  await seen(client, /^headers 5 "HTTP\/1.1 400 /);
});

Deno.test("CONNECT: a tunnel that nobody reads holds its server back and no other stream", async () => {
  let written = 0;
  await listening(async (conn) => {
    const piece = new Uint8Array(65536);
    for (;;) {
      try {
        written += await conn.write(piece);
      } catch {
        return;
      }
    }
  }, async (port) => {
    await using rig = startRig("native");
    rig.serve(port);
    using client = await Http2Side.connect(rig.address.port);
    // Nothing is ever `consumed`: the stream's window closes, the connection's window stays open.
    const stream = open(client, CONNECT);
    await until(() => client.recorder.lines.length > 3, "data");
    for (let i = 0; i < 3; i++) {
      open(client, "CONNECT nobody.invalid:1 HTTP/1.1\r\n\r\n");
      await seen(client, new RegExp(`^headers ${2 * i + 3} `));
    }
    assert.equal(stream.closed, false);
    assert.ok(written > 0);
    client.connection.reset(stream, CANCEL);
    await client.flush();
  });
});

// ---------------------------------------------------------------- extended CONNECT, towards HTTP/1.1

const WS = "GET /chat?room=1 HTTP/1.1\r\nHost: svc.test\r\nsec-websocket-version: 13\r\n\r\n";

async function acceptOf(key: string): Promise<string> {
  const digest = await crypto.subtle.digest(
    "SHA-1",
    new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`),
  );
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}

const switching = (accept: string): string =>
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n`;

Deno.test("extended CONNECT is announced, and an Upgrade for an HTTP/1.1 server", async () => {
  await using upstream = startUpstream(async (link) => {
    const request = await link.request();
    await link.write(switching(await acceptOf(request!.header("sec-websocket-key")!)) + "hello");
    assert.equal(await link.reader.exactly(4), "ping");
    await link.write("pong");
    await link.reader.toEnd();
  });
  await using rig = startRig("native");
  rig.serve(upstream.port);
  using client = await Http2Side.connect(rig.address.port);
  await until(() => client.connection.peer.known, "SETTINGS");
  assert.equal(client.connection.peer.connectProtocol, true);
  const stream = open(client, WS, "websocket");
  const head = await seen(client, /^headers 1 "HTTP\/1.1 200 /);
  assert.match(head, /sec-websocket-protocol: chat/);
  assert.doesNotMatch(head, /accept|upgrade|connection| end$/i);
  send(client, stream, "ping");
  await seen(client, /^data 1 ".*pong"$/);
  send(client, stream, "", true);
  await until(() => stream.closed, "both ends");
  const [request] = upstream.requests;
  assert.equal(request!.startLine, "GET /chat?room=1 HTTP/1.1");
  assert.equal(request!.header("upgrade"), "websocket");
  assert.equal(request!.header("connection"), "Upgrade");
  assert.equal(request!.header("sec-websocket-version"), "13");
  assert.match(request!.header("sec-websocket-key")!, /^[A-Za-z0-9+/]{22}==$/);
  await until(() => rig.records.length === 1, "the record");
  assert.deepEqual(
    [rig.records[0]!.method, rig.records[0]!.protocol, rig.records[0]!.status],
    ["GET", "HTTP/2", 200],
  );
  assert.deepEqual(rig.errors, []);
});

const DECLINED: readonly { what: string; answer: string; seen: RegExp }[] = [
  { what: "403 is passed on", answer: "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", seen: /1.1 403 / },
  {
    what: "200 is no tunnel, and must not look like one",
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    seen: /1.1 502 .*nobody switched/,
  },
  {
    what: "101 without the proof is refused",
    answer: switching("bm90IHRoZSBwcm9vZg=="),
    seen: /1.1 502 .*without the proof/,
  },
];

for (const row of DECLINED) {
  Deno.test(`extended CONNECT: ${row.what}`, async () => {
    await using upstream = startUpstream(async (link) => {
      if (await link.request() !== undefined) await link.write(row.answer);
    });
    await using rig = startRig("native");
    rig.serve(upstream.port);
    using client = await Http2Side.connect(rig.address.port);
    open(client, WS, "websocket");
    assert.match(await seen(client, /^headers 1 /), row.seen);
    assert.deepEqual(rig.errors, []);
  });
}

// ---------------------------------------------------------------- towards HTTP/2

const UPGRADE = "GET /chat HTTP/1.1\r\nHost: svc.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/** A rig whose cluster speaks HTTP/2, and the port that its endpoint listens on. */
function http2Rig(): { rig: InProcessRig; listener: Deno.TcpListener } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const rig = startRig("native");
  const world = worldOf([listener.addr.port]);
  const name = "outbound|80||svc.test";
  const cluster = {
    ...world.program.clusters.get(name)!,
    httpProtocolOptions: { protocol: "HTTP2" as const },
  };
  rig.world = { ...world, program: { ...world.program, clusters: new Map([[name, cluster]]) } };
  return { rig, listener };
}

/** An HTTP/2 server that answers with `head` and echoes. */
function echoServer(conn: Deno.TcpConn, head: string): Http2Side {
  return new Http2Side(conn, "server", ({ recorder, connection }) => {
    recorder.onHeaders = (stream) => connection.respond(stream, bytes(head), false);
    recorder.onData = (stream, piece, end) => void connection.sendData(stream, piece, 0, piece.length, end);
  });
}

Deno.test("Upgrade of HTTP/1.1 towards HTTP/2 is an extended CONNECT", async () => {
  const { rig, listener } = http2Rig();
  await using _ = rig;
  using client = await RawClient.connect(rig.address);
  await client.send(UPGRADE);
  const server = echoServer(
    await listener.accept(),
    "HTTP/1.1 200 OK\r\nsec-websocket-protocol: chat\r\n\r\n",
  );
  const head = await within(client.reader.through("\r\n\r\n"), "the answer") ?? "";
  assert.match(head, /^HTTP\/1.1 101 /);
  assert.match(head, /^Upgrade: websocket\r$/m);
  // The proof of RFC 6455's own example.
  assert.match(head, /^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r$/m);
  assert.match(head, /^sec-websocket-protocol: chat\r$/m);
  assert.match(server.recorder.lines.find((line) => line.startsWith("headers"))!, /upgrade: websocket/);
  await client.send("ping");
  assert.equal(await within(client.reader.exactly(4), "the echo"), "ping");
  await client.end();
  assert.equal(await within(client.toEnd(), "the end"), "");
  await until(() => rig.records.length === 1, "the record");
  const [record] = rig.records;
  assert.deepEqual([record!.status, record!.flags, record!.bytesReceived], [101, "", 4]);
  server.socket.close();
  listener.close();
  await server.done;
  assert.deepEqual(rig.errors, []);
});

Deno.test("extended CONNECT on both sides", async () => {
  const { rig, listener } = http2Rig();
  await using _ = rig;
  using client = await Http2Side.connect(rig.address.port);
  await until(() => client.connection.peer.known, "SETTINGS");
  const stream = open(client, WS, "websocket");
  const server = echoServer(await listener.accept(), "HTTP/1.1 200 OK\r\n\r\n");
  await seen(client, /^headers 1 "HTTP\/1.1 200 (?!.*accept)/);
  send(client, stream, "ping", true);
  await until(() => stream.closed, "both ends");
  assert.match(server.recorder.lines.join("\n"), /^headers 1 "GET \/chat(?!.*sec-websocket-key)/m);
  server.socket.close();
  listener.close();
  await server.done;
});

Deno.test("an upstream that resets the stream breaks the WebSocket off", async () => {
  const { rig, listener } = http2Rig();
  await using _ = rig;
  using client = await RawClient.connect(rig.address);
  await client.send(UPGRADE);
  const server = echoServer(await listener.accept(), "HTTP/1.1 200 OK\r\n\r\n");
  await within(client.reader.through("\r\n\r\n"), "the answer");
  server.connection.reset(server.connection.streams.get(1)!, CANCEL);
  await server.flush();
  await within(client.toEnd().catch(() => ""), "the end");
  await until(() => rig.records.length === 1, "the record");
  assert.equal(rig.records[0]!.flags, "UC");
  server.socket.close();
  listener.close();
  await server.done;
});

Deno.test("an upstream that declines extended CONNECT answers as it likes", async () => {
  const { rig, listener } = http2Rig();
  await using _ = rig;
  using client = await RawClient.connect(rig.address);
  await client.send(UPGRADE);
  const server = new Http2Side(await listener.accept(), "server", ({ recorder, connection }) => {
    recorder.onHeaders = (stream) => connection.respond(stream, bytes("HTTP/1.1 403 No\r\n\r\n"), true);
  });
  assert.match(await within(client.reader.through("\r\n\r\n"), "the answer") ?? "", /^HTTP\/1.1 403 /);
  server.socket.close();
  listener.close();
  await server.done;
});

Deno.test("RFC 8441 3: a server that did not announce it is not asked", async () => {
  const { rig, listener } = http2Rig();
  await using _ = rig;
  using client = await RawClient.connect(rig.address);
  await client.send(UPGRADE);
  const conn = await listener.accept();
  await conn.write(Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0));
  const answer = await within(client.reader.through("\r\n\r\n"), "the answer") ?? "";
  assert.match(answer, /^HTTP\/1.1 501 [^]*P111[^]*without extended CONNECT/);
  conn.close();
  listener.close();
});
