/** Clients that take their time with an answer: no fault of the upstream's, and nothing that may grow without bounds. */
import assert from "node:assert/strict";
import { bytes } from "../wire/http2/connection_fixture_test.ts";
import { Server } from "./h2_fixture_test.ts";
import { GET, got, type MemoryStream, type Rig, rig, send, settle } from "./proxy_fixture_test.ts";

// Else the first request would wait for the disk.
await import("./h2_attempt.ts");

const HTTP2 = { httpProtocolOptions: { protocol: "HTTP2" as const } };
const HEAD = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";

async function ask(r: Rig): Promise<MemoryStream> {
  const client = r.client();
  send(client, GET);
  await settle();
  return client;
}

async function asked(r: Rig): Promise<{ client: MemoryStream; server: Server }> {
  const client = await ask(r);
  const server = new Server(r.upstreams[0]!);
  await settle();
  return { client, server };
}

/** What is written to it is not taken until it is let go. */
function held(client: MemoryStream): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  client.incoming.hold = promise;
  return async () => {
    client.incoming.hold = null;
    resolve();
    for (let i = 0; i < 10; i++) await settle();
  };
}

/** Three pieces: one, 50 s, another that the client takes 30 s for, the last. */
async function takeSlowly(r: Rig, client: MemoryStream, say: (piece: string) => void): Promise<void> {
  say("one");
  await settle();
  await r.clock.advance(50_000);
  const letGo = held(client);
  say("two");
  await r.clock.advance(30_000);
  await letGo();
  say("end");
  await settle();
  assert.match(got(client), /^HTTP\/1.1 200 [^]*\r\n\r\nonetwoend$/);
  assert.deepEqual(r.records.map(({ flags }) => flags), [""]);
  r.proxy.close();
}

Deno.test("an upstream has the stall time for each piece, however long the client took the one before", async () => {
  const plain = rig({ upstream: () => {} });
  let head = HEAD;
  await takeSlowly(plain, await ask(plain), (piece) => {
    send(plain.upstreams[0]!, head + piece);
    head = "";
  });

  const r = rig({ cluster: HTTP2 });
  const { client, server } = await asked(r);
  const stream = server.requests[0]!;
  server.connection.respond(stream, bytes(HEAD), false);
  await takeSlowly(r, client, (piece) => {
    server.connection.sendData(stream, bytes(piece), 0, piece.length, piece === "end");
    server.flush();
  });
});

Deno.test("interim answers without end are not kept for a client that does not take them", async () => {
  const r = rig({ cluster: HTTP2 });
  const { client, server } = await asked(r);
  const letGo = held(client);
  for (let i = 0; i < 300; i++) {
    server.connection.respond(
      server.requests[0]!,
      bytes("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
      false,
    );
    server.flush();
    await settle();
  }
  assert.deepEqual(server.recorder.lines.filter((line) => line.startsWith("reset")), ["reset 1 CANCEL"]);
  await letGo();
  assert.match(got(client), /^HTTP\/1.1 103 [^]*HTTP\/1.1 502 [^]*interim answers without end/);
  r.proxy.close();
});
