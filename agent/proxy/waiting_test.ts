import assert from "node:assert/strict";
import { answering, GET, got, OK, once, rig, send, settle } from "./proxy_fixture_test.ts";

const DELAY = {
  "envoy.filters.http.fault": {
    delay: { fixedDelay: "5s", percentage: { numerator: 100, denominator: "HUNDRED" as const } },
  },
};

Deno.test("bytes that come while a request is held back do not get into its head", async () => {
  const r = rig({ extra: { typedPerFilterConfig: DELAY }, upstream: () => {} });
  const c = r.client();
  send(c, "GET /first HTTP/1.1\r\nHost: svc\r\nX-One: 1\r\n\r\n");
  await r.clock.advance(1000);
  send(c, "GET /second-and-longer HTTP/1.1\r\nHost: svc\r\nX-Evil: 1\r\nX-More: 2\r\n\r\n");
  await r.clock.advance(5000);
  const seen = got(r.upstreams[0]!);
  assert.match(seen, /^GET \/first HTTP\/1.1\r\nHost: svc\r\nX-One: 1\r\n/);
  assert.doesNotMatch(seen, /Evil|second/);
  r.proxy.close();
});

Deno.test("an injected delay does not use up the route's timeout", async () => {
  const r = rig({
    route: { timeout: "1s" },
    extra: { typedPerFilterConfig: DELAY },
    upstream: () => {},
  });
  const c = r.client();
  send(c, GET);
  await r.clock.advance(5500);
  send(r.upstreams[0]!, OK);
  await settle();
  const answer = got(c);
  assert.match(answer, /^HTTP\/1.1 200 /);
  assert.match(answer, /x-envoy-upstream-service-time: 500\r\n/);
  r.proxy.close();
});

Deno.test("an upstream may think longer than the stall time once the whole body is there", async () => {
  const r = rig({ upstream: () => {} });
  const c = r.client();
  send(c, "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 2\r\n\r\n");
  await settle();
  send(c, "xy");
  await r.clock.advance(61_000);
  send(r.upstreams[0]!, OK);
  await settle();
  assert.match(got(c), /^HTTP\/1.1 200 /);
  assert.deepEqual(r.records.map((x) => [x.status, x.flags]), [[200, ""]]);
  r.proxy.close();
});

Deno.test("a body that is left after a local answer and never comes ends the connection quietly", async () => {
  const r = rig({ extra: { match: { prefix: "/only" } } });
  const c = r.client();
  send(c, "POST /none HTTP/1.1\r\nHost: svc\r\nContent-Length: 5\r\n\r\n");
  await settle();
  assert.match(got(c), /^HTTP\/1.1 404 /);
  await r.clock.advance(61_000);
  assert.equal(got(c), "");
  assert.equal(c.incoming.ended, true);
  assert.equal(r.records.length, 1);
  r.proxy.close();
});

Deno.test("an upstream that dies while it is sent a body is 503 UC", async () => {
  const r = rig({ upstream: () => {} });
  const c = r.client();
  send(c, "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 10\r\n\r\n");
  await settle();
  r.upstreams[0]!.incoming.broken = true;
  send(c, "12345");
  await settle();
  r.upstreams[0]!.close();
  await settle();
  assert.match(got(c), /^HTTP\/1.1 503 /);
  assert.deepEqual(r.records.map((x) => [x.status, x.flags]), [[503, "UC"]]);
  r.proxy.close();
});

Deno.test("an upstream that takes no request is left after the stall time, on a new connection and on a kept one", async () => {
  const never = new Promise<void>(() => {});
  for (const kept of [false, true]) {
    const r = rig({ upstream: kept ? answering(OK) : (stream) => void (stream.incoming.hold = never) });
    if (kept) {
      await once(r, GET);
      r.upstreams[0]!.incoming.hold = never;
    }
    const c = r.client();
    send(c, GET);
    await r.clock.advance(59_000);
    assert.equal(got(c), "");
    await r.clock.advance(1_200);
    assert.match(got(c), /^HTTP\/1.1 504 [^]*P309[^]*stopped taking the request/);
    assert.equal(r.upstreams.length, 1);
    r.proxy.close();
  }
});

Deno.test("an answer that comes before the body is through is passed on, though sending failed", async () => {
  const r = rig({ upstream: () => {} });
  const c = r.client();
  send(c, "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 10\r\n\r\n");
  await settle();
  r.upstreams[0]!.incoming.broken = true;
  send(c, "12345");
  await settle();
  send(r.upstreams[0]!, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
  await settle();
  const answer = got(c);
  assert.match(answer, /^HTTP\/1.1 413 /);
  assert.match(answer, /x-envoy-upstream-service-time: 0\r\n/);
  r.proxy.close();
});

Deno.test("a client that ends its side after a slow 101 still gets what the upstream sends", async () => {
  const r = rig({ upstream: () => {} });
  const c = r.client();
  send(c, "GET / HTTP/1.1\r\nHost: svc\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  await r.clock.advance(500);
  const up = r.upstreams[0]!;
  send(up, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  await settle();
  assert.match(got(c), /^HTTP\/1.1 101 /);
  c.closeWrite();
  await settle();
  send(up, "late");
  await settle();
  assert.equal(got(c), "late");
  up.closeWrite();
  await settle();
  assert.equal(r.proxy.stats().tunnels, 0);
  r.proxy.close();
});

Deno.test("after a CONNECT that failed nothing else is read from the connection", async () => {
  const r = rig({ refuse: new Set(["10.9.9.9"]), upstream: answering(OK) });
  const c = r.client();
  send(c, `CONNECT 10.9.9.9:443 HTTP/1.1\r\nHost: 10.9.9.9:443\r\n\r\n${GET}`);
  await settle();
  assert.match(got(c), /^HTTP\/1.1 503 (?:(?!200 OK)[^])*Connection: close\r\n(?:(?!200 OK)[^])*$/);
  assert.equal(r.records.length, 1);
  r.proxy.close();
});

Deno.test("CORS headers of the route replace those of the upstream", async () => {
  const cors = {
    "envoy.filters.http.cors": {
      allowOriginStringMatch: [{ exact: "http://a" }],
      allowCredentials: true,
    },
  };
  const r = rig({
    extra: { typedPerFilterConfig: cors },
    upstream: answering("HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0\r\n\r\n"),
  });
  const answer = await once(r, "GET / HTTP/1.1\r\nHost: svc\r\nOrigin: http://a\r\n\r\n");
  assert.deepEqual(answer.match(/access-control-allow-origin: .*/gi), [
    "access-control-allow-origin: http://a",
  ]);
  r.proxy.close();
});

Deno.test("an empty request id, or one that Connection names, is replaced by the one that is logged", async () => {
  for (const lines of ["X-Request-Id:\r\n", "X-Request-Id: a\r\nConnection: x-request-id\r\n"]) {
    const r = rig({ upstream: () => {} });
    const c = r.client();
    send(c, `GET / HTTP/1.1\r\nHost: svc\r\n${lines}\r\n`);
    await settle();
    const ids = got(r.upstreams[0]!).match(/x-request-id:.*/gi);
    assert.equal(ids?.length, 1);
    assert.match(ids![0]!, /^x-request-id: [0-9a-f-]{36}$/);
    send(r.upstreams[0]!, OK);
    await settle();
    assert.equal(`x-request-id: ${r.records[0]!.requestId}`, ids![0]);
    r.proxy.close();
  }
});

Deno.test("a value that a rule makes of wide characters never becomes a line end", async () => {
  const r = rig({
    extra: {
      name: "a\u010d\u010aX-Evil: 1",
      requestHeadersToAdd: [{
        header: { key: "x-route", value: "%ROUTE_NAME%" },
        appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" as const,
      }],
    },
    upstream: () => {},
  });
  await once(r, GET);
  const seen = got(r.upstreams[0]!);
  assert.match(seen, /x-route: a/);
  assert.doesNotMatch(seen, /\nX-Evil/);
  r.proxy.close();
});

Deno.test("a connection gives back the room of a large head before it rests", async () => {
  const r = rig({ upstream: answering(OK) });
  const c = r.client();
  const sizes: number[] = [];
  await settle();
  const far = r.accepted[0]!;
  const read = far.read.bind(far);
  far.read = (into) => {
    sizes.push(into.length);
    return read(into);
  };
  send(c, `GET / HTTP/1.1\r\nHost: svc\r\nX-Large: ${"a".repeat(30_000)}\r\n\r\n`);
  await settle();
  assert.match(got(c), /200 OK/);
  assert.equal(sizes.at(-1), 2048);
  r.proxy.close();
});

Deno.test("a client whose head left little room in the buffer is seen to go away while its request is held back", async () => {
  const r = rig({ extra: { typedPerFilterConfig: DELAY }, upstream: () => {} });
  const c = r.client();
  send(c, `GET / HTTP/1.1\r\nHost: svc\r\nX-Large: ${"a".repeat(1500)}\r\n\r\n`);
  await r.clock.advance(50);
  c.close();
  await r.clock.advance(200);
  assert.equal(r.records[0]?.flags, "DI,DC");
  r.proxy.close();
});

Deno.test("a large body behind a head that had to grow its buffer is read in large pieces", async () => {
  const r = rig({ upstream: answering(OK) });
  const c = r.client();
  const sizes: number[] = [];
  await settle();
  const far = r.accepted[0]!;
  const read = far.read.bind(far);
  far.read = (into) => {
    sizes.push(into.length);
    return read(into);
  };
  const body = "b".repeat(200_000);
  send(
    c,
    `POST / HTTP/1.1\r\nHost: svc\r\nX-Large: ${"a".repeat(3000)}\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  await settle();
  send(c, body);
  await settle();
  assert.equal(Math.max(...sizes), 65_536);
  r.proxy.close();
});
