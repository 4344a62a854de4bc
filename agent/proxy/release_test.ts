/** What is let go of after use, what is bounded, and what is never used or sent twice. */
import assert from "node:assert/strict";
import type { Clock } from "../core/ports.ts";
import type { Cluster } from "../model/model.ts";
import { endAnswer } from "./answer.ts";
import { ClusterHandle } from "./clusters.ts";
import { EndpointHandle } from "./endpoint.ts";
import type { Exchange } from "./exchange.ts";
import { Names } from "./names.ts";
import { answering, GET, got, OK, once, rig, send, settle } from "./proxy_fixture_test.ts";
import { releaseUpstream } from "./rescue.ts";
import type { UpstreamConnection } from "./upstream.ts";

const ELSEWHERE = { match: { prefix: "/only" } };

Deno.test("a dead kept connection is not made good by a request with a body, idempotent or not", async () => {
  const r = rig({ upstream: answering(OK, "", OK) });
  const c = r.client();
  send(c, GET);
  await settle();
  got(c);
  send(c, "PUT / HTTP/1.1\r\nHost: svc\r\nContent-Length: 1\r\n\r\nx");
  await settle();
  assert.match(got(c), /^HTTP\/1.1 503 /);
  assert.equal(r.counts.get("replayed_requests_total"), undefined);
  r.proxy.close();
});

Deno.test("a connection on which a request was answered before its end is not used again", async () => {
  const r = rig({ upstream: answering(OK) });
  const c = r.client();
  send(c, "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 10\r\n\r\nhalf");
  await settle();
  assert.match(got(c), /^HTTP\/1.1 200 [^]*Connection: close\r\n/);
  await once(r, GET);
  assert.equal(r.dialed.length, 2);
  r.proxy.close();
});

Deno.test("a connection that is there after its client went away is closed unused", async () => {
  let ready = (): void => {};
  const r = rig({ upstream: () => {}, dialing: new Promise((resolve) => ready = resolve) });
  const c = r.client();
  send(c, GET);
  await r.clock.advance(200);
  c.close();
  await settle();
  ready();
  await settle();
  assert.equal(got(r.upstreams[0]!), "");
  assert.equal(r.upstreams[0]!.incoming.ended, true);
  assert.equal(r.records[0]!.flags, "DC");
  r.proxy.close();
});

Deno.test("a body behind a local answer is drained up to the limit, beyond it the connection ends", async () => {
  const r = rig({ extra: ELSEWHERE });
  const post = (bytes: number): string =>
    `POST /none HTTP/1.1\r\nHost: svc\r\nTransfer-Encoding: chunked\r\n\r\n${bytes.toString(16)}\r\n${
      "x".repeat(bytes)
    }\r\n0\r\n\r\n`;
  assert.equal((await once(r, post(60_000) + GET)).split("HTTP/1.1 404").length - 1, 2);
  assert.equal((await once(r, post(70_000) + GET)).split("HTTP/1.1 404").length - 1, 1);
  r.proxy.close();
});

Deno.test("an endpoint's requests under way go down when an answer ends and when an exchange breaks off", () => {
  for (const letGo of [endAnswer, (ex: Exchange) => releaseUpstream(ex)]) {
    const endpoint = new EndpointHandle<UpstreamConnection>("10.0.0.1", 80, 1);
    endpoint.active = 1;
    let over = 0;
    const connection = {
      endpoint,
      head: { minor: 1, close: false, keepAlive: false },
      body: { untilClose: false },
      release: () => over++,
      close: () => over++,
    } as unknown as UpstreamConnection;
    const ex = { upstream: connection, onCancel: null, pumping: false } as unknown as Exchange;
    letGo(ex, connection);
    releaseUpstream(ex);
    assert.deepEqual([endpoint.active, over, ex.upstream], [0, 1, null]);
  }
});

Deno.test("Proxy-Status stays one quoted string, whatever the sentence quotes", async () => {
  const r = rig({ extra: ELSEWHERE });
  const answer = await once(r, 'GET /a"b\\c HTTP/1.1\r\nHost: svc\r\n\r\n');
  assert.match(answer, /\r\nProxy-Status: mesh-agent; error=[a-z_]+; details="\[P201\][^"\\]*"\r\n/);
  r.proxy.close();
});

Deno.test("a value that a rule makes with a line end in it is not sent", async () => {
  const r = rig({
    extra: {
      name: "a\r\nX-Evil: 1",
      requestHeadersToAdd: [{
        header: { key: "x-route", value: "%ROUTE_NAME%" },
        appendAction: "OVERWRITE_IF_EXISTS_OR_ADD",
      }],
    },
    upstream: () => {},
  });
  await once(r, GET);
  assert.doesNotMatch(got(r.upstreams[0]!), /Evil|x-route/);
  r.proxy.close();
});

Deno.test("link-local addresses are refused in every spelling", async () => {
  for (const address of ["169.254.169.254", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "fe80::1"]) {
    const r = rig({ names: { "evil.example": [address] } });
    assert.match(await once(r, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"), /^HTTP\/1.1 403 /, address);
    assert.deepEqual(r.dialed, []);
    r.proxy.close();
  }
});

Deno.test("names that were resolved are remembered up to a number", async () => {
  const asked: string[] = [];
  const resolver = {
    resolve: (name: string) => {
      asked.push(name);
      return Promise.resolve(["10.0.0.1"]);
    },
  };
  const names = new Names(resolver, { monotonic: () => 0 } as unknown as Clock);
  for (let i = 0; i <= 4096; i++) await names.resolve(`n${i}`, 1000);
  await names.resolve("n4096", 1000);
  assert.equal(asked.length, 4097);
  await names.resolve("n0", 1000);
  assert.equal(asked.at(-1), "n0");
});

Deno.test("addresses that clients named are forgotten beyond a number, those in use are not", () => {
  const cluster: Cluster = {
    name: "PassthroughCluster",
    type: "ORIGINAL_DST",
    lbPolicy: "CLUSTER_PROVIDED",
    connectTimeout: "1s",
  };
  const handle = new ClusterHandle(cluster, null as unknown as Names, () => 0);
  const idle = handle.endpointOf("10.0.0.1", 1);
  const used = handle.endpointOf("10.0.0.1", 2);
  used.active = 1;
  for (let port = 3; port <= 1026; port++) handle.endpointOf("10.0.0.1", port);
  assert.equal(handle.endpointOf("10.0.0.1", 2), used);
  assert.notEqual(handle.endpointOf("10.0.0.1", 1), idle);
});
