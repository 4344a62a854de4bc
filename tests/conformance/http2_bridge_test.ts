/** HTTP/2 in front of HTTP/1.1 and the other way round (RFC 9113 section 8, RFC 9110 section 7.6): what each side gets to see. */
import assert from "node:assert/strict";
import type { World } from "../../agent/discovery/types.ts";
import { bytes } from "../../agent/wire/http2/connection_fixture_test.ts";
import { within } from "../harness/bytes.ts";
import { RawClient } from "../harness/client.ts";
import { Http2Side } from "../harness/http2_side.ts";
import { startRig } from "../harness/rig.ts";
import { answering, startUpstream } from "../harness/upstream.ts";
import { worldOf } from "../harness/world.ts";

interface Down {
  readonly what: string;
  readonly request: string;
  readonly body?: string;
  readonly answer: string;
  /** Of the HTTP/1.1 request that the upstream got; null: none of that name. */
  readonly sent?: Readonly<Record<string, string | null>>;
  /** Lines at the client. */
  readonly seen: RegExp[];
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const DOWN: readonly Down[] = [
  {
    what: ":authority is Host, connection fields are ours",
    request: "GET /a?b HTTP/1.1\r\nHost: svc.test\r\nTE: trailers\r\nX-A: 1\r\n\r\n",
    answer:
      "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nContent-Length: 2\r\n\r\nok",
    sent: { host: "svc.test", te: null, "x-a": "1", "transfer-encoding": null, connection: null },
    seen: [
      /^headers 1 "HTTP\/1.1 200 \\r\\ncontent-length: 2\\r\\nx-envoy-upstream-service-time: \d+\\r\\n\\r\\n"$/,
      /^data 1 "ok" end$/,
    ],
  },
  {
    what: "a body with a length keeps it",
    request: "POST / HTTP/1.1\r\nHost: svc.test\r\nContent-Length: 4\r\n\r\n",
    body: "body",
    answer: OK,
    sent: { "content-length": "4", "transfer-encoding": null },
    seen: [/^data 1 "ok" end$/],
  },
  {
    what: "a body without a length is chunked",
    request: "POST / HTTP/1.1\r\nHost: svc.test\r\n\r\n",
    body: "body",
    answer: OK,
    sent: { "content-length": null, "transfer-encoding": "chunked" },
    seen: [/^data 1 "ok" end$/],
  },
  {
    what: "a chunked answer and its trailers",
    request: "GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n",
    answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
    seen: [/^headers 1 "(?!.*transfer-encoding)/, /^data 1 "ok"$/, /^trailers 1 ".*x-t: 1/],
  },
  {
    what: "HEAD keeps the length and has no body",
    request: "HEAD / HTTP/1.1\r\nHost: svc.test\r\n\r\n",
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
    seen: [/^headers 1 ".*content-length: 99.*" end$/],
  },
  {
    what: "204 ends with its head",
    request: "GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n",
    answer: "HTTP/1.1 204 No Content\r\n\r\n",
    seen: [/^headers 1 "HTTP\/1.1 204 .*" end$/],
  },
  {
    what: "304 ends with its head",
    request: "GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n",
    answer: 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n',
    seen: [/^headers 1 "HTTP\/1.1 304 .*" end$/],
  },
  {
    what: "103 is passed on before the answer",
    request: "GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n",
    answer: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}`,
    seen: [/^headers 1 "HTTP\/1.1 103 .*link/, /^headers 1 "HTTP\/1.1 200 /],
  },
  {
    what: "an answer that is cut resets the stream",
    request: "GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n",
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
    seen: [/^headers 1 "HTTP\/1.1 200 /, /^reset 1 INTERNAL_ERROR$/],
  },
  {
    what: "no authority and no Host is 400",
    request: "GET / HTTP/1.1\r\n\r\n",
    answer: OK,
    seen: [/^headers 1 "HTTP\/1.1 400 /],
  },
];

for (const row of DOWN) {
  Deno.test(`HTTP/2 client, HTTP/1.1 upstream: ${row.what}`, async () => {
    await using upstream = startUpstream(async (link) => {
      if (await link.request() !== undefined) await link.write(row.answer);
    });
    await using rig = startRig("native");
    rig.serve(upstream.port);
    using client = await Http2Side.connect(rig.address.port);
    client.request(row.request, row.body);
    for (const pattern of row.seen) {
      await within(client.line(pattern), `${pattern} in ${client.recorder.lines.join("\n")}`);
    }
    for (const [name, value] of Object.entries(row.sent ?? {})) {
      assert.equal(upstream.requests[0]!.header(name) ?? null, value, name);
    }
    if (row.body !== undefined) assert.equal(upstream.requests[0]!.body, row.body);
    assert.deepEqual(rig.errors, []);
  });
}

Deno.test("an exchange is recorded as HTTP/2, and requests of one connection go on side by side", async () => {
  await using upstream = startUpstream(answering());
  await using rig = startRig("native");
  rig.serve(upstream.port);
  using client = await Http2Side.connect(rig.address.port);
  for (let i = 0; i < 20; i++) client.request("GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n");
  for (let i = 0; i < 20; i++) {
    await within(client.line(new RegExp(`^headers ${2 * i + 1} "HTTP/1.1 200`)), "answers");
  }
  assert.equal(rig.records.length, 20);
  assert.equal(rig.records.every((r) => r.protocol === "HTTP/2" && r.status === 200), true);
  assert.equal(rig.open.downstream, 1);
});

Deno.test("a drain says goodbye, answers what runs and closes", async () => {
  const answer = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  await using upstream = startUpstream(async (link) => {
    await link.request();
    asked.resolve();
    await answer.promise;
    await link.write(OK);
  });
  await using rig = startRig("native");
  rig.serve(upstream.port);
  using client = await Http2Side.connect(rig.address.port);
  client.request("GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n");
  await within(asked.promise, "the request");
  const drained = rig.proxy.drain(5000);
  await within(client.line(/^goaway/), "the first GOAWAY");
  answer.resolve();
  await within(client.line(/^data 1 .*end$/), "the answer");
  await within(client.line(/^closed$/), "the end");
  await drained;
});

const UP: readonly {
  what: string;
  request: string;
  answer: string;
  body?: string;
  trailers?: string;
  got: RegExp;
  seen: RegExp;
}[] = [
  {
    what: "Host is :authority, connection fields go",
    request: "GET /a HTTP/1.1\r\nHost: svc.test\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-A: 1\r\n\r\n",
    answer: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
    body: "ok",
    got:
      /^headers 1 "GET \/a HTTP\/1.1\\r\\nhost: svc.test\\r\\nx-a: 1\\r\\nx-forwarded-for: (?!.*(connection|x-hop))/,
    seen: /^HTTP\/1.1 200 \r\ncontent-length: 2\r\n[^]*\r\n\r\nok$/,
  },
  {
    what: "a chunked body",
    request: "POST / HTTP/1.1\r\nHost: svc.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    answer: "HTTP/1.1 200 OK\r\n\r\n",
    body: "ok",
    got: /^headers 1 "POST (?!.*transfer-encoding)/,
    seen: /Transfer-Encoding: chunked\r\n[^]*\r\n\r\n2\r\nok\r\n0\r\n\r\n$/,
  },
  {
    what: "trailers of the answer",
    request: "GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n",
    answer: "HTTP/1.1 200 OK\r\n\r\n",
    body: "ok",
    trailers: "x-t: 1\r\n",
    got: /^headers 1 "GET/,
    seen: /2\r\nok\r\n0\r\nx-t: 1\r\n\r\n$/,
  },
  {
    what: "trailers right behind the head",
    request: "GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n",
    answer: "HTTP/1.1 200 OK\r\n\r\n",
    body: "",
    trailers: "grpc-status: 0\r\n",
    got: /^headers 1 "GET/,
    seen: /Transfer-Encoding: chunked\r\n(?![^]*content-length)[^]*\r\n\r\n0\r\ngrpc-status: 0\r\n\r\n$/,
  },
  {
    what: "an answer of a head alone has a length of 0",
    request: "GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n",
    answer: "HTTP/1.1 200 OK\r\n\r\n",
    got: /^headers 1 "GET/,
    seen: /^HTTP\/1.1 200 \r\n[^]*content-length: 0\r\n[^]*\r\n\r\n$/,
  },
];

/** `svc.test` is spoken to in HTTP/2. */
function http2World(port: number): World {
  const world = worldOf([port]);
  const name = "outbound|80||svc.test";
  const cluster = {
    ...world.program.clusters.get(name)!,
    httpProtocolOptions: { protocol: "HTTP2" as const },
  };
  return { ...world, program: { ...world.program, clusters: new Map([[name, cluster]]) } };
}

for (const row of UP) {
  Deno.test(`HTTP/1.1 client, HTTP/2 upstream: ${row.what}`, async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using rig = startRig("native");
    rig.world = http2World(listener.addr.port);
    using client = await RawClient.connect(rig.address);
    await client.send(row.request.replace("\r\nHost", "\r\nconnection: close\r\nHost"));
    using upstream = new Http2Side(await listener.accept(), "server", ({ recorder, connection }) => {
      const answer = (stream: Parameters<typeof connection.respond>[0]): void => {
        connection.respond(stream, bytes(row.answer), row.body === undefined);
        if (row.body === undefined) return;
        connection.sendData(stream, bytes(row.body), 0, row.body.length, row.trailers === undefined);
        if (row.trailers !== undefined) connection.sendTrailers(stream, bytes(row.trailers));
      };
      recorder.onHeaders = (stream, _head, end) => end && answer(stream);
      recorder.onData = (stream, _piece, end) => end && answer(stream);
    });
    const all = await within(client.toEnd(), "the answer");
    assert.match(all, row.seen);
    assert.ok(upstream.recorder.lines.some((line) => row.got.test(line)), upstream.recorder.lines.join("\n"));
    assert.deepEqual(rig.errors, []);
    upstream.socket.close();
    listener.close();
    await upstream.done;
  });
}

Deno.test("HTTP/2 client: 100 when the body is wanted, request trailers as the last chunk", async () => {
  await using upstream = startUpstream(async (link) => {
    if (await link.request() !== undefined) await link.write(OK);
  });
  await using rig = startRig("native");
  rig.serve(upstream.port);
  using client = await Http2Side.connect(rig.address.port);
  const head = "POST / HTTP/1.1\r\nHost: svc.test\r\nExpect: 100-continue\r\n\r\n";
  const stream = client.connection.request(bytes(head), false)!;
  await client.flush();
  // RFC 9113 section 5.3.2: what a client says of priorities changes nothing.
  await client.socket.write(Uint8Array.of(0, 0, 5, 2, 0, 0, 0, 0, 1, 0, 0, 0, 3, 255));
  await within(client.line(/^headers 1 "HTTP\/1.1 100 /), "100 Continue");
  client.connection.sendData(stream, bytes("body"), 0, 4, false);
  client.connection.sendTrailers(stream, bytes("x-sum: 1\r\n"));
  await client.flush();
  await within(client.line(/^data 1 "ok" end$/), "the answer");
  const [request] = upstream.requests;
  assert.equal(request!.body, "body");
  assert.deepEqual(request!.trailers, [["x-sum", "1"]]);
  assert.equal(request!.header("expect"), undefined);
});

Deno.test("HTTP/2 upstream: request trailers, and 103 before the answer", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using rig = startRig("native");
  rig.world = http2World(listener.addr.port);
  using client = await RawClient.connect(rig.address);
  await client.send(
    "POST / HTTP/1.1\r\nHost: svc.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" +
      "4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n",
  );
  const upstream = new Http2Side(await listener.accept(), "server", ({ recorder, connection }) => {
    recorder.onTrailers = (stream) => {
      connection.respond(stream, bytes("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"), false);
      connection.respond(stream, bytes("HTTP/1.1 204 No Content\r\n\r\n"), true);
    };
  });
  const all = await within(client.toEnd(), "the answer");
  assert.match(all, /^HTTP\/1.1 103 \r\nlink: <\/a>\r\n\r\nHTTP\/1.1 204 \r\n/);
  assert.match(upstream.recorder.lines.join("\n"), /^trailers 1 ".*x-sum: 1/m);
  upstream.socket.close();
  listener.close();
  await upstream.done;
});
