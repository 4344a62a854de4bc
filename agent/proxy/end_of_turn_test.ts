/** What goes into one write, and what waits until it is under way, between two sides of HTTP/2, played in memory. */
import assert from "node:assert/strict";
import { bytes } from "../wire/http2/connection_fixture_test.ts";
import { toldAll, whenTold } from "./end_of_turn.ts";
import { Client, Server } from "./h2_fixture_test.ts";
import { type MemoryStream, rig, settle } from "./proxy_fixture_test.ts";

// Else the first request would wait for the disk.
await Promise.all([import("./h2_attempt.ts"), import("./h2_downstream.ts")]);

const HTTP2 = { httpProtocolOptions: { protocol: "HTTP2" as const } };
const CALL = "POST / HTTP/1.1\r\nhost: svc\r\ncontent-type: application/grpc\r\nte: trailers\r\n\r\n";
const TRAILERS = bytes("grpc-status: 0\r\n");

/** Two clients with a call each behind them, so that nothing is dialled or loaded any more. */
async function ground() {
  const r = rig({ cluster: HTTP2 });
  const clients = [new Client(r.client()), new Client(r.client())];
  let server: Server | null = null;
  for (const client of clients) {
    call(client);
    await settle();
    server ??= new Server(r.upstreams[0]!);
    await settle();
    reply(server, server.requests.length - 1);
    server.flush();
    await settle();
  }
  return { r, clients, server: server! };
}

function call(client: Client, times = 1): void {
  for (let i = 0; i < times; i++) {
    const stream = client.connection.request(bytes(CALL), false)!;
    client.connection.sendData(stream, bytes("ask"), 0, 3, true);
  }
  client.flush();
}

function reply(server: Server, index: number): void {
  const { connection } = server;
  const stream = server.requests[index]!;
  connection.respond(stream, bytes("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n\r\n"), false);
  connection.sendData(stream, bytes("tell"), 0, 4, false);
  connection.sendTrailers(stream, TRAILERS);
}

/** Counts what comes in on a stream, write by write. */
function count(stream: MemoryStream, told: () => void = () => {}): { writes: number } {
  const counted = { writes: 0 };
  const { chunks } = stream.incoming;
  const push = chunks.push.bind(chunks);
  chunks.push = (...items) => {
    counted.writes++;
    told();
    return push(...items);
  };
  return counted;
}

Deno.test("calls that come in one turn go on in one write, and so do a client's answers", async () => {
  const { r, clients, server } = await ground();
  const up = count(server.stream);
  const down = clients.map((client) => count(client.stream));
  for (const client of clients) call(client, 2);
  await settle();
  assert.equal(server.requests.length, 6);
  assert.equal(up.writes, 1);
  for (let i = 2; i < 6; i++) reply(server, i);
  server.flush();
  await settle();
  assert.deepEqual(down.map(({ writes }) => writes), [1, 1]);
  assert.equal(r.records.length, 6);
  assert.ok(r.records.every(({ status, grpcStatus }) => status === 200 && grpcStatus === 0));
  assert.equal(r.proxy.stats().inFlight, 0);
  r.proxy.close();
});

Deno.test("an exchange is recorded when its answer is on its way", async () => {
  const { r, clients, server } = await ground();
  const recorded: number[] = [];
  count(clients[0]!.stream, () => recorded.push(r.records.length));
  call(clients[0]!);
  await settle();
  reply(server, 2);
  server.flush();
  await settle();
  assert.deepEqual(recorded, [2]);
  assert.equal(r.records.length, 3);
  r.proxy.close();
});

Deno.test("a stream that fails before its answer, and one that is cancelled, are told once", async () => {
  const { r, clients, server } = await ground();
  const [client, other] = clients as [Client, Client];
  const flags = () => r.records.slice(2).map((record) => record.flags);
  call(client);
  await settle();
  server.connection.reset(server.requests[2]!, 2);
  server.flush();
  await settle();
  assert.deepEqual(flags(), ["UR"]);
  const stream = other.connection.request(bytes(CALL), false)!;
  other.connection.sendData(stream, bytes("ask"), 0, 3, true);
  other.flush();
  await settle();
  other.connection.reset(stream, 8);
  other.flush();
  await settle();
  assert.deepEqual(flags(), ["UR", "DC"]);
  // An answer and its reset in one read: the head is there, the rest never comes.
  call(client);
  await settle();
  const last = server.requests.at(-1)!;
  server.connection.respond(last, bytes("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n\r\n"), false);
  server.connection.reset(last, 2);
  server.flush();
  await settle();
  assert.equal(r.records.length, 5);
  assert.equal(r.proxy.stats().inFlight, 0);
  r.proxy.close();
});

Deno.test("an answer that a rule retries is not sent", async () => {
  const retryPolicy = { retryOn: "5xx", numRetries: 1, retryBackOff: { baseInterval: "0.001s" } };
  const r = rig({ cluster: HTTP2, route: { retryPolicy } });
  const client = new Client(r.client());
  const get = "GET / HTTP/1.1\r\nhost: svc\r\n\r\n";
  client.request(get);
  await settle();
  const server = new Server(r.upstreams[0]!);
  await settle();
  server.answer(0);
  await settle();
  client.request(get);
  await settle();
  server.connection.respond(server.requests[1]!, bytes("HTTP/1.1 503 No\r\n\r\n"), true);
  server.flush();
  await r.clock.advance(10);
  assert.equal(server.requests.length, 3);
  server.answer(2);
  await settle();
  assert.deepEqual(r.records.map(({ status, attempts }) => [status, attempts.length]), [[200, 1], [200, 2]]);
  r.proxy.close();
});

Deno.test("who waited goes on once", () => {
  let times = 0;
  whenTold({ goOn: () => times++ });
  toldAll();
  toldAll();
  assert.equal(times, 1);
});

Deno.test("what one of many throws is heard, and ends no other twice or never", async () => {
  const heard: unknown[] = [];
  const hear = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    heard.push(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", hear);
  const { r, clients, server } = await ground();
  const { records } = r;
  let calls = 0;
  records.push = (...items) => {
    if (++calls === 2) throw new Error("the sink is full");
    for (const item of items) records[records.length] = item;
    return records.length;
  };
  call(clients[0]!, 3);
  await settle();
  for (const at of [2, 3, 4]) reply(server, at);
  server.flush();
  await settle();
  call(clients[0]!);
  await settle();
  reply(server, 5);
  server.flush();
  await settle();
  assert.deepEqual([calls, records.length, r.proxy.stats().inFlight], [4, 2 + 3, 0]);
  await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(heard.map(String), ["Error: the sink is full"]);
  globalThis.removeEventListener("unhandledrejection", hear);
  r.proxy.close();
});
