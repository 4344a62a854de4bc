/** A connection that was folded says and hears what it would have, with the other side none the wiser. */
import assert from "node:assert/strict";
import { bytes, exchange, Side } from "./connection_fixture_test.ts";
import * as frames from "./frames.ts";
import { Output } from "./output.ts";

function pair(): [client: Side, server: Side] {
  const client = new Side("client");
  const server = new Side("server");
  exchange(client, server);
  for (const side of [client, server]) side.handler.said();
  return [client, server];
}

/** One request and its answer with trailers; gives the bytes of the answer. */
function call([client, server]: [Side, Side], head: string, answer: string, trailers: string): number {
  client.connection.request(bytes(head), true);
  const sent = client.output();
  server.receive(sent);
  const stream = [...server.handler.streams.values()].at(-1)!;
  server.connection.respond(stream, bytes(answer), false);
  server.connection.sendTrailers(stream, bytes(trailers));
  const out = server.output();
  client.receive(out);
  exchange(client, server);
  assert.deepEqual(server.handler.said(), [
    `headers ${stream.id} ${JSON.stringify(head.replace("Host", "host"))} end`,
  ]);
  assert.deepEqual(client.handler.said(), [
    `headers ${stream.id} ${JSON.stringify(answer)}`,
    `trailers ${stream.id} ${JSON.stringify(`${trailers}\r\n`)}`,
  ]);
  return out.length;
}

const HEAD = "GET /a HTTP/1.1\r\nHost: svc\r\nx-a: 1\r\n\r\n";
const ANSWER = "HTTP/1.1 200 \r\nserver: a-server\r\nx-long: " + "v".repeat(80) + "\r\n\r\n";
const TRAILERS = "grpc-status: 0\r\n";

Deno.test("a folded connection has forgotten what it said, and its peer still understands it", () => {
  const sides = pair();
  const lengths = Array.from({ length: 4 }, () => call(sides, HEAD, ANSWER, TRAILERS));
  assert.ok(lengths[3]! < lengths[0]! / 3, `${lengths}`);
  for (const side of sides) side.connection.fold(0);
  const again = Array.from({ length: 4 }, () => call(sides, HEAD, ANSWER, TRAILERS));
  assert.deepEqual(again, lengths);
});

Deno.test("folded at any moment, tables stay in step while they overflow", () => {
  const sides = pair();
  let seed = 7;
  const random = (n: number): number => (seed = seed * 48271 % 0x7fffffff) % n;
  const line = (prefix: string): string => {
    const n = random(60);
    return `${prefix}-${n}: ${"v".repeat(n * 5)}\r\n`;
  };
  const lines = (prefix: string): string => Array.from({ length: 5 }, () => line(prefix)).join("");
  for (let i = 0; i < 600; i++) {
    if (random(20) === 0) sides[random(2)]!.connection.fold(0);
    const head = `GET /${random(9)} HTTP/1.1\r\nHost: svc\r\n${lines("a")}\r\n`;
    call(sides, head, `HTTP/1.1 200 \r\n${lines("b")}\r\n`, lines("c"));
  }
});

Deno.test("with a stream open nothing is folded", () => {
  const sides = pair();
  const lengths = Array.from({ length: 4 }, () => call(sides, HEAD, ANSWER, TRAILERS));
  const [client, server] = sides;
  client.connection.request(bytes(HEAD), true);
  exchange(client, server);
  server.handler.said();
  server.connection.fold(0);
  assert.equal(call(sides, HEAD, ANSWER, TRAILERS), lengths[3]);
});

Deno.test("folding does not fill a budget that a peer has used up", () => {
  const [, server] = pair();
  const ping = (count: number): void => {
    const out = new Output();
    for (let i = 0; i < count; i++) frames.writePing(out, new Uint8Array(8), 0, false);
    server.receive(out.take());
    server.output();
  };
  ping(290);
  server.connection.fold(0);
  ping(5);
  assert.equal(server.connection.failed, false);
  // Ten seconds later it is full again, and what it was makes no difference.
  server.now = 10_000;
  server.connection.fold(10_000);
  ping(290);
  server.connection.fold(10_000);
  assert.equal(server.connection.failed, false);
  ping(20);
  assert.equal(server.connection.failed, true);
});
