/** The HTTP/2 side towards upstreams, against servers that speak raw frames where the codec would not (RFC 9113). */
import assert from "node:assert/strict";
import type { Cluster } from "../model/model.ts";
import { REFUSED_STREAM } from "../wire/http2/problems.ts";
import { EndpointHandle } from "./endpoint.ts";
import { Server } from "./h2_fixture_test.ts";
import { Http2Pool, type PoolSurroundings } from "./h2_pool.ts";
import { CLUSTER, GET, got, type MemoryStream, type Rig, rig, send, settle } from "./proxy_fixture_test.ts";

// Else the first request would wait for the disk.
await import("./h2_attempt.ts");

const NO = 4_294_967_295;

interface Pool {
  readonly r: Rig;
  readonly servers: Server[];
}

function pool(
  cluster: Partial<Cluster> = {},
  more: Parameters<typeof rig>[0] & { maxStreams?: number; mute?: boolean } = {},
): Pool {
  const servers: Server[] = [];
  const r = rig({
    limits: { maxConnections: 500, maxInFlight: 500 },
    ...more,
    cluster: { ...cluster, httpProtocolOptions: { protocol: "HTTP2", ...cluster.httpProtocolOptions } },
    upstream: (stream) => void servers.push(new Server(stream, more.maxStreams, more.mute)),
  });
  return { r, servers };
}

const breakers = (own: Cluster["circuitBreakers"]): Partial<Cluster> => ({
  circuitBreakers: { maxConnections: NO, maxPendingRequests: NO, maxRequests: NO, maxRetries: NO, ...own },
});

async function ask(r: Rig, text = GET): Promise<MemoryStream> {
  const client = r.client();
  send(client, text);
  await settle();
  return client;
}

const counts = (servers: Server[]): number[] => servers.map((server) => server.requests.length);
const post = (path: string): string => `POST ${path} HTTP/1.1\r\nHost: svc\r\nContent-Length: 4\r\n\r\nbody`;

Deno.test("at most 100 streams are assumed until SETTINGS come (6.5.2)", async () => {
  const { r, servers } = pool({}, { mute: true });
  const clients = Array.from({ length: 150 }, () => r.client());
  for (const client of clients) send(client, GET);
  for (let i = 0; i < 5; i++) await settle();
  assert.deepEqual(counts(servers), [100, 50]);
  r.proxy.close();
});

Deno.test("MAX_CONCURRENT_STREAMS holds as it changes; a full connection gets another beside it (5.1.2)", async () => {
  const { r, servers } = pool();
  await ask(r);
  await servers[0]!.settings(2);
  for (let i = 0; i < 2; i++) await ask(r);
  assert.deepEqual(counts(servers), [2, 1]);
  await servers[0]!.settings(4);
  for (let i = 0; i < 2; i++) await ask(r);
  assert.deepEqual(counts(servers), [4, 1]);
  await servers[0]!.settings(1);
  servers[0]!.answer(0);
  await ask(r);
  assert.deepEqual(counts(servers), [4, 2]);
  for (let i = 1; i < 4; i++) servers[0]!.answer(i);
  await settle();
  await ask(r);
  assert.deepEqual(counts(servers), [5, 2]);
  r.proxy.close();
});

Deno.test("a peer that takes no streams at all is left, not dialled again and again (5.1.2)", async () => {
  const { r, servers } = pool();
  const first = await ask(r);
  await servers[0]!.settings(0);
  servers[0]!.answer(0);
  await settle();
  assert.match(got(first), /^HTTP\/1.1 200 /);
  assert.equal(servers[0]!.closed, true);
  r.proxy.close();
});

Deno.test("maxConcurrentStreams of the cluster bounds what the peer allows", async () => {
  const { r, servers } = pool({ httpProtocolOptions: { maxConcurrentStreams: 2 } });
  for (let i = 0; i < 5; i++) await ask(r);
  assert.deepEqual(counts(servers), [2, 2, 1]);
  r.proxy.close();
});

Deno.test("maxConnections: exchanges wait for a stream, first come first served; who leaves gives its turn on", async () => {
  const { r, servers } = pool(breakers({ maxConnections: 1 }), { maxStreams: 1 });
  const clients = [await ask(r, post("/0"))];
  for (let i = 1; i < 4; i++) clients.push(await ask(r, post(`/${i}`)));
  assert.deepEqual(counts(servers), [1]);
  await r.clock.advance(50);
  clients[1]!.close();
  await r.clock.advance(200);
  assert.equal(r.records[0]!.flags, "DC");
  servers[0]!.answer(0);
  await settle();
  servers[0]!.answer(1);
  await settle();
  servers[0]!.answer(2);
  await settle();
  assert.deepEqual(
    servers[0]!.recorder.lines.flatMap((line) => /"POST (\S+)/.exec(line)?.[1] ?? []),
    ["/0", "/2", "/3"],
  );
  for (const i of [0, 2, 3]) assert.match(got(clients[i]!), /^HTTP\/1.1 200 /);
  assert.equal(servers.length, 1);
  r.proxy.close();
});

Deno.test("who was woken in vain comes first again, and who leaves after its turn passes it on", () => {
  const told: string[] = [];
  const waiter = (name: string) => ({ wake: () => void told.push(name) });
  const queue = new Http2Pool({} as PoolSurroundings, new EndpointHandle("10.0.0.1", 80, 1));
  const [first, second, third] = [waiter("first"), waiter("second"), waiter("third")];
  queue.queue(first, false);
  queue.queue(second, false);
  queue.room();
  queue.queue(first, true);
  queue.room();
  assert.deepEqual(told, ["first", "first"]);
  queue.queue(third, false);
  queue.leave(first);
  assert.deepEqual(told.splice(2), ["second"]);
  queue.leave(third);
  queue.room();
  assert.deepEqual(told.splice(2), []);
});

Deno.test("maxPendingRequests and maxRequests: one too many is 503 UO", async () => {
  const { r } = pool(breakers({ maxConnections: 1, maxPendingRequests: 1 }), { maxStreams: 1 });
  await ask(r);
  const waiting = await ask(r);
  assert.match(got(await ask(r)), /^HTTP\/1.1 503 [^]*x-envoy-overloaded: true[^]*overflow/);
  assert.equal(got(waiting), "");
  assert.equal(r.records[0]!.flags, "UO");
  r.proxy.close();

  const other = pool(breakers({ maxRequests: 2 }));
  const clients = [await ask(other.r), await ask(other.r), await ask(other.r)];
  assert.match(got(clients[2]!), /^HTTP\/1.1 503 [^]*overflow/);
  assert.deepEqual(counts(other.servers), [2]);
  other.servers[0]!.answer(0);
  await settle();
  assert.equal(got(await ask(other.r)), "");
  other.r.proxy.close();
});

Deno.test("GOAWAY: what is above the last id goes elsewhere without a policy, what is not is answered here (6.8)", async () => {
  const { r, servers } = pool();
  const clients = [];
  for (let i = 0; i < 4; i++) clients.push(await ask(r, post(`/${i}`)));
  servers[0]!.goAway(3);
  await settle();
  assert.deepEqual(counts(servers), [4, 2]);
  // New ones go to the new connection at once.
  const late = await ask(r);
  assert.deepEqual(counts(servers), [4, 3]);
  for (const i of [0, 1]) servers[0]!.answer(i, `old${i}`);
  for (const i of [0, 1, 2]) servers[1]!.answer(i, `new${i}`);
  await settle();
  const answers = [...clients, late].map((client) => /\r\n\r\n(.*)$/.exec(got(client))?.[1]);
  assert.deepEqual(answers, ["old0", "old1", "new0", "new1", "new2"]);
  assert.equal(servers[0]!.closed, true);
  assert.equal(servers[1]!.closed, false);
  assert.equal(r.counts.get("replayed_requests_total"), 2);
  r.proxy.close();
});

Deno.test("GOAWAY that takes everything, then the end: what is not idempotent may have been looked at (6.8)", async () => {
  const grpc =
    "POST /s/m HTTP/1.1\r\nHost: svc\r\nContent-Type: application/grpc\r\nTE: trailers\r\nContent-Length: 4\r\n\r\nbody";
  for (
    const [refuses, dialed, answer] of [[false, 1, /grpc-status: 14\r\n/], [true, 2, /\r\n\r\nok$/]] as const
  ) {
    const { r, servers } = pool();
    await ask(r);
    servers[0]!.answer(0);
    await settle();
    const client = await ask(r, grpc);
    // As grpc-js leaves; a second GOAWAY tells what it has not looked at.
    servers[0]!.goAway(0x7fffffff);
    if (refuses) servers[0]!.goAway(1);
    await servers[0]!.stream.closeWrite();
    await settle();
    if (refuses) servers[1]!.answer(0);
    await settle();
    assert.equal(servers.length, dialed);
    assert.match(got(client), answer);
    r.proxy.close();
  }
});

Deno.test("GOAWAY that refuses everything: all goes elsewhere (6.8)", async () => {
  const { r, servers } = pool();
  const client = await ask(r, post("/"));
  servers[0]!.goAway(0);
  await settle();
  assert.deepEqual(counts(servers), [1, 1]);
  servers[1]!.answer(0);
  await settle();
  assert.match(got(client), /^HTTP\/1.1 200 /);
  assert.equal(servers[0]!.closed, true);
  r.proxy.close();
});

Deno.test("GOAWAY at every turn: no exchange fails (6.8)", async () => {
  const { r, servers } = pool();
  const clients: MemoryStream[] = [];
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 5; i++) clients.push(await ask(r, post(`/${round}`)));
    const server = servers.at(-1)!;
    const open = server.requests.filter((stream) => !stream.closed);
    // Half of them were looked at.
    const half = open[open.length >> 1]!.id;
    server.goAway(half);
    await settle();
    server.requests.forEach((stream, i) => !stream.closed && stream.id <= half && server.answer(i));
    await settle();
  }
  const last = servers.at(-1)!;
  last.requests.forEach((stream, i) => !stream.closed && last.answer(i));
  await settle();
  assert.deepEqual(clients.map((client) => got(client).slice(9, 12)), Array(100).fill("200"));
  r.proxy.close();
});

Deno.test("REFUSED_STREAM goes again, also in the middle of its body (8.7)", async () => {
  const { r, servers } = pool();
  const client = await ask(r, "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 12\r\n\r\nfirst ");
  servers[0]!.connection.reset(servers[0]!.requests[0]!, REFUSED_STREAM);
  servers[0]!.flush();
  await settle();
  assert.deepEqual(counts(servers), [2]);
  send(client, "second");
  await settle();
  assert.equal(servers[0]!.recorder.bodies.get(3), 12);
  servers[0]!.answer(1);
  await settle();
  assert.match(got(client), /^HTTP\/1.1 200 /);
  r.proxy.close();
});

Deno.test("a peer that refuses again and again is asked twice at once, then with pauses, eleven times in all (8.7)", async () => {
  const { r, servers } = pool();
  const client = await ask(r);
  const refuse = async (): Promise<void> => {
    const [server] = servers;
    server!.connection.reset(server!.requests.at(-1)!, REFUSED_STREAM);
    server!.flush();
    await settle();
  };
  for (let tries = 2; tries <= 11; tries++) {
    await refuse();
    if (tries > 3) {
      assert.deepEqual(counts(servers), [tries - 1]);
      await r.clock.advance(20);
    }
    assert.deepEqual(counts(servers), [tries]);
  }
  await refuse();
  assert.match(got(client), /^HTTP\/1.1 503 [^]*REFUSED_STREAM/);
  r.proxy.close();
});

Deno.test("a body too long to be kept is not sent twice", async () => {
  const { r, servers } = pool();
  const client = await ask(r, `POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 90000\r\n\r\n`);
  for (let i = 0; i < 8; i++) {
    send(client, "x".repeat(10_000));
    await settle();
  }
  servers[0]!.connection.reset(servers[0]!.requests[0]!, REFUSED_STREAM);
  servers[0]!.flush();
  await settle();
  assert.deepEqual(counts(servers), [1]);
  assert.match(got(client), /^HTTP\/1.1 503 [^]*REFUSED_STREAM/);
  r.proxy.close();
});

Deno.test("a lost connection: what is idempotent goes again once, the rest is 503 UC (RFC 9110 9.2.2)", async () => {
  const { r, servers } = pool();
  const first = await ask(r);
  servers[0]!.answer(0);
  await settle();
  const [get, posted] = [await ask(r), await ask(r, post("/"))];
  servers[0]!.stream.close();
  await settle();
  assert.deepEqual(counts(servers), [3, 1]);
  assert.match(got(posted), /^HTTP\/1.1 503 [^]*connection termination/);
  // It was the first on its connection, so nothing says that the connection was dead before.
  servers[1]!.stream.close();
  await settle();
  assert.match(got(get), /^HTTP\/1.1 503 /);
  assert.match(got(first), /^HTTP\/1.1 200 /);
  assert.deepEqual(r.records.slice(1).map((record) => record.flags), ["UC", "UC"]);
  r.proxy.close();
});

Deno.test("a request that was never written goes again whatever it is (8.7)", async () => {
  const { r, servers } = pool();
  const first = await ask(r);
  servers[0]!.answer(0);
  await settle();
  // Both in one turn: the end of the connection is known before the request is written.
  const client = r.client();
  send(client, post("/"));
  servers[0]!.stream.close();
  await settle();
  assert.deepEqual(counts(servers), [1, 1]);
  servers[1]!.answer(0);
  await settle();
  assert.match(got(client), /^HTTP\/1.1 200 /);
  assert.match(got(first), /^HTTP\/1.1 200 /);
  r.proxy.close();
});

Deno.test("a write that fails does not hide the GOAWAY that came before (6.8)", async () => {
  const { r, servers } = pool();
  await ask(r);
  servers[0]!.answer(0);
  await settle();
  // GOAWAY waits to be read, while the connection takes nothing any more.
  const { incoming, outgoing } = servers[0]!.stream;
  const wake = outgoing.wake.bind(outgoing);
  outgoing.wake = () => {};
  servers[0]!.goAway(1);
  incoming.broken = true;
  const client = await ask(r, post("/"));
  assert.equal(servers.length, 1);
  assert.equal(got(client), "");
  outgoing.ended = true;
  wake();
  await settle();
  assert.deepEqual(counts(servers), [1, 1]);
  servers[1]!.answer(0);
  await settle();
  assert.match(got(client), /^HTTP\/1.1 200 /);
  r.proxy.close();
});

Deno.test("a write that fails and nothing to read is the end after a second", async () => {
  const { r, servers } = pool();
  await ask(r);
  servers[0]!.answer(0);
  await settle();
  servers[0]!.stream.incoming.broken = true;
  const client = await ask(r, post("/"));
  assert.equal(got(client), "");
  // Nothing new goes there meanwhile.
  await ask(r);
  assert.deepEqual(counts(servers), [1, 1]);
  await r.clock.advance(1_200);
  assert.match(got(client), /^HTTP\/1.1 503 [^]*connection termination/);
  r.proxy.close();
});

Deno.test("pings: an answered one keeps the connection, an unanswered one ends it (6.7)", async () => {
  const keepalive = { httpProtocolOptions: { connectionKeepalive: { interval: "10s", timeout: "2s" } } };
  const { r, servers } = pool(keepalive);
  await ask(r);
  await r.clock.advance(35_000);
  assert.equal(servers[0]!.closed, false);
  r.proxy.close();

  const dumb = pool(keepalive, { mute: true });
  const client = await ask(dumb.r);
  await dumb.r.clock.advance(11_000);
  assert.equal(dumb.servers[0]!.closed, false);
  assert.equal(got(client), "");
  await dumb.r.clock.advance(2_000);
  assert.equal(dumb.servers[0]!.closed, true);
  assert.match(got(client), /^HTTP\/1.1 503 /);
  assert.equal(dumb.r.counts.get("http2_upstream_keepalive_timeouts_total"), 1);
  dumb.r.proxy.close();
});

Deno.test("idleTimeout counts from the last exchange", async () => {
  const { r, servers } = pool({ httpProtocolOptions: { idleTimeout: "10s" } });
  await ask(r);
  await r.clock.advance(25_000);
  assert.equal(servers[0]!.closed, false);
  servers[0]!.answer(0);
  await r.clock.advance(9_500);
  assert.equal(servers[0]!.closed, false);
  await r.clock.advance(800);
  assert.equal(servers[0]!.closed, true);
  assert.ok(servers[0]!.recorder.lines.includes("goaway 0 NO_ERROR"));
  r.proxy.close();
});

Deno.test("maxConnectionDuration and maxRequestsPerConnection: a successor at once, what runs is finished", async () => {
  const aged = pool({ httpProtocolOptions: { maxConnectionDuration: "5s" } });
  const used = pool({ httpProtocolOptions: { maxRequestsPerConnection: 1 } });
  for (const { r, servers } of [aged, used]) {
    const old = await ask(r);
    await r.clock.advance(5_200);
    const young = await ask(r);
    assert.deepEqual(counts(servers), [1, 1]);
    servers[0]!.answer(0);
    servers[1]!.answer(0);
    await settle();
    for (const client of [old, young]) assert.match(got(client), /^HTTP\/1.1 200 /);
    assert.equal(servers[0]!.closed, true);
    r.proxy.close();
  }
});

Deno.test("maxRequests also holds for those that waited for one connection", async () => {
  const dialing = Promise.withResolvers<void>();
  const { r, servers } = pool(breakers({ maxRequests: 1 }), { dialing: dialing.promise });
  const clients = [await ask(r), await ask(r), await ask(r)];
  dialing.resolve();
  await settle();
  assert.deepEqual(counts(servers), [1]);
  assert.deepEqual(clients.map((client) => got(client).slice(9, 12)), ["", "503", "503"]);
  r.proxy.close();
});

Deno.test("a connection that comes when nobody wants it any more does not stay", async () => {
  const dialing = Promise.withResolvers<void>();
  const { r, servers } = pool({}, { dialing: dialing.promise });
  const client = await ask(r);
  await r.clock.advance(200);
  client.close();
  await settle();
  assert.equal(r.records[0]!.flags, "DC");
  r.proxy.close();
  dialing.resolve();
  await r.clock.advance(200);
  assert.equal(servers[0]!.closed, true);
  assert.equal(r.clock.timers.length, 0);
});

Deno.test("a limit that is raised lets those go on that wait", async () => {
  const { r, servers } = pool(breakers({ maxConnections: 1 }), { maxStreams: 1 });
  await ask(r);
  await ask(r);
  assert.deepEqual(counts(servers), [1]);
  r.proxy.limits().get(CLUSTER)!.update({ maxConnections: 2 });
  await settle();
  assert.deepEqual(counts(servers), [1, 1]);
  r.proxy.close();
});
