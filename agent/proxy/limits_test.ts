/** Limits of connection pools for HTTP/1.1 and TCP, by Envoy's rules (CircuitBreakers.Thresholds, HttpProtocolOptions). */
import assert from "node:assert/strict";
import type { Cluster } from "../model/model.ts";
import { ClusterLimits, isLimited } from "./cluster_limits.ts";
import { Client, Server } from "./h2_fixture_test.ts";
import {
  answering,
  GET,
  got,
  type MemoryStream,
  OK,
  once,
  type Rig,
  rig,
  send,
  settle,
} from "./proxy_fixture_test.ts";

// Else the first request of HTTP/2 would wait for the disk.
await Promise.all([import("./h2_attempt.ts"), import("./h2_downstream.ts")]);

const NO = 4_294_967_295;
const breakers = (own: Cluster["circuitBreakers"]): Partial<Cluster> => ({
  circuitBreakers: { maxConnections: NO, maxPendingRequests: NO, maxRequests: NO, maxRetries: NO, ...own },
});
const OVERFLOW =
  /^HTTP\/1.1 503 [^]*Proxy-Status: mesh-agent; error=connection_limit_reached; details="\[P311\][^]*x-envoy-overloaded: true\r\n[^]*reset reason: overflow/;

/** Sends a request on a connection of its own. */
async function ask(r: Rig, text = GET): Promise<MemoryStream> {
  const client = r.client();
  send(client, text);
  await settle();
  return client;
}

function silent(cluster: Partial<Cluster>, more: Parameters<typeof rig>[0] = {}): Rig {
  return rig({ cluster, limits: { maxConnections: 50 }, ...more });
}

Deno.test("maxConnections: more requests wait and get the next free connection, first come first served", async () => {
  const r = silent(breakers({ maxConnections: 2 }));
  const clients = [];
  for (let i = 0; i < 4; i++) clients.push(await ask(r, `GET /${i} HTTP/1.1\r\nHost: svc\r\n\r\n`));
  assert.equal(r.upstreams.length, 2);
  got(r.upstreams[0]!);
  send(r.upstreams[0]!, OK);
  await settle();
  assert.match(got(clients[0]!), /^HTTP\/1.1 200 /);
  assert.match(got(r.upstreams[0]!), /^GET \/2 /);
  got(r.upstreams[1]!);
  send(r.upstreams[1]!, OK);
  await settle();
  assert.match(got(r.upstreams[1]!), /^GET \/3 /);
  for (const far of r.upstreams) send(far, OK);
  await settle();
  assert.match(got(clients[3]!), /^HTTP\/1.1 200 /);
  assert.equal(r.upstreams.length, 2);
  assert.equal(r.counts.get("upstream_cx_overflow_total"), 2);
  assert.deepEqual([...r.proxy.limits().values()].map(({ connections }) => connections), [2]);
  r.proxy.close();
});

Deno.test("a connection that closes makes room for another", async () => {
  const r = silent(breakers({ maxConnections: 1 }));
  const first = await ask(r);
  const second = await ask(r);
  r.upstreams[0]!.close();
  await settle();
  assert.match(got(first), / 503 [^]*connection termination/);
  assert.equal(r.upstreams.length, 2);
  send(r.upstreams[1]!, OK);
  await settle();
  assert.match(got(second), /^HTTP\/1.1 200 /);
  r.proxy.close();
});

Deno.test("each endpoint may have one connection, whatever the others have", async () => {
  const r = silent(breakers({ maxConnections: 1 }), { endpoints: ["10.0.0.1", "10.0.0.2"] });
  for (let i = 0; i < 4; i++) await ask(r);
  assert.deepEqual(r.dialed.toSorted(), ["10.0.0.1:80", "10.0.0.2:80"]);
  r.proxy.close();
});

Deno.test("maxPendingRequests: one too many is 503 UO at once, also while the first connection is dialled", async () => {
  const dialing = Promise.withResolvers<void>();
  const r = silent(breakers({ maxPendingRequests: 1 }), {
    dialing: dialing.promise,
    upstream: answering(OK),
  });
  const first = await ask(r);
  const second = await ask(r);
  assert.match(got(second), OVERFLOW);
  assert.equal(r.records[0]!.flags, "UO");
  assert.equal(r.records[0]!.details, "upstream_reset_before_response_started{overflow}");
  assert.equal(r.counts.get("upstream_rq_pending_overflow_total"), 1);
  dialing.resolve();
  await settle();
  assert.match(got(first), /^HTTP\/1.1 200 /);
  // An idle connection is there now: nobody waits.
  assert.match(await once(r, GET), /^HTTP\/1.1 200 /);
  r.proxy.close();
});

Deno.test("a client that leaves the queue gives its place to the next", async () => {
  const r = silent(breakers({ maxConnections: 1, maxPendingRequests: 1 }));
  const first = await ask(r);
  const second = await ask(r);
  await r.clock.advance(50);
  second.close();
  await r.clock.advance(200);
  assert.equal(r.records[0]!.flags, "DC");
  const third = await ask(r, "GET /third HTTP/1.1\r\nHost: svc\r\n\r\n");
  assert.equal(got(third), "");
  got(r.upstreams[0]!);
  send(r.upstreams[0]!, OK);
  await settle();
  assert.match(got(first), /^HTTP\/1.1 200 /);
  assert.match(got(r.upstreams[0]!), /^GET \/third /);
  r.proxy.close();
});

Deno.test("the route's timeout holds in the queue, too", async () => {
  const r = silent(breakers({ maxConnections: 1 }), { route: { timeout: "2s" } });
  await ask(r, "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 1\r\n\r\n");
  const second = await ask(r);
  await r.clock.advance(2100);
  assert.match(got(second), /^HTTP\/1.1 504 /);
  assert.equal(r.records[0]!.flags, "UT");
  assert.equal(r.upstreams.length, 1);
  r.proxy.close();
});

Deno.test("a dial that fails fails all that wait for that endpoint", async () => {
  const dialing = Promise.withResolvers<void>();
  const r = silent(breakers({ maxConnections: 1 }), { dialing: dialing.promise });
  const clients = [await ask(r), await ask(r), await ask(r)];
  dialing.reject(new Error("refused"));
  await settle();
  for (const client of clients) assert.match(got(client), / 503 [^]*remote connection failure/);
  assert.equal(r.dialed.length, 1);
  r.proxy.close();
});

Deno.test("maxRequests holds for HTTP/1.1, too", async () => {
  const r = silent(breakers({ maxRequests: 1 }));
  await ask(r);
  assert.match(got(await ask(r)), OVERFLOW);
  send(r.upstreams[0]!, OK);
  await settle();
  const third = await ask(r);
  assert.equal(got(third), "");
  r.proxy.close();
});

Deno.test("maxRequests also holds for connections that come in one turn", async () => {
  const dialing = Promise.withResolvers<void>();
  const r = silent(breakers({ maxRequests: 1 }), { dialing: dialing.promise });
  const clients = [await ask(r), await ask(r), await ask(r)];
  dialing.resolve();
  await settle();
  assert.deepEqual(clients.map((client) => got(client).slice(9, 12)), ["", "503", "503"]);
  assert.deepEqual([...r.proxy.limits().values()].map(({ requests, pending }) => [requests, pending]), [[
    1,
    0,
  ]]);
  r.proxy.close();
});

Deno.test("a connection of HTTP/2 keeps no request of HTTP/1.1 waiting", async () => {
  const r = silent({
    ...breakers({ maxConnections: 1 }),
    httpProtocolOptions: { protocol: "USE_DOWNSTREAM" },
  });
  new Client(r.client()).request("GET / HTTP/1.1\r\nhost: svc\r\n\r\n");
  for (let i = 0; i < 3; i++) await settle();
  const server = new Server(r.upstreams[0]!);
  await settle();
  assert.equal(server.requests.length, 1);
  const client = await ask(r);
  assert.equal(r.upstreams.length, 2);
  send(r.upstreams[1]!, OK);
  await settle();
  assert.match(got(client), /^HTTP\/1.1 200 /);
  r.proxy.close();
});

for (
  const { what, own, retried } of [
    { what: "maxRetries 0", own: { maxRetries: 0 }, retried: 0 },
    { what: "maxRetries 1", own: { maxRetries: 1 }, retried: 1 },
    {
      what: "a retry budget of at least 2",
      own: { retryBudget: { budgetPercent: 1, minRetryConcurrency: 2 } },
      retried: 2,
    },
    {
      what: "a retry budget of 100 %",
      own: { retryBudget: { budgetPercent: 100, minRetryConcurrency: 1 } },
      retried: 2,
    },
  ]
) {
  Deno.test(`retries at a time: ${what}`, async () => {
    const r = silent(
      breakers(own),
      {
        route: { retryPolicy: { retryOn: "5xx", numRetries: 1, retryBackOff: { baseInterval: "0.025s" } } },
      } as Parameters<typeof rig>[0],
    );
    for (let i = 0; i < 3; i++) await ask(r);
    for (const far of r.upstreams.slice()) send(far, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    await r.clock.advance(100);
    assert.equal(r.counts.get("retries_total") ?? 0, retried);
    assert.equal(r.counts.get("upstream_rq_retry_overflow_total") ?? 0, 3 - retried);
    assert.deepEqual(r.records.map((record) => record.flags), Array(3 - retried).fill("UO"));
    for (const far of r.upstreams) if (!far.outgoing.broken) send(far, OK);
    await settle();
    assert.equal(r.records.length, 3);
    r.proxy.close();
  });
}

Deno.test("a retry counts until its answer begins, no longer", async () => {
  const r = silent(
    breakers({ maxRetries: 1 }),
    {
      route: { retryPolicy: { retryOn: "5xx", numRetries: 1, retryBackOff: { baseInterval: "0.001s" } } },
    } as Parameters<typeof rig>[0],
  );
  const clients: MemoryStream[] = [];
  for (let i = 0; i < 2; i++) {
    clients.push(await ask(r));
    send(r.upstreams.at(-1)!, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    await r.clock.advance(100);
    // The answer to the retry goes on for long.
    send(r.upstreams.at(-1)!, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
    await settle();
  }
  for (const client of clients) assert.match(got(client), /^HTTP\/1.1 200 /);
  assert.equal(r.counts.get("retries_total"), 2);
  assert.equal(r.counts.get("upstream_rq_retry_overflow_total"), undefined);
  r.proxy.close();
});

Deno.test("maxRequestsPerConnection: a connection closes after its last request", async () => {
  const r = silent({ httpProtocolOptions: { maxRequestsPerConnection: 2 } }, { upstream: answering(OK) });
  for (let i = 0; i < 5; i++) assert.match(await once(r, GET), /^HTTP\/1.1 200 /);
  assert.equal(r.upstreams.length, 3);
  r.proxy.close();
});

Deno.test("idleTimeout of the cluster takes the place of the agent's own; 0s is none", async () => {
  for (
    const [idleTimeout, after, closed] of [["2s", 2200, true], ["10s", 9000, false], [
      "0s",
      90_000,
      false,
    ]] as const
  ) {
    const r = silent({ httpProtocolOptions: { idleTimeout } }, { upstream: answering(OK) });
    await once(r, GET);
    await r.clock.advance(after);
    assert.equal(r.upstreams[0]!.incoming.ended, closed, idleTimeout);
    r.proxy.close();
  }
});

Deno.test("maxConnectionDuration: an idle connection closes, a busy one after its exchange", async () => {
  const r = silent({ httpProtocolOptions: { idleTimeout: "1h", maxConnectionDuration: "5s" } });
  const first = await ask(r);
  send(r.upstreams[0]!, OK);
  await settle();
  await r.clock.advance(4000);
  const second = await ask(r);
  assert.equal(r.upstreams.length, 1);
  await r.clock.advance(3000);
  assert.equal(r.upstreams[0]!.incoming.ended, false);
  send(r.upstreams[0]!, OK);
  await settle();
  assert.match(got(first) + got(second), /200 [^]*200 /);
  assert.equal(r.upstreams[0]!.incoming.ended, true);
  await ask(r);
  send(r.upstreams[1]!, OK);
  await r.clock.advance(5200);
  assert.equal(r.upstreams[1]!.incoming.ended, true);
  r.proxy.close();
});

Deno.test("TCP: maxConnections refuses at once", async () => {
  const r = silent(breakers({ maxConnections: 1 }));
  const CONNECT = "CONNECT svc:80 HTTP/1.1\r\nHost: svc:80\r\n\r\n";
  const first = await ask(r, CONNECT);
  assert.match(got(first), /^HTTP\/1.1 200 /);
  assert.match(got(await ask(r, CONNECT)), OVERFLOW);
  assert.equal(r.records[0]!.flags, "UO");
  first.close();
  r.upstreams[0]!.close();
  await settle();
  assert.match(got(await ask(r, CONNECT)), /^HTTP\/1.1 200 /);
  r.proxy.close();
});

Deno.test("keep-alive probes are asked for where the cluster does", async () => {
  for (const cluster of [{ tcpKeepalive: { probes: 3 } }, {}]) {
    const r = silent(cluster, { upstream: answering(OK) });
    await once(r, GET);
    assert.deepEqual(r.keepAlive, [cluster.tcpKeepalive !== undefined]);
    r.proxy.close();
  }
});

Deno.test("limits are those of the newest world, and what leaves them out gets Envoy's defaults", () => {
  assert.equal(isLimited(undefined), false);
  assert.equal(isLimited(breakers({}).circuitBreakers), false);
  assert.equal(isLimited({}), true);
  const limits = new ClusterLimits(new Map());
  limits.update({ maxRequests: 7 });
  assert.deepEqual(
    [limits.maxConnections, limits.maxPending, limits.maxRequests, limits.maxRetries],
    [1024, 1024, 7, 3],
  );
  limits.update(undefined);
  assert.equal(limits.maxConnections, Infinity);
});
