/** RFC 9110 and 9112, requests: what may reach the upstream, and in which form. */
import { request, type Row } from "./row.ts";

const OK = [{ status: 200, body: "ok" }] as const;
const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `X-Field-${i}: ${i}`);

export const REQUEST_ROWS: readonly Row[] = [
  // ------------------------------------------------------------------ message parsing
  {
    section: "RFC 9112 2.2",
    name: "an empty line before the request line is ignored",
    send: "\r\n" + request("GET", "/a"),
    answers: OK,
    forwarded: [{ line: "GET /a HTTP/1.1" }],
  },
  {
    section: "RFC 9112 2.2",
    name: "white space before the first header line is refused",
    send: "GET /a HTTP/1.1\r\n Host: {host}\r\n\r\n",
    answers: [{ status: 400 }],
    closes: true,
    forwarded: "nothing",
  },
  {
    section: "RFC 9112 2.3",
    name: "HTTP/1.0 with Host is served and the connection closed",
    send: "GET /a HTTP/1.0\r\nHost: {host}\r\n\r\n",
    answers: OK,
    closes: true,
    forwarded: [{ line: "GET /a HTTP/1.1", has: ["Host: {host}"] }],
  },
  {
    section: "RFC 9112 2.3",
    name: "a higher minor version is not taken for 1.1 silently",
    send: "GET /a HTTP/1.9\r\nHost: {host}\r\n\r\n",
    answers: [{ status: [200, 400, 505] }],
    limit: "early-answers",
  },
  {
    section: "RFC 9112 2.3",
    name: "HTTP/2.0 in a 1.1 request line is 505",
    send: "GET /a HTTP/2.0\r\nHost: {host}\r\n\r\n",
    answers: [{ status: 505 }],
    closes: true,
    forwarded: "nothing",
    limit: "early-answers",
  },
  {
    section: "RFC 9112 2.3",
    name: "a version in lower case is refused",
    send: "GET /a http/1.1\r\nHost: {host}\r\n\r\n",
    answers: [{ status: 400 }],
    closes: true,
    forwarded: "nothing",
  },
  // ------------------------------------------------------------------ request line
  ...[
    ["two spaces after the method", "GET  /a HTTP/1.1"],
    ["two spaces before the version", "GET /a  HTTP/1.1"],
    ["tabs between the parts", "GET\t/a\tHTTP/1.1"],
    ["a trailing space", "GET /a HTTP/1.1 "],
    ["no version", "GET /a"],
    ["no target", "GET HTTP/1.1"],
    ["a space inside the target", "GET /a b HTTP/1.1"],
    ["a method that is no token", "GE(T /a HTTP/1.1"],
  ].map(([name, line]): Row => ({
    section: "RFC 9112 3",
    name: `${name} is refused`,
    send: `${line}\r\nHost: {host}\r\n\r\n`,
    answers: [{ status: 400 }],
    closes: true,
    forwarded: "nothing",
    limit: "strict-bytes",
  })),
  {
    section: "RFC 9112 3.1",
    name: "an unknown method is forwarded as it is",
    send: request("PURGE", "/a"),
    answers: OK,
    forwarded: [{ line: "PURGE /a HTTP/1.1" }],
  },
  {
    section: "RFC 9110 9.1",
    name: "methods are case-sensitive: get is not GET",
    send: request("get", "/a"),
    answers: OK,
    forwarded: [{ line: "get /a HTTP/1.1" }],
    limit: "target-form",
  },
  // ------------------------------------------------------------------ request target
  {
    section: "RFC 9112 3.2.1",
    name: "origin-form is routed by Host and stays origin-form",
    send: request("GET", "/a/b?c=d&e"),
    answers: OK,
    forwarded: [{ line: "GET /a/b?c=d&e HTTP/1.1", has: ["Host: {host}"] }],
  },
  {
    section: "RFC 9112 3.2.2",
    name: "absolute-form goes on as origin-form",
    send: request("GET", "http://{host}/a/b?c=d"),
    answers: OK,
    forwarded: [{ line: "GET /a/b?c=d HTTP/1.1", has: ["Host: {host}"] }],
  },
  {
    section: "RFC 9112 3.2.2",
    name: "absolute-form beats Host, and Host is rewritten",
    send: "GET http://{host}/a HTTP/1.1\r\nHost: other.example:99\r\n\r\n",
    answers: OK,
    forwarded: [{ line: "GET /a HTTP/1.1", has: ["Host: {host}"] }],
  },
  {
    section: "RFC 9112 3.2.2",
    name: "absolute-form with an empty path becomes /",
    send: request("GET", "http://{host}"),
    answers: OK,
    forwarded: [{ line: "GET / HTTP/1.1" }],
  },
  {
    section: "RFC 9112 3.2.2",
    name: "absolute-form with a query and no path becomes /?query",
    send: request("GET", "http://{host}?q=1"),
    answers: OK,
    forwarded: [{ line: "GET /?q=1 HTTP/1.1" }],
    limit: "target-form",
    onServe: {},
  },
  {
    section: "RFC 9112 3.2.2",
    name: "the scheme is case-insensitive",
    send: request("GET", "HTTP://{host}/a"),
    answers: OK,
    forwarded: [{ line: "GET /a HTTP/1.1" }],
  },
  {
    section: "RFC 9110 4.2.4",
    name: "userinfo in the target is refused",
    send: "GET http://user:secret@{host}/a HTTP/1.1\r\nHost: {host}\r\n\r\n",
    answers: [{ status: 400 }],
    forwarded: "nothing",
  },
  {
    section: "RFC 9110 4.2.2",
    name: "absolute-form https is 501 with a hint",
    send: request("GET", "https://{host}/a"),
    answers: [{ status: 501, body: /CONNECT/ }],
    forwarded: "nothing",
  },
  {
    section: "RFC 9112 3.2.3",
    name: "authority-form belongs to CONNECT only",
    send: "GET {host}:80 HTTP/1.1\r\nHost: {host}\r\n\r\n",
    answers: [{ status: 400 }],
    forwarded: "nothing",
    limit: "target-form",
  },
  {
    section: "RFC 9112 3.2.3",
    name: "CONNECT with a path is refused",
    send: request("CONNECT", "/a"),
    answers: [{ status: 400 }],
    forwarded: "nothing",
    limit: "tunnels",
  },
  {
    section: "RFC 9112 3.2.4",
    name: "OPTIONS * is matched as the path *, and forwarded as * where it may pass",
    send: request("OPTIONS", "*"),
    play: async (client, upstream) => {
      const { status } = await client.response("OPTIONS");
      const seen = upstream.requests[0]?.startLine;
      // As Envoy: a route for the prefix / does not take it.
      if (status === 404 ? seen !== undefined : seen !== "OPTIONS * HTTP/1.1") {
        throw new Error(`Cannot see * at the upstream: ${status} ${seen}`);
      }
    },
    limit: "target-form",
  },
  {
    section: "RFC 9112 3.2.4",
    name: "* belongs to OPTIONS only",
    send: request("GET", "*"),
    answers: [{ status: 400 }],
    forwarded: "nothing",
    limit: "target-form",
  },
  ...([
    ["a byte above 127", "/a\xe9"],
    ["NUL", "/a\0b"],
    ["DEL", "/a\x7f"],
    ["a tab", "/a\tb"],
  ] as const).map(([name, target]): Row => ({
    section: "RFC 9112 3.2",
    name: `${name} in the target is refused`,
    send: request("GET", target),
    answers: [{ status: 400 }],
    closes: true,
    forwarded: "nothing",
    limit: "strict-bytes",
  })),
  {
    section: "RFC 9110 15.5.15",
    name: "a target above the limit is 414",
    send: request("GET", "/" + "a".repeat(33_000)),
    answers: [{ status: 414 }],
    closes: true,
    forwarded: "nothing",
    onServe: { closes: false },
  },
  {
    section: "RFC 9110 15.5.15",
    name: "a target of 30,000 bytes passes",
    send: request("GET", "/" + "a".repeat(30_000)),
    answers: OK,
    forwarded: [{ line: `GET /${"a".repeat(30_000)} HTTP/1.1` }],
  },
  // ------------------------------------------------------------------ Host
  {
    section: "RFC 9112 3.2",
    name: "a 1.1 request without Host is refused",
    send: "GET /a HTTP/1.1\r\n\r\n",
    answers: [{ status: 400 }],
    forwarded: "nothing",
  },
  {
    section: "RFC 9112 3.2",
    name: "a 1.1 request in absolute-form without Host is refused",
    send: "GET http://{host}/a HTTP/1.1\r\n\r\n",
    answers: [{ status: 400 }],
    forwarded: "nothing",
    limit: "version",
  },
  {
    section: "RFC 9112 3.2",
    name: "two Host lines are refused",
    send: "GET /a HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n",
    answers: [{ status: 400 }],
    forwarded: "nothing",
  },
  {
    section: "RFC 9112 3.2",
    name: "two Host lines are refused in absolute-form too",
    send: "GET http://{host}/a HTTP/1.1\r\nHost: {host}\r\nhost: b\r\n\r\n",
    answers: [{ status: 400 }],
    forwarded: "nothing",
  },
  {
    section: "RFC 9112 3.2",
    name: "an empty Host in origin-form is refused",
    send: "GET /a HTTP/1.1\r\nHost:\r\n\r\n",
    answers: [{ status: 400 }],
    forwarded: "nothing",
  },
  ...["a b", "a/b", "u@a", "a:port", "[::1", "a?b", "a#b"].map((host): Row => ({
    section: "RFC 9110 7.2",
    name: `Host: ${host} is refused`,
    send: `GET /a HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    answers: [{ status: 400 }],
    forwarded: "nothing",
    limit: "strict-bytes",
    onServe: {},
  })),
  {
    section: "RFC 9110 4.2.3",
    name: "host names match in any case and with a trailing dot",
    send: "GET http://{HOST}/a HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    answers: OK,
    forwarded: [{ line: "GET /a HTTP/1.1" }],
  },
  {
    section: "RFC 9112 3.2.2",
    name: "HTTP/1.0 in absolute-form needs no Host",
    send: "GET http://{host}/a HTTP/1.0\r\n\r\n",
    answers: OK,
    closes: true,
    forwarded: [{ line: "GET /a HTTP/1.1", has: ["Host: {host}"] }],
    limit: "version",
    onServe: { answers: [{ status: 400 }], forwarded: "nothing" },
  },
  // ------------------------------------------------------------------ field syntax
  ...([
    ["a space before the colon", "X-A : 1"],
    ["a tab before the colon", "X-A\t: 1"],
    ["an empty name", ": 1"],
    ["no colon", "X-A"],
    ["a name that is no token", "X(A: 1"],
    ["a byte above 127 in a name", "X\xe9: 1"],
    ["NUL in a value", "X-A: 1\x002"],
    ["a control character in a value", "X-A: 1\x012"],
    ["DEL in a value", "X-A: 1\x7f2"],
    ["a line folded by a space", "X-A: 1\r\n 2"],
    ["a line folded by a tab", "X-A: 1\r\n\t2"],
  ] as const).map(([name, line]): Row => ({
    section: "RFC 9112 5",
    name: `${name} is refused`,
    send: request("GET", "/a", [line]),
    answers: [{ status: 400 }],
    closes: true,
    forwarded: "nothing",
    limit: "strict-bytes",
    onServe: { closes: false },
  })),
  {
    section: "RFC 9112 5.1",
    name: "white space around a value is not part of it",
    send: request("GET", "/a", ["X-A: \t one two \t "]),
    answers: OK,
    forwarded: [{ has: ["X-A: one two"] }],
    limit: "header-lines",
  },
  {
    section: "RFC 9110 5.1",
    name: "the case of header names is kept",
    send: request("GET", "/a", ["x-LOWER-Upper: 1"]),
    answers: OK,
    forwarded: [{ has: ["x-LOWER-Upper: 1"] }],
    limit: "header-lines",
  },
  {
    section: "RFC 9110 5.3",
    name: "lines of one name keep their order and stay apart",
    send: request("GET", "/a", ["x-a: 1", "x-b: 2", "x-a: 3"]),
    answers: OK,
    forwarded: [{ has: ["x-a: 1", "x-b: 2", "x-a: 3"] }],
    limit: "header-lines",
    onServe: { forwarded: [{ has: ["x-a: 1, 3", "x-b: 2"] }] },
  },
  {
    section: "RFC 9110 5.5",
    name: "bytes above 127 in a value pass unchanged",
    send: request("GET", "/a", ["x-a: caf\xc3\xa9 \xff"]),
    answers: OK,
    forwarded: [{ has: ["x-a: caf\xc3\xa9 \xff"] }],
  },
  {
    section: "RFC 6585 5",
    name: "more header lines than the limit are 431",
    send: request("GET", "/a", many(120)),
    answers: [{ status: 431 }],
    closes: true,
    forwarded: "nothing",
    limit: "limits",
  },
  {
    section: "RFC 6585 5",
    name: "90 header lines pass",
    send: request("GET", "/a", many(90)),
    answers: OK,
  },
  {
    section: "RFC 6585 5",
    name: "a head above the limit is 431",
    send: request("GET", "/a", [`X-A: ${"a".repeat(70_000)}`]),
    answers: [{ status: 431 }],
    closes: true,
    forwarded: "nothing",
    limit: "limits",
  },
  // ------------------------------------------------------------------ bodies
  {
    section: "RFC 9112 6.2",
    name: "a body with Content-Length arrives whole",
    send: request("POST", "/a", ["Content-Length: 5"], "hello"),
    answers: OK,
    forwarded: [{ line: "POST /a HTTP/1.1", body: "hello" }],
  },
  {
    section: "RFC 9112 6.3",
    name: "a request without length or coding has no body",
    send: request("POST", "/a"),
    answers: OK,
    forwarded: [{ line: "POST /a HTTP/1.1", body: "" }],
  },
  {
    section: "RFC 9112 7.1",
    name: "a chunked body arrives whole",
    send: request("POST", "/a", ["Transfer-Encoding: chunked"], "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
    answers: OK,
    forwarded: [{ body: "abcde" }],
  },
  {
    section: "RFC 9112 7",
    name: "the name of the coding is case-insensitive",
    send: request("POST", "/a", ["Transfer-Encoding: CHUNKED"], "3\r\nabc\r\n0\r\n\r\n"),
    answers: OK,
    forwarded: [{ body: "abc" }],
  },
  {
    section: "RFC 9112 7.1.1",
    name: "chunk extensions are taken and not passed on",
    send: request("POST", "/a", ["Transfer-Encoding: chunked"], '3;a=b;c="d;\\"e"\r\nabc\r\n0;last\r\n\r\n'),
    answers: OK,
    forwarded: [{ body: "abc" }],
  },
  {
    section: "RFC 9112 7.1.2",
    name: "trailers of a request are passed on",
    send: request(
      "POST",
      "/a",
      ["Transfer-Encoding: chunked", "Trailer: X-Sum"],
      "1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n",
    ),
    answers: OK,
    forwarded: [{ body: "a", trailers: [["X-Sum", "7"]] }],
    limit: "trailers",
    onServe: { forwarded: [{ body: "a", trailers: [] }] },
  },
  {
    section: "RFC 9112 6.1",
    name: "a coding other than chunked is refused",
    send: request("POST", "/a", ["Transfer-Encoding: gzip, chunked"], "0\r\n\r\n"),
    answers: [{ status: [400, 501] }],
    closes: true,
    forwarded: "nothing",
    limit: "strict-bytes",
  },
  {
    section: "RFC 9112 8",
    name: "a body that ends early is never completed",
    send: request("POST", "/a", ["Content-Length: 10"], "hello"),
    end: true,
    script: async (link) => {
      await link.request();
      await link.peerGone();
    },
    play: async (client, upstream) => {
      const back = await client.toEnd();
      if (/^HTTP\/1.1 2/.test(back)) throw new Error(`Cannot take a success for half a request: ${back}`);
      if (upstream.requests.some((r) => r.complete)) {
        throw new Error(`Cannot accept that half a body was completed: ${upstream.received()}`);
      }
    },
  },
  // ------------------------------------------------------------------ connections
  {
    section: "RFC 9112 9.3",
    name: "a connection serves several requests",
    send: request("GET", "/1") + request("GET", "/2") + request("GET", "/3"),
    answers: [...OK, ...OK, ...OK],
    closes: false,
    forwarded: [{ line: "GET /1 HTTP/1.1" }, { line: "GET /2 HTTP/1.1" }, { line: "GET /3 HTTP/1.1" }],
  },
  {
    section: "RFC 9112 9.3.2",
    name: "pipelined requests with bodies are parted and answered in order",
    send: request("POST", "/1", ["Content-Length: 3"], "abc") +
      request("POST", "/2", ["Transfer-Encoding: chunked"], "2\r\nde\r\n0\r\n\r\n") +
      request("GET", "/3", ["Connection: close"]),
    script: async (link) => {
      for (let r = await link.request(); r !== undefined; r = await link.request()) {
        const text = r.startLine.split(" ")[1] + r.body;
        if (!(await link.write(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`))) return;
      }
    },
    answers: [{ status: 200, body: "/1abc" }, { status: 200, body: "/2de" }, { status: 200, body: "/3" }],
    closes: true,
  },
  {
    section: "RFC 9112 9.6",
    name: "Connection: close of the client closes after the answer and is not passed on",
    send: request("GET", "/a", ["Connection: close"]),
    answers: OK,
    closes: true,
    forwarded: [{ without: ["connection"] }],
  },
  {
    section: "RFC 9112 9.3",
    name: "an HTTP/1.0 client may ask for keep-alive",
    send: "GET /a HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n",
    answers: [{ status: 200, body: "ok" }],
  },
  // ------------------------------------------------------------------ hop by hop
  {
    section: "RFC 9110 7.6.1",
    name: "hop-by-hop headers and those that Connection names end here",
    send: request("GET", "/a", [
      "Connection: X-Hop, close, keep-alive",
      "X-Hop: 1",
      "Keep-Alive: timeout=5",
      "Proxy-Connection: keep-alive",
      "Upgrade: foo",
      "X-End: 1",
    ]),
    answers: OK,
    forwarded: [{ without: ["connection", "x-hop", "keep-alive", "proxy-connection", "upgrade"] }],
  },
  {
    section: "RFC 9110 7.6.1",
    name: "Connection cannot name Host or the framing away",
    send: request("POST", "/a", ["Connection: host, content-length", "Content-Length: 3"], "abc"),
    answers: OK,
    forwarded: [{ has: ["Host: {host}"], body: "abc" }],
  },
  {
    section: "RFC 9110 11.7.2",
    name: "Proxy-Authorization is not passed on",
    send: request("GET", "/a", ["Proxy-Authorization: Basic c2VjcmV0"]),
    answers: OK,
    forwarded: [{ without: ["proxy-authorization"] }],
  },
  {
    section: "RFC 9110 10.1.4",
    name: "TE is not passed on as it came",
    send: request("GET", "/a", ["TE: gzip;q=0.5", "Connection: TE"]),
    answers: OK,
    forwarded: [{ without: ["te"] }],
  },
  // ------------------------------------------------------------------ expectations
  {
    section: "RFC 9110 10.1.1",
    name: "Expect: 100-continue gets its 100 before the body",
    send: request("POST", "/a", ["Content-Length: 5", "Expect: 100-continue"]),
    forwarded: [{ body: "hello" }],
    play: async (client) => {
      const interim = await client.reader.through("\r\n\r\n");
      if (!interim?.startsWith("HTTP/1.1 100")) throw new Error(`Cannot see 100: ${interim}`);
      await client.send("hello");
      const final = await client.response("POST");
      if (final.status !== 200) throw new Error(`Cannot see 200: ${final.startLine}`);
    },
  },
  {
    section: "RFC 9110 10.1.1",
    name: "another expectation is refused",
    send: request("GET", "/a", ["Expect: the-spanish-inquisition"]),
    answers: [{ status: [400, 417] }],
    forwarded: "nothing",
  },
];
