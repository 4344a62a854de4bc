/** Clients that leave, or say more, while their request is somewhere on its way. */
import assert from "node:assert/strict";
import { Client, Server } from "./h2_fixture_test.ts";
import { GET, got, MemoryStream, rig, send, settle } from "./proxy_fixture_test.ts";

// Else the first request would wait for the disk.
await Promise.all([import("./h2_attempt.ts"), import("./h2_downstream.ts")]);

const HINTS = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";

/** Answers whatever comes with an interim answer, and nothing else. */
function hinting(stream: MemoryStream): void {
  void stream.read(new Uint8Array(65536)).then(() => send(stream, HINTS));
}

Deno.test("a client that leaves after an interim answer is noticed", async () => {
  const r = rig({ upstream: hinting });
  const client = r.client();
  send(client, GET);
  for (let i = 0; i < 5; i++) await settle();
  assert.match(got(client), /^HTTP\/1\.1 103 /);
  client.close();
  await r.clock.advance(1000);
  assert.equal(r.proxy.stats().inFlight, 0);
  assert.equal(r.records.length, 1);
  r.proxy.close();
});

Deno.test("requests that were told to wait by an interim answer hold no place of others", async () => {
  let turns = 0;
  const next = () => {
    turns++;
    return new Promise<void>(() => {});
  };
  const limits = { maxConnections: 200, maxInFlight: 200 };
  const r = rig({ turns: { next }, limits, upstream: hinting });
  const clients = Array.from({ length: 40 }, () => r.client());
  for (const client of clients) send(client, GET);
  for (let i = 0; i < 5; i++) await settle();
  await r.clock.advance(5000);
  assert.match(got(clients[0]!), /^HTTP\/1\.1 103 /);
  const another = r.client();
  send(another, GET);
  for (let i = 0; i < 5; i++) await settle();
  assert.match(got(another), /^HTTP\/1\.1 103 /);
  assert.equal(turns, 0);
  r.proxy.close();
});

Deno.test("an HTTP/2 client that resets while a name is looked up: nothing goes out, and the record says so", async () => {
  let found = (_: string[]) => {};
  const slow = new Promise<string[]>((resolve) => found = resolve);
  const servers: Server[] = [];
  const r = rig({
    // One address, to which there is a connection already.
    names: { "fast.example": ["10.9.9.9"], "slow.example": slow as unknown as string[] },
    upstream: (stream) => void servers.push(new Server(stream)),
  });
  const client = new Client(r.client());
  await settle();
  client.request("GET / HTTP/1.1\r\nhost: fast.example\r\n\r\n");
  await settle();
  await settle();
  servers[0]!.answer(0);
  await settle();
  const stream = client.request("GET / HTTP/1.1\r\nhost: slow.example\r\n\r\n");
  await settle();
  client.connection.reset(stream, 8);
  client.flush();
  await settle();
  found(["10.9.9.9"]);
  await settle();
  await r.clock.advance(1000);
  assert.equal(r.proxy.stats().inFlight, 0);
  assert.equal(r.records.length, 2);
  assert.deepEqual(servers.map(({ requests }) => requests.length), [1]);
  r.proxy.close();
});

Deno.test("bytes that follow a body stay behind its last piece as long as that is being written", async () => {
  const r = rig({ upstream: () => {} });
  const client = r.client();
  send(client, "POST /a HTTP/1.1\r\nHost: svc\r\nContent-Length: 20000\r\n\r\n");
  await settle();
  const upstream = r.upstreams[0]!;
  const { write } = MemoryStream.prototype;
  let held = new Uint8Array();
  let release = () => {};
  MemoryStream.prototype.write = function (this: MemoryStream, from: Uint8Array<ArrayBuffer>) {
    if (this.outgoing !== upstream.incoming || from.length < 1000) return write.call(this, from);
    held = from;
    return new Promise<number>((resolve) =>
      release = () => {
        void write.call(this, from);
        resolve(from.length);
      }
    );
  };
  try {
    send(client, "A".repeat(20000));
    await settle();
    assert.ok(held.length >= 1000);
    await r.clock.advance(300);
    send(client, "GET /next HTTP/1.1\r\nHost: svc\r\n\r\n");
    await settle();
    assert.ok(held.every((byte) => byte === 0x41), new TextDecoder().decode(held.subarray(0, 40)));
  } finally {
    MemoryStream.prototype.write = write;
    release();
  }
  r.proxy.close();
});
