/**
 * The HTTP/1.1 tables on a service port: to a client it behaves as the outbound listener does, but for where requests go. And HTTP/2 in
 * front of it, where it is no way out.
 */
import assert from "node:assert/strict";
import { systemClock } from "../../agent/net/clock.ts";
import { createDialer } from "../../agent/net/dial.ts";
import { systemResolver } from "../../agent/net/dns.ts";
import { openInbound } from "../../agent/net/open_inbound.ts";
import type { RequestRecord } from "../../agent/observe/types.ts";
import { bytes } from "../../agent/wire/http2/connection_fixture_test.ts";
import { until, within } from "../harness/bytes.ts";
import { Http2Side } from "../harness/http2_side.ts";
import { answering, startUpstream } from "../harness/upstream.ts";
import { configOf } from "../harness/world.ts";
import { play, type Rig, titleOf } from "./play.ts";
import { ROWS } from "./rows.ts";

function startInboundRig(): Rig & AsyncDisposable & { readonly errors: readonly string[] } {
  const records: RequestRecord[] = [];
  const errors: string[] = [];
  const config = configOf();
  const { inbound } = openInbound({
    config: { ...config, workload: { ...config.workload, instanceIp: "127.0.0.2" } },
    dialer: createDialer(),
    resolver: systemResolver,
    clock: systemClock,
    rng: Math.random,
    observer: {
      request: (record) => void records.push(record),
      downstreamConnection() {},
      upstreamConnection() {},
      requestStarted() {},
      count() {},
    },
    log: {
      level: "error",
      log: (level, message, fields) => {
        if (level === "error") errors.push(`${message} ${JSON.stringify(fields ?? {})}`);
      },
    },
    ownAddresses: [],
  }, null);
  let port = 0;
  return {
    records,
    errors,
    get address() {
      return { hostname: "127.0.0.2", port };
    },
    serve(localPort) {
      ({ port } = inbound.open({ protocol: "rest", port: 0, localPort }, "settings"));
      return "svc.test";
    },
    [Symbol.asyncDispose]: () => inbound.drain(2_000),
  };
}

for (const row of ROWS) {
  Deno.test(titleOf("service port", row), async () => {
    await using rig = startInboundRig();
    await play(row, rig);
    assert.deepEqual(rig.errors, [], "the proxy must not log errors");
  });
}

const seen = (client: Http2Side, pattern: RegExp): Promise<string> =>
  within(client.line(pattern), `${pattern} in ${client.recorder.lines.join("\n")}`);

Deno.test("service port, RFC 9113 8.5: CONNECT is 404, other streams go on", async () => {
  await using upstream = startUpstream(answering());
  await using rig = startInboundRig();
  rig.serve(upstream.port);
  using client = await Http2Side.connect(rig.address.port, rig.address.hostname);
  client.connection.request(bytes("CONNECT db.test:5432 HTTP/1.1\r\n\r\n"), false, false, "");
  await client.flush();
  await seen(client, /^headers 1 "HTTP\/1.1 404 .*P201/);
  client.request("GET /a HTTP/1.1\r\nHost: whoever.test\r\n\r\n");
  await seen(client, /^headers 3 "HTTP\/1.1 200 /);
  assert.equal(upstream.requests.length, 1);
  assert.equal(upstream.requests[0]?.header("host"), "whoever.test");
});

Deno.test("service port, RFC 8441: WebSocket by extended CONNECT reaches an application of HTTP/1.1", async () => {
  await using upstream = startUpstream(async (link) => {
    const request = await link.request();
    const key = request!.header("sec-websocket-key")!;
    const digest = await crypto.subtle.digest(
      "SHA-1",
      new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`),
    );
    const accept = btoa(String.fromCharCode(...new Uint8Array(digest)));
    await link.write(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\nhello`,
    );
    await link.peerGone();
  });
  await using rig = startInboundRig();
  rig.serve(upstream.port);
  using client = await Http2Side.connect(rig.address.port, rig.address.hostname);
  const head = "GET /chat HTTP/1.1\r\nHost: svc.test\r\nsec-websocket-version: 13\r\n\r\n";
  const stream = client.connection.request(bytes(head), false, false, "websocket")!;
  await client.flush();
  await seen(client, /^headers 1 "HTTP\/1.1 200 /);
  await seen(client, /^data 1 "hello"/);
  client.connection.sendData(stream, bytes(""), 0, 0, true);
  await client.flush();
  await until(() => rig.records!.length === 1, "the record");
  assert.equal(rig.records?.[0]?.inbound, true);
});
