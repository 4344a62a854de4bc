/** RFC 9110 and 9112, responses: what an upstream may send, and what of it the client sees. */
import type { Script } from "../harness/upstream.ts";
import { answer, request, type Row } from "./row.ts";

const GET = request("GET", "/a");

/** Sends the text after each request, then closes. */
function says(text: string): Script {
  return async (link) => {
    if (await link.request() !== undefined) await link.write(text);
  };
}

/** Bodies that the upstream breaks off: what follows depends on whether the head was out. */
const GARBAGE: readonly (readonly [name: string, text: string])[] = [
  ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n"],
  ["a status line without a status", "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n"],
  ["a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"],
  ["a status below 100", "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n"],
  ["HTTP/2.0 in the status line", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
  ["a bare LF in the head", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
  ["a folded line", "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n"],
  ["a space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"],
  ["NUL in a value", "HTTP/1.1 200 OK\r\nX-A: 1\x002\r\nContent-Length: 0\r\n\r\n"],
  ["two different lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk"],
  ["a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"],
  [
    "both length and coding",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
  ],
  ["a coding twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
  ["an endless head", "HTTP/1.1 200 OK\r\n" + `X-A: ${"a".repeat(1000)}\r\n`.repeat(90)],
  ["more header lines than the limit", "HTTP/1.1 200 OK\r\n" + "X-A: 1\r\n".repeat(150) + "\r\n"],
  [
    "101 that nobody asked for",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n",
  ],
];

export const RESPONSE_ROWS: readonly Row[] = [
  // ------------------------------------------------------------------ framing
  {
    section: "RFC 9112 6.3",
    name: "Content-Length",
    send: GET,
    answer: answer("200 OK", ["Content-Length: 5"], "hello"),
    answers: [{ status: 200, body: "hello", headers: { "content-length": "5", "transfer-encoding": null } }],
  },
  {
    section: "RFC 9112 7.1",
    name: "chunked",
    send: GET,
    answer: answer("200 OK", ["Transfer-Encoding: chunked"], "3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n"),
    answers: [{ status: 200, body: "abcd", headers: { "content-length": null } }],
    // The server frames anew: a body that is all there gets its length.
    onServe: { answers: [{ status: 200, body: "abcd" }] },
  },
  {
    section: "RFC 9112 7.1",
    name: "chunked to an HTTP/1.0 client is closed instead",
    send: "GET /a HTTP/1.0\r\nHost: {host}\r\n\r\n",
    answer: answer("200 OK", ["Transfer-Encoding: chunked"], "3\r\nabc\r\n0\r\n\r\n"),
    answers: [{ status: 200, body: "abc", headers: { "transfer-encoding": null } }],
    closes: true,
  },
  {
    section: "RFC 9112 7.1.2",
    name: "trailers of an answer are passed on",
    send: request("GET", "/a", ["TE: trailers", "Connection: TE"]),
    answer: answer("200 OK", ["Transfer-Encoding: chunked"], "1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n"),
    answers: [{ status: 200, body: "a", trailers: [["X-Sum", "7"]] }],
    limit: "trailers",
    onServe: { answers: [{ status: 200, body: "a", trailers: [] }] },
  },
  {
    section: "RFC 9112 6.3",
    name: "an answer that ends with the connection arrives whole, and the client sees the end",
    send: GET,
    answer: answer("200 OK", [], "until the end"),
    answerCloses: true,
    answers: [{ status: 200, body: "until the end" }],
  },
  {
    section: "RFC 9112 6.3",
    name: "an HTTP/1.0 upstream",
    send: GET,
    answer: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    answerCloses: true,
    answers: [{ status: 200, body: "ok" }],
  },
  {
    section: "RFC 9112 6.3",
    name: "HEAD: length without body",
    send: request("HEAD", "/a") + GET,
    script: async (link) => {
      for (let r = await link.request(); r !== undefined; r = await link.request()) {
        const body = r.startLine.startsWith("HEAD") ? "" : "hello";
        if (!(await link.write(answer("200 OK", ["Content-Length: 5"], body)))) return;
      }
    },
    play: async (client) => {
      const head = await client.response("HEAD");
      const get = await client.response("GET");
      if (head.header("content-length") !== "5") throw new Error(`Cannot see the length: ${head.raw}`);
      if (get.body !== "hello") throw new Error(`Cannot see the next answer: ${get.raw}`);
    },
  },
  {
    section: "RFC 9110 15.3.5",
    name: "204 has no body and no length",
    send: GET + GET,
    answer: answer("204 No Content"),
    answers: [
      { status: 204, headers: { "transfer-encoding": null, "content-length": null } },
      { status: 204 },
    ],
  },
  {
    section: "RFC 9110 15.4.5",
    name: "304 may carry the length of what it does not send",
    send: GET + GET,
    answer: answer("304 Not Modified", ["Content-Length: 5000", 'ETag: "x"']),
    answers: [{ status: 304, headers: { etag: '"x"', "transfer-encoding": null } }, { status: 304 }],
  },
  {
    section: "RFC 9112 9.3",
    name: "an upstream may answer before it read the body",
    send: request("POST", "/a", ["Content-Length: 3"], "abc"),
    answer: answer("413 Content Too Large", ["Content-Length: 0"]),
    answers: [{ status: 413 }],
  },
  // ------------------------------------------------------------------ fields
  {
    section: "RFC 9110 5.1",
    name: "the case of header names is kept",
    send: GET,
    answer: answer("200 OK", ["Content-Length: 0", "x-LOWER-Upper: 1"]),
    play: async (client) => {
      const { raw } = await client.response();
      if (!raw.includes("\r\nx-LOWER-Upper: 1\r\n")) throw new Error(`Cannot see the header as sent: ${raw}`);
    },
    limit: "header-lines",
  },
  {
    section: "RFC 6265 3",
    name: "two Set-Cookie lines stay two",
    send: GET,
    answer: answer("200 OK", ["Content-Length: 0", "Set-Cookie: a=1", "Set-Cookie: b=2"]),
    play: async (client) => {
      const { headers } = await client.response();
      const cookies = headers.filter(([name]) => name.toLowerCase() === "set-cookie").map(([, v]) => v);
      if (cookies.join("|") !== "a=1|b=2") throw new Error(`Cannot see two cookies: ${cookies}`);
    },
  },
  {
    section: "RFC 9110 7.6.1",
    name: "hop-by-hop headers of an answer end here",
    send: GET,
    answer: answer("200 OK", [
      "Content-Length: 2",
      "Connection: X-Hop, close",
      "X-Hop: 1",
      "Keep-Alive: timeout=5",
      "Proxy-Connection: close",
      "X-End: 1",
    ], "ok"),
    answerCloses: true,
    answers: [{
      status: 200,
      body: "ok",
      headers: {
        connection: null,
        "x-hop": null,
        "keep-alive": null,
        "proxy-connection": null,
        "x-end": "1",
      },
    }],
  },
  {
    section: "RFC 9110 15",
    name: "an unknown status is passed on",
    send: GET,
    answer: answer("799 Strange Days", ["Content-Length: 2"], "ok"),
    answers: [{ status: 799, body: "ok" }],
    limit: "status-range",
    onServe: { answers: [{ status: 502 }] },
  },
  {
    section: "RFC 9112 4",
    name: "an empty reason is accepted",
    send: GET,
    answer: answer("200 ", ["Content-Length: 2"], "ok"),
    answers: [{ status: 200, body: "ok" }],
  },
  // ------------------------------------------------------------------ interim answers
  {
    section: "RFC 9110 15.2",
    name: "103 is passed on before the answer",
    send: GET,
    answer: answer("103 Early Hints", ["Link: </s.css>"]) + answer("200 OK", ["Content-Length: 2"], "ok"),
    answers: [{ status: 200, body: "ok", interim: [103] }],
    limit: "interim",
    onServe: { answers: [{ status: 200, body: "ok" }] },
  },
  {
    section: "RFC 9110 15.2",
    name: "an HTTP/1.0 client gets no interim answers",
    send: "GET /a HTTP/1.0\r\nHost: {host}\r\n\r\n",
    answer: answer("103 Early Hints", ["Link: </s.css>"]) + answer("200 OK", ["Content-Length: 2"], "ok"),
    answers: [{ status: 200, body: "ok", interim: [] }],
    closes: true,
  },
  {
    section: "RFC 9110 15.2",
    name: "endless interim answers are cut",
    send: GET,
    answer: answer("103 Early Hints").repeat(2000),
    answers: [{ status: 502 }],
  },
  // ------------------------------------------------------------------ persistence
  {
    section: "RFC 9112 9.3",
    name: "bytes after an answer are no answer to the next request",
    send: GET,
    script: async (link) => {
      if (await link.request() === undefined) return;
      await link.write(
        answer("200 OK", ["Content-Length: 2"], "ok") + answer("200 OK", ["Content-Length: 6"], "POISON"),
      );
      for (let r = await link.request(); r !== undefined; r = await link.request()) {
        if (!(await link.write(answer("200 OK", ["Content-Length: 2"], "ok")))) return;
      }
    },
    play: async (client, _upstream, host) => {
      for (let i = 0; i < 4; i++) {
        if (i > 0) await client.send(GET.replaceAll("{host}", host));
        const { status, body } = await client.response();
        if (status !== 200 || body !== "ok") throw new Error(`Cannot trust answer ${i}: ${status} ${body}`);
      }
    },
  },
  {
    section: "RFC 9112 9.3.1",
    name: "an idempotent request on a kept connection that just closed is repeated once",
    send: GET,
    script: async (link, index) => {
      if (await link.request() === undefined) return;
      await link.write(answer("200 OK", ["Content-Length: 1"], String(index)));
      // The second request on this connection finds it closed without an answer.
      if (index === 0) await link.request();
      else {while (await link.request() !== undefined) {
          await link.write(answer("200 OK", ["Content-Length: 1"], "n"));
        }}
    },
    play: async (client, upstream, host) => {
      const first = await client.response();
      await client.send(GET.replaceAll("{host}", host));
      const second = await client.response();
      if (first.body !== "0" || second.status !== 200) throw new Error(`Cannot see 200 twice: ${second.raw}`);
      if (upstream.links.length !== 2) {
        throw new Error(`Cannot see two connections: ${upstream.links.length}`);
      }
    },
  },
  {
    section: "RFC 9110 9.2.2",
    name: "a POST on a kept connection that closed without an answer is not repeated",
    send: GET,
    script: async (link, index) => {
      if (await link.request() === undefined) return;
      await link.write(answer("200 OK", ["Content-Length: 2"], "ok"));
      if (index === 0) await link.request();
    },
    play: async (client, upstream, host) => {
      await client.response();
      await client.send(request("POST", "/once", ["Content-Length: 2"], "go").replaceAll("{host}", host));
      const { status } = await client.response("POST");
      const posts = upstream.requests.filter((r) => r.startLine.startsWith("POST")).length;
      if (status !== 503 || posts !== 1) throw new Error(`Cannot see one POST and 503: ${posts}, ${status}`);
    },
  },
  // ------------------------------------------------------------------ answers before the whole request
  {
    section: "RFC 9112 9.3",
    name: "an answer that comes while the body is on its way reaches the client",
    send: request("POST", "/a", ["Content-Length: 5000000"], "x".repeat(1000)),
    script: async (link) => {
      await link.reader.through("\r\n\r\n");
      await link.write(answer("413 Content Too Large", ["Content-Length: 3", "Connection: close"], "no!"));
      await link.peerGone();
    },
    answers: [{ status: 413, body: "no!" }],
    closes: true,
    onServe: { closes: false },
  },
  {
    section: "RFC 9110 10.1.1",
    name: "a final answer instead of 100 is passed on, and the body not waited for",
    send: request("POST", "/a", ["Content-Length: 5000", "Expect: 100-continue"]),
    script: async (link) => {
      await link.reader.through("\r\n\r\n");
      await link.write(answer("401 Unauthorized", ["Content-Length: 0"]));
      await link.peerGone();
    },
    play: async (client) => {
      // The agent may send its own 100 first; the answer must come without the body.
      const { status } = await client.response("POST");
      if (status !== 401) throw new Error(`Cannot see 401: ${status}`);
    },
  },
  {
    section: "RFC 9112 9.3",
    name: "an upload into an upstream that closes at once is 503, not a hang",
    send: request("POST", "/a", ["Transfer-Encoding: chunked"], `3e8\r\n${"x".repeat(1000)}\r\n`),
    script: async (link) => {
      await link.reader.through("\r\n\r\n");
    },
    answers: [{ status: 503, headers: { "proxy-status": /./ } }],
    flags: "UC",
  },
  // ------------------------------------------------------------------ gRPC
  {
    section: "gRPC over HTTP",
    name: "an answer of the agent's own to gRPC is 200 with grpc-status",
    send: request("POST", "/s/m", ["Content-Type: application/grpc+proto", "Content-Length: 0"]),
    script: says(""),
    answers: [{
      status: 200,
      headers: { "content-type": "application/grpc", "grpc-status": "14", "grpc-message": /./ },
      body: "",
    }],
    flags: "UC",
  },
  // ------------------------------------------------------------------ trouble
  {
    section: "RFC 9110 15.6.4",
    name: "an upstream that closes without an answer is 503 UC",
    send: GET,
    script: says(""),
    answers: [{ status: 503, headers: { "proxy-status": /./ } }],
    flags: "UC",
  },
  {
    section: "RFC 9110 15.6.4",
    name: "an upstream that closes in the middle of the head is 503 UC",
    send: GET,
    script: says("HTTP/1.1 200 OK\r\nContent-Le"),
    answers: [{ status: [502, 503], headers: { "proxy-status": /./ } }],
  },
  {
    section: "RFC 9112 8",
    name: "an upstream that closes in the middle of a counted body cuts the answer",
    send: GET,
    script: says(answer("200 OK", ["Content-Length: 10"], "12345")),
    answers: [{ status: 200, cut: true }],
    closes: true,
  },
  {
    section: "RFC 9112 8",
    name: "an upstream that closes in the middle of a chunk cuts the answer",
    send: GET,
    script: says(answer("200 OK", ["Transfer-Encoding: chunked"], "5\r\nabc")),
    answers: [{ status: 200, cut: true }],
    closes: true,
  },
  {
    section: "RFC 9112 8",
    name: "an upstream that closes before the last chunk cuts the answer",
    send: GET,
    script: says(answer("200 OK", ["Transfer-Encoding: chunked"], "3\r\nabc\r\n")),
    answers: [{ status: 200, cut: true }],
    closes: true,
  },
  ...["zz", "-1", "0x3", "3 3", "FFFFFFFFFFFFFFFFF", ""].map((size): Row => ({
    section: "RFC 9112 7.1",
    name: `a chunk size of ${JSON.stringify(size)} in an answer cuts it`,
    send: GET,
    script: says(answer("200 OK", ["Transfer-Encoding: chunked"], `1\r\na\r\n${size}\r\nabc\r\n0\r\n\r\n`)),
    play: async (client) => {
      // Nothing at all, the beginning, or an error: each shows that the answer is not whole.
      const back = await client.toEnd();
      if (back.startsWith("HTTP/1.1 200") && back.endsWith("0\r\n\r\n")) {
        throw new Error(`Cannot see a cut: ${back}`);
      }
    },
    flags: "UPE",
  })),
  ...GARBAGE.map(([name, text]): Row => ({
    section: "RFC 9110 15.6.3",
    name: `${name} from an upstream is 502 UPE`,
    send: GET,
    script: says(text),
    answers: [{ status: 502, headers: { "proxy-status": /./ } }],
    flags: "UPE",
  })),
];
