import assert from "node:assert/strict";
import { answering, CLUSTER, GET, got, OK, once, rig, send, settle } from "./proxy_fixture_test.ts";

Deno.test("a request goes to the endpoint and its answer comes back, the connection is used again", async () => {
  const r = rig({ upstream: answering(OK) });
  const c = r.client();
  send(c, GET + GET);
  await settle();
  assert.equal(got(c).split("200 OK").length - 1, 2);
  assert.deepEqual(r.dialed, ["10.0.0.1:80"]);
  assert.equal(r.records.length, 2);
  assert.deepEqual(
    [r.records[0]!.status, r.records[0]!.upstreamCluster, r.records[0]!.upstreamHost, r.records[0]!.details],
    [200, CLUSTER, "10.0.0.1:80", "via_upstream"],
  );
  r.proxy.close();
});

Deno.test("before the rules are in: 503, never 404", async () => {
  const r = rig({ revision: 0 });
  assert.match(await once(r, GET), /^HTTP\/1.1 503 [^]*not synced/);
  r.proxy.close();
});

Deno.test("connect-failure is tried again on another endpoint; exhausted it is 503 UF,URX", async () => {
  const retry = { retryOn: "connect-failure", numRetries: 2, avoidPreviousHosts: true };
  const r = rig({
    route: { retryPolicy: retry },
    endpoints: ["10.0.0.1", "10.0.0.2"],
    refuse: new Set(["10.0.0.1"]),
    upstream: answering(OK),
  });
  const c = r.client();
  send(c, GET);
  await r.clock.advance(100);
  assert.match(got(c), /200 OK/);
  assert.deepEqual(r.records[0]!.attempts.map((a) => `${a.endpoint} ${a.outcome}`), [
    "10.0.0.1:80 connect-failure",
    "10.0.0.2:80 ok",
  ]);
  r.proxy.close();

  const all = rig({ route: { retryPolicy: retry }, refuse: new Set(["10.0.0.1"]) });
  const c2 = all.client();
  send(c2, GET);
  await all.clock.advance(1000);
  assert.match(got(c2), /^HTTP\/1.1 503 [^]*Proxy-Status: mesh-agent; error=connection_refused/);
  assert.equal(all.dialed.length, 3);
  assert.equal(all.records[0]!.flags, "UF,URX");
  all.proxy.close();
});

Deno.test("a kept connection that died is replaced once for GET, never for POST", async () => {
  const r = rig({ upstream: answering(OK, "", OK) });
  const c = r.client();
  send(c, GET);
  await settle();
  send(c, GET);
  await settle();
  assert.equal(got(c).split("200 OK").length - 1, 2);
  assert.equal(r.dialed.length, 2);
  assert.equal(r.counts.get("replayed_requests_total"), 1);
  r.proxy.close();

  const p = rig({ upstream: answering(OK, "", OK) });
  const c2 = p.client();
  send(c2, GET);
  await settle();
  got(c2);
  send(c2, "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 1\r\n\r\nx");
  await settle();
  assert.match(got(c2), /^HTTP\/1.1 503/);
  assert.equal(p.records[1]!.flags, "UC");
  p.proxy.close();
});

Deno.test("an idle connection that the upstream closes is not used again", async () => {
  const r = rig({ upstream: answering(OK) });
  const c = r.client();
  send(c, GET);
  await settle();
  r.upstreams[0]!.close();
  await settle();
  send(c, GET);
  await settle();
  assert.equal(r.dialed.length, 2);
  assert.equal(r.counts.get("replayed_requests_total"), undefined);
  r.proxy.close();
});

Deno.test("an idle connection is closed after its time", async () => {
  const r = rig({ upstream: answering(OK) });
  const c = r.client();
  send(c, GET);
  await r.clock.advance(4200);
  send(c, GET);
  await settle();
  assert.equal(r.dialed.length, 2);
  r.proxy.close();
});

Deno.test("route timeout: 504 UT with Envoy's text, after the time and not before", async () => {
  const r = rig({ route: { timeout: "0.5s" } });
  const c = r.client();
  send(c, GET);
  await r.clock.advance(499);
  assert.equal(got(c), "");
  await r.clock.advance(3);
  const answer = got(c);
  assert.match(answer, /^HTTP\/1.1 504 [^]*\r\n\r\nupstream request timeout/);
  assert.match(answer, /error=http_response_timeout/);
  assert.equal(r.records[0]!.flags, "UT");
  assert.equal(r.proxy.stats().inFlight, 0);
  r.proxy.close();
});

Deno.test("per-try timeout under 5xx is tried again, the route's time covers all", async () => {
  const r = rig({
    route: { timeout: "1s", retryPolicy: { retryOn: "5xx", numRetries: 9, perTryTimeout: "0.4s" } },
  });
  const c = r.client();
  send(c, GET);
  await r.clock.advance(1100);
  assert.match(got(c), /^HTTP\/1.1 504/);
  assert.equal(r.records[0]!.attempts.length, 3);
  r.proxy.close();
});

Deno.test("5xx is tried again when the policy says so", async () => {
  const bad = "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n";
  const r = rig({ route: { retryPolicy: { retryOn: "5xx", numRetries: 1 } }, upstream: answering(bad, OK) });
  const c = r.client();
  send(c, GET);
  await r.clock.advance(100);
  assert.match(got(c), /^HTTP\/1.1 200/);
  r.proxy.close();
});

Deno.test("slow heads and stalled bodies end in 408", async () => {
  const r = rig({ upstream: () => {} });
  const slow = r.client();
  send(slow, "GET / HT");
  const stalled = r.client();
  send(stalled, "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 10\r\n\r\nabc");
  await r.clock.advance(10_200);
  assert.match(got(slow), /^HTTP\/1.1 408 [^]*head/);
  await r.clock.advance(60_200);
  assert.match(got(stalled), /^HTTP\/1.1 408/);
  await r.clock.advance(2000);
  assert.equal(r.proxy.stats().connections, 0);
  assert.deepEqual(r.records.map((x) => x.status), [408, 408]);
  r.proxy.close();
});

Deno.test("a client that goes away while waiting frees the upstream: flag DC", async () => {
  const r = rig({ upstream: () => {} });
  const c = r.client();
  send(c, GET);
  await r.clock.advance(50);
  c.close();
  await r.clock.advance(200);
  assert.equal(r.records[0]!.flags, "DC");
  assert.equal(r.records[0]!.status, 0);
  assert.equal(r.proxy.stats().connections, 0);
  r.proxy.close();
});

Deno.test("an upstream that dies inside its answer cuts the client's answer", async () => {
  const r = rig({
    upstream: (s) => {
      const into = new Uint8Array(4096);
      s.read(into).then(() => {
        send(s, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        s.close();
      });
    },
  });
  const c = r.client();
  send(c, GET);
  await settle();
  assert.match(got(c), /\r\n\r\nabc$/);
  assert.equal(c.incoming.ended, true);
  assert.equal(r.records[0]!.flags, "UC");
  r.proxy.close();
});

Deno.test("fault: the delay is waited, the abort has Envoy's text and flag", async () => {
  const r = rig({
    extra: {
      typedPerFilterConfig: {
        "envoy.filters.http.fault": {
          delay: { fixedDelay: "2s", percentage: { numerator: 100, denominator: "HUNDRED" } },
          abort: { httpStatus: 418, percentage: { numerator: 100, denominator: "HUNDRED" } },
        },
      },
    },
  });
  const c = r.client();
  send(c, GET);
  await r.clock.advance(1999);
  assert.equal(got(c), "");
  await r.clock.advance(2);
  assert.match(got(c), /^HTTP\/1.1 418 [^]*\r\n\r\nfault filter abort/);
  assert.equal(r.records[0]!.flags, "DI,FI");
  r.proxy.close();
});

Deno.test("own listeners are 508, link-local addresses 403, whatever name they hide behind", async () => {
  const r = rig({ names: { me: ["127.0.0.1"], metadata: ["169.254.169.254"] } });
  for (const host of ["127.0.0.1:15000", "localhost:15000", "me:15000"]) {
    assert.match(await once(r, `GET http://${host}/ HTTP/1.1\r\nHost: x\r\n\r\n`), /^HTTP\/1.1 508/, host);
  }
  r.proxy.close();
  const l = rig({ names: { metadata: ["169.254.169.254"] } });
  for (const host of ["169.254.1.1", "metadata", "[fe80::1]"]) {
    assert.match(await once(l, `GET http://${host}/ HTTP/1.1\r\nHost: x\r\n\r\n`), /^HTTP\/1.1 403/, host);
  }
  assert.deepEqual(l.dialed, []);
  l.proxy.close();
});

Deno.test("the idle time of a kept connection does not run while the next head is written", async () => {
  const r = rig();
  const c = r.client();
  send(c, GET);
  await settle();
  send(r.upstreams[0]!, OK);
  await r.clock.advance(3990);
  const gate = Promise.withResolvers<void>();
  r.upstreams[0]!.incoming.hold = gate.promise;
  send(c, GET);
  await r.clock.advance(200);
  gate.resolve();
  send(r.upstreams[0]!, OK);
  await settle();
  assert.equal(got(c).split("200 OK").length - 1, 2, got(c));
  assert.equal(r.dialed.length, 1);
  r.proxy.close();
});

Deno.test("a rule may take a name of the agent's own, but not lead back to it", async () => {
  const request = "GET / HTTP/1.1\r\nHost: localhost:15000\r\n\r\n";
  const host = { name: "localhost", port: 15000 };
  const away = rig({ host, upstream: answering(OK) });
  assert.match(await once(away, request), /^HTTP\/1.1 200/);
  assert.deepEqual(away.dialed, ["10.0.0.1:80"]);
  away.proxy.close();
  const through = rig({
    host,
    route: { cluster: "PassthroughCluster" },
    names: { localhost: ["127.0.0.1"] },
  });
  assert.match(await once(through, request), /^HTTP\/1.1 508/);
  assert.deepEqual(through.dialed, []);
  through.proxy.close();
});

Deno.test("an endpoint that turns out to be the agent itself is not gone to any more", async () => {
  const listen = { hostname: "0.0.0.0", port: 80 };
  const r = rig({ listen, upstream: answering(OK) });
  // Of which addresses this machine has, connections tell.
  assert.match(await once(r, GET), /^HTTP\/1.1 200 /);
  const client = r.client({ hostname: "10.0.0.1", port: 80 });
  send(client, GET);
  await settle();
  assert.match(got(client), /^HTTP\/1.1 508 [^]*P205/);
  r.proxy.close();
});

Deno.test("a host that no rule knows passes through, or is 502 under REGISTRY_ONLY", async () => {
  const names = { "example.org": ["192.0.2.7"] };
  const request = "GET http://example.org:8080/x HTTP/1.1\r\nHost: example.org:8080\r\n\r\n";
  const r = rig({ names, upstream: answering(OK) });
  assert.match(await once(r, request), /^HTTP\/1.1 200/);
  assert.deepEqual(r.dialed, ["192.0.2.7:8080"]);
  assert.equal(r.records[0]!.upstreamCluster, "PassthroughCluster");
  r.proxy.close();
  const closed = rig({ names, policy: "REGISTRY_ONLY" });
  assert.match(await once(closed, request), /^HTTP\/1.1 502/);
  closed.proxy.close();
});

Deno.test("CONNECT tunnels bytes and half-closes both ways", async () => {
  const r = rig({ names: { "example.org": ["192.0.2.7"] } });
  const c = r.client();
  send(c, "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\nearly");
  await settle();
  assert.match(got(c), /^HTTP\/1.1 200 /);
  const up = r.upstreams[0]!;
  assert.equal(got(up), "early");
  send(up, "down");
  await settle();
  assert.equal(got(c), "down");
  await c.closeWrite();
  await settle();
  assert.equal(up.incoming.ended, true);
  send(up, "late");
  await up.closeWrite();
  await settle();
  assert.equal(got(c), "late");
  assert.equal(r.records[0]!.bytesReceived, 5);
  assert.equal(r.proxy.stats().connections, 0);
  r.proxy.close();
});

Deno.test("over the cap of connections: 503 overloaded", async () => {
  const r = rig();
  for (let i = 0; i < 3; i++) r.client();
  await settle();
  assert.match(await once(r, GET), /^HTTP\/1.1 503 [^]*overloaded/);
  assert.equal(r.counts.get("rejected_overload_total"), 1);
  r.proxy.close();
});

Deno.test("drain: idle connections close, running requests finish with Connection: close", async () => {
  const r = rig({ upstream: () => {} });
  const idle = r.client();
  const busy = r.client();
  send(busy, GET);
  await settle();
  const drained = r.proxy.drain(5000);
  await settle();
  assert.equal(idle.incoming.ended, true);
  send(r.upstreams[0]!, OK);
  await settle();
  assert.match(got(busy), /200 OK[^]*Connection: close/);
  await busy.closeWrite();
  await settle();
  await drained;
  assert.equal(r.proxy.stats().connections, 0);
});

Deno.test("drain: what is not done at the deadline is cut", async () => {
  const r = rig({ upstream: () => {} });
  const c = r.client();
  send(c, GET);
  await settle();
  const drained = r.proxy.drain(1000);
  await r.clock.advance(1001);
  await drained;
  await settle();
  assert.equal(c.incoming.ended, true);
});

Deno.test("a body that nobody wanted is read up to 64 KiB for the sake of the connection, beyond it is closed", async () => {
  const post = (length: number): string =>
    `POST / HTTP/1.1\r\nHost: svc:81\r\nContent-Length: ${length}\r\n\r\n`;
  const r = rig({ upstream: answering(OK) });
  const small = r.client();
  send(small, post(60_000) + "x".repeat(60_000) + GET);
  await settle();
  assert.match(got(small), /^HTTP\/1.1 404 [^]*200 OK/);
  assert.equal(small.incoming.ended, false);

  const large = r.client();
  send(large, post(200_000) + "x".repeat(100_000));
  await settle();
  assert.match(got(large), /^HTTP\/1.1 404 /);
  assert.equal(large.incoming.ended, true);

  const chunked = r.client();
  send(chunked, "POST / HTTP/1.1\r\nHost: svc:81\r\nTransfer-Encoding: chunked\r\n\r\n");
  send(chunked, `30d40\r\n${"x".repeat(100_000)}`);
  await settle();
  assert.match(got(chunked), /^HTTP\/1.1 404 /);
  assert.equal(chunked.incoming.ended, true);
  r.proxy.close();
});
