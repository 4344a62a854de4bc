import assert from "node:assert/strict";
import { createServer } from "node:http2";
import { textOf } from "../../tests/harness/bytes.ts";
import { answering, startUpstream } from "../../tests/harness/upstream.ts";
import type { ConnectStep, Resolver } from "../core/ports.ts";
import { MeshError } from "../core/errors.ts";
import { createHttpClient } from "./http_client.ts";

const OPTIONS = { timeoutMs: 5_000, maxBytes: 1 << 20 };
const at = (port: number) => ({ host: "127.0.0.1", port });

async function failure(promise: Promise<unknown>): Promise<MeshError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof MeshError, String(error));
    assert.match(error.message, /^Cannot (ask|resolve|take in) .*; want /);
    return error;
  }
  throw new Error("it did not fail");
}

Deno.test("one GET: line and headers as they must be, status, type and body as they came", async () => {
  await using server = startUpstream(
    answering("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello"),
  );
  const http = createHttpClient();
  const steps: ConnectStep[] = [];
  const answer = await http.get(at(server.port), "/v1/registration/a%7Chttp", {
    ...OPTIONS,
    onStep: (step) => steps.push(step),
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.contentType, "text/plain; charset=utf-8");
  assert.equal(textOf(answer.body), "hello");
  assert.deepEqual(steps, ["DNS", "TCP"]);
  const [request] = server.requests;
  assert.equal(request?.startLine, "GET /v1/registration/a%7Chttp HTTP/1.1");
  assert.equal(request?.header("host"), `127.0.0.1:${server.port}`);
  assert.equal(request?.header("user-agent"), "mesh-agent");
  http.close();
});

Deno.test("bodies: chunked with extensions and trailers, by the end of the connection, none", async () => {
  const cases: readonly [string, string, string][] = [
    ["chunked", "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nx-t: 1\r\n\r\n", "abcd"],
    ["to the end", "\r\nabcdef", "abcdef"],
    ["empty", "Content-Length: 0\r\n\r\n", ""],
  ];
  await using unchanged = startUpstream(
    answering("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "close"),
  );
  const client = createHttpClient();
  assert.equal(
    (await client.get(at(unchanged.port), "/", OPTIONS)).body.length,
    0,
    "304 has none, whatever it says",
  );
  client.close();
  for (const [name, rest, body] of cases) {
    await using server = startUpstream(answering(`HTTP/1.1 200 OK\r\n${rest}`, "close"));
    const http = createHttpClient();
    assert.equal(textOf((await http.get(at(server.port), "/", OPTIONS)).body), body, name);
    http.close();
  }
});

Deno.test("a chunked body in pieces of every size is one body; interim answers are skipped", async () => {
  const text =
    "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
    "4\r\n0123\r\na\r\n456789abcd\r\n0\r\n\r\n";
  for (const size of [1, 2, 7, 64]) {
    await using server = startUpstream(async (link) => {
      await link.request();
      for (let i = 0; i < text.length; i += size) {
        await link.write(text.slice(i, i + size));
        await Promise.resolve();
      }
      await link.peerGone();
    });
    const http = createHttpClient();
    assert.equal(textOf((await http.get(at(server.port), "/", OPTIONS)).body), "0123456789abcd");
    http.close();
  }
});

Deno.test("a long body in chunks of one byte is one body", async () => {
  const count = 100_000;
  const text = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${"1\r\nx\r\n".repeat(count)}0\r\n\r\n`;
  await using server = startUpstream(answering(text, "close"));
  const http = createHttpClient();
  const { body } = await http.get(at(server.port), "/", OPTIONS);
  assert.equal(textOf(body), "x".repeat(count));
  http.close();
});

Deno.test("a connection is kept and used again; after Connection: close it is not", async () => {
  await using server = startUpstream(async (link) => {
    for (let i = 0; await link.request() !== undefined; i++) {
      await link.write(
        `HTTP/1.1 200 OK\r\n${i === 2 ? "Connection: close\r\n" : ""}Content-Length: 1\r\n\r\n${i}`,
      );
      if (i === 2) return;
    }
  });
  const http = createHttpClient();
  const bodies: string[] = [];
  for (let i = 0; i < 5; i++) bodies.push(textOf((await http.get(at(server.port), "/", OPTIONS)).body));
  assert.deepEqual(bodies, ["0", "1", "2", "0", "1"]);
  assert.equal(server.links.length, 2);
  http.close();
});

Deno.test("HTTP/1.0 keeps no connection unless it says so; bytes behind an answer end it", async () => {
  for (
    const [first, connections] of [
      ["HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", 2],
      ["HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", 1],
      ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n", 2],
    ] as const
  ) {
    let answered = 0;
    await using server = startUpstream(async (link) => {
      while (await link.request() !== undefined) {
        await link.write(answered++ === 0 ? first : "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
      }
    });
    const http = createHttpClient();
    for (let i = 0; i < 2; i++) {
      assert.equal(textOf((await http.get(at(server.port), "/", OPTIONS)).body), "a");
    }
    assert.equal(server.links.length, connections, first);
    http.close();
  }
});

Deno.test("of the connections of many GETs at a time two are kept", async () => {
  await using server = startUpstream(async (link) => {
    while (await link.request() !== undefined) {
      await link.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    }
  });
  const http = createHttpClient();
  const many = () => Promise.all(Array.from({ length: 5 }, () => http.get(at(server.port), "/", OPTIONS)));
  await many();
  assert.equal(server.links.length, 5);
  await many();
  assert.equal(server.links.length, 8, "two of five were kept");
  http.close();
});

Deno.test("a kept connection that the server has closed meanwhile is replaced without a word", async () => {
  await using server = startUpstream(async (link) => {
    await link.request();
    await link.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  });
  const http = createHttpClient();
  for (let i = 0; i < 3; i++) assert.equal((await http.get(at(server.port), "/", OPTIONS)).status, 200);
  assert.equal(server.links.length, 3);
  http.close();
});

Deno.test("D202: refused, lost in head and body, closed without an answer", async () => {
  const http = createHttpClient();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  assert.match((await failure(http.get(at(port), "/", OPTIONS))).message, /connection refused/);
  for (
    const [text, said] of [
      ["", /closed the connection without an answer/],
      ["HTTP/1.1 200 OK\r\nContent-Le", /in the middle of the answer's head/],
      ["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", /after 3 of 10 bytes/],
      ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", /after 3 bytes/],
    ] as const
  ) {
    await using server = startUpstream(answering(text, "close"));
    const error = await failure(http.get(at(server.port), "/", OPTIONS));
    assert.equal(error.code, "D202", text);
    assert.match(error.message, said);
  }
  http.close();
});

Deno.test("D202: a server that never answers, and one that stops in the body", async () => {
  const http = createHttpClient();
  for (const text of ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"]) {
    await using server = startUpstream(async (link) => {
      await link.request();
      if (text !== "") await link.write(text);
      await link.peerGone();
    });
    const error = await failure(http.get(at(server.port), "/slow", { ...OPTIONS, timeoutMs: 60 }));
    assert.equal(error.code, "D202");
    assert.match(error.message, /\/slow was not answered within 60 ms/);
  }
  http.close();
});

Deno.test("D201: a name that nobody knows, and a name server that does not answer", async () => {
  const never: Resolver = { resolve: () => new Promise(() => {}) };
  const unknown: Resolver = { resolve: () => Promise.reject(new Error("no address for pilot")) };
  for (const [resolver, said] of [[never, /no answer within 50 ms/], [unknown, /no address/]] as const) {
    const http = createHttpClient({ resolver });
    const error = await failure(
      http.get({ host: "pilot", port: 8080 }, "/", { ...OPTIONS, connectTimeoutMs: 50 }),
    );
    assert.equal(error.code, "D201");
    assert.match(error.message, said);
    http.close();
  }
});

Deno.test("several addresses of a name are tried in turn", async () => {
  await using server = startUpstream(answering("HTTP/1.1 204 No Content\r\n\r\n"));
  const http = createHttpClient({ resolver: { resolve: () => Promise.resolve(["127.0.0.2", "127.0.0.1"]) } });
  assert.equal((await http.get({ host: "pilot", port: server.port }, "/", OPTIONS)).status, 204);
  http.close();
});

Deno.test("D205: gRPC, TLS and other things that are no HTTP/1.1", async () => {
  const http = createHttpClient();
  for (
    const [text, said] of [
      ["\x15\x03\x01\x00\x02\x02\x46", /it speaks TLS/],
      ["\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64", /it speaks HTTP\/2, as gRPC does/],
      // As Go answers on a port of TLS.
      ["HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", /it speaks TLS/],
      ["SSH-2.0-OpenSSH\r\n", /not HTTP\/1\.1/],
      ["HTTP/2.0 200 OK\r\n\r\n", /malformed/],
      ["HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", /malformed/],
      ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", /malformed/],
      [`HTTP/1.1 200 OK\r\nx: ${"y".repeat(70_000)}\r\n\r\n`, /malformed/],
      ["HTTP/1.1 100 Continue\r\n\r\n".repeat(11), /interim answers without end/],
    ] as const
  ) {
    await using server = startUpstream(answering(text, "close"));
    const error = await failure(http.get(at(server.port), "/", OPTIONS));
    assert.equal(error.code, "D205", text.slice(0, 40));
    assert.match(error.message, said);
  }
  http.close();
});

Deno.test("D205: a real HTTP/2 server", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const http = createHttpClient();
  const error = await failure(http.get(at(port), "/v1/registration", OPTIONS));
  assert.equal(error.code, "D205");
  assert.match(error.message, /it speaks HTTP\/2/);
  http.close();
  await new Promise((resolve) => server.close(resolve));
});

Deno.test("D221: a body above the limit is not taken in, however it is framed", async () => {
  const http = createHttpClient();
  for (
    const rest of [
      "Content-Length: 11\r\n\r\n01234567890",
      "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
      "\r\n01234567890",
    ]
  ) {
    await using server = startUpstream(answering(`HTTP/1.1 200 OK\r\n${rest}`, "close"));
    const error = await failure(http.get(at(server.port), "/", { ...OPTIONS, maxBytes: 10 }));
    assert.equal(error.code, "D221", rest);
  }
  http.close();
});

Deno.test("no *_proxy variable leads a GET away", async () => {
  await using server = startUpstream(answering("HTTP/1.1 204 No Content\r\n\r\n"));
  const names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
  const before = names.map((name) => Deno.env.get(name));
  for (const name of names) Deno.env.set(name, "http://127.0.0.1:1");
  try {
    const http = createHttpClient();
    assert.equal((await http.get(at(server.port), "/", OPTIONS)).status, 204);
    http.close();
  } finally {
    names.forEach((name, i) => {
      const value = before[i];
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    });
  }
});

Deno.test("close ends what is under way", async () => {
  await using server = startUpstream(async (link) => {
    await link.request();
    await link.peerGone();
  });
  const http = createHttpClient();
  const asking = failure(http.get(at(server.port), "/", OPTIONS));
  await server.nth(0);
  http.close();
  assert.equal((await asking).code, "D202");
  assert.equal((await failure(http.get(at(server.port), "/", OPTIONS))).code, "D202");
});
