/** RFC 9113 section by section: raw frames to a server and to a client that have exchanged SETTINGS, and the frames that come back. */
import assert from "node:assert/strict";
import { block, concat, frame, GET, inWords, number, POST, ready, Side } from "./connection_fixture_test.ts";
import * as f from "./frames.ts";

const END = f.END_STREAM;
const END_BOTH = f.END_STREAM | f.END_HEADERS;
const OPEN = f.END_HEADERS;
const get = (id: number) => frame(f.HEADERS, END_BOTH, id, [...block(...GET)]);
const post = (id: number, ...more: string[]) => frame(f.HEADERS, OPEN, id, [...block(...POST, ...more)]);
const fields = (...lines: string[]) => frame(f.HEADERS, END_BOTH, 1, [...block(...lines)]);
const connectionError = (code: string, last = 0) => [`GOAWAY ${last} ${code}`];
const streamError = (code: string, id = 1) => [`RST_STREAM ${id} ${code}`];

type Row = [rfc: string, what: string, sent: Uint8Array[], answer: string[]];

/** What a server that answers nothing of itself says to a client. */
const SERVER: Row[] = [
  ["4.1", "unknown types are ignored", [frame(0xbe, 255, 0, "abc"), frame(0xbe, 0, 7)], []],
  ["4.1", "unknown flags are ignored", [frame(f.PING, 0xfe, 0, [..."12345678"].map(Number))], ["PING ack"]],
  ["4.1", "the reserved bit is ignored", [frame(f.PING, 0, 0x80000000, number(0).concat(number(0)))], [
    "PING ack",
  ]],
  ["4.2", "DATA above the frame size", [post(1), frame(f.DATA, 0, 1, "x".repeat(16385))], [
    ...connectionError("FRAME_SIZE_ERROR", 1),
  ]],
  ["4.2", "DATA of the frame size is fine", [post(1), frame(f.DATA, 0, 1, "x".repeat(16384))], []],
  ["4.3", "a broken header block", [frame(f.HEADERS, END_BOTH, 1, [0x80])], [
    ...connectionError("COMPRESSION_ERROR", 1),
  ]],
  ["4.3", "another frame within a header block", [
    frame(f.HEADERS, END, 1, [...block(...GET)]),
    frame(f.PING, 0, 0, "12345678"),
  ], connectionError("PROTOCOL_ERROR")],
  ["4.3", "another stream within a header block", [
    frame(f.HEADERS, END, 1, [...block(...GET)]),
    frame(f.CONTINUATION, OPEN, 3),
  ], connectionError("PROTOCOL_ERROR")],
  ["5.1", "DATA on an idle stream", [frame(f.DATA, END, 1, "x")], connectionError("PROTOCOL_ERROR")],
  ["5.1", "RST_STREAM on an idle stream", [frame(f.RST_STREAM, 0, 1, number(8))], [
    ...connectionError("PROTOCOL_ERROR"),
  ]],
  ["5.1", "WINDOW_UPDATE on an idle stream", [frame(f.WINDOW_UPDATE, 0, 1, number(8))], [
    ...connectionError("PROTOCOL_ERROR"),
  ]],
  ["5.1", "PRIORITY on an idle stream", [frame(f.PRIORITY, 0, 9, [0, 0, 0, 0, 1])], []],
  ["5.1", "WINDOW_UPDATE on a half-closed stream", [get(1), frame(f.WINDOW_UPDATE, 0, 1, number(8))], []],
  ["5.1", "DATA after END_STREAM", [get(1), frame(f.DATA, END, 1, "x")], streamError("STREAM_CLOSED")],
  ["5.1", "HEADERS after END_STREAM", [get(1), get(1)], connectionError("STREAM_CLOSED", 1)],
  [
    "5.1",
    "DATA after RST_STREAM",
    [post(1), frame(f.RST_STREAM, 0, 1, number(8)), frame(f.DATA, END, 1, "x")],
    streamError("STREAM_CLOSED"),
  ],
  [
    "5.1",
    "HEADERS after RST_STREAM",
    [post(1), frame(f.RST_STREAM, 0, 1, number(8)), get(1)],
    connectionError("STREAM_CLOSED", 1),
  ],
  [
    "5.1",
    "late frames of a stream that we reset",
    [
      fields(...GET, "connection: close"),
      frame(f.DATA, 0, 1, "x"),
      frame(f.WINDOW_UPDATE, 0, 1, number(1)),
      get(1),
    ],
    streamError("PROTOCOL_ERROR"),
  ],
  ["5.1.1", "a stream with an even number", [get(2)], connectionError("PROTOCOL_ERROR")],
  ["5.1.1", "a stream below an earlier one", [get(5), get(3)], connectionError("PROTOCOL_ERROR", 5)],
  ["5.1.2", "a stream too many", [post(1), post(3), post(5)], streamError("REFUSED_STREAM", 5)],
  ["6.1", "DATA on stream 0", [frame(f.DATA, 0, 0, "x")], connectionError("PROTOCOL_ERROR")],
  ["6.1", "padding longer than DATA", [post(1), frame(f.DATA, f.PADDED, 1, [5, 1, 2])], [
    ...connectionError("PROTOCOL_ERROR", 1),
  ]],
  ["6.1", "padded DATA without pad length", [post(1), frame(f.DATA, f.PADDED, 1)], [
    ...connectionError("FRAME_SIZE_ERROR", 1),
  ]],
  ["6.1", "padding that fills DATA", [post(1), frame(f.DATA, f.PADDED | END, 1, [2, 0, 0])], []],
  ["6.2", "HEADERS on stream 0", [get(0)], connectionError("PROTOCOL_ERROR")],
  [
    "6.2",
    "padding longer than HEADERS",
    [frame(f.HEADERS, END_BOTH | f.PADDED, 1, [200, ...block(...GET)])],
    [
      ...connectionError("PROTOCOL_ERROR"),
    ],
  ],
  ["6.2", "HEADERS with priority and padding", [
    frame(f.HEADERS, END_BOTH | f.PADDED | f.PRIORITY_FLAG, 1, [
      ...[2, 0, 0, 0, 0, 1],
      ...block(...GET),
      ...[0, 0],
    ]),
  ], []],
  ["6.2", "HEADERS that depend on themselves", [
    frame(f.HEADERS, END_BOTH | f.PRIORITY_FLAG, 1, [...number(1), 1, ...block(...GET)]),
  ], streamError("PROTOCOL_ERROR")],
  [
    "6.3",
    "PRIORITY on stream 0",
    [frame(f.PRIORITY, 0, 0, [0, 0, 0, 0, 1])],
    connectionError("PROTOCOL_ERROR"),
  ],
  ["6.3", "PRIORITY of another length", [post(1), frame(f.PRIORITY, 0, 1, [0, 0, 0, 0])], [
    ...streamError("FRAME_SIZE_ERROR"),
  ]],
  [
    "6.4",
    "RST_STREAM on stream 0",
    [frame(f.RST_STREAM, 0, 0, number(8))],
    connectionError("PROTOCOL_ERROR"),
  ],
  ["6.4", "RST_STREAM of another length", [post(1), frame(f.RST_STREAM, 0, 1, [0, 0, 8])], [
    ...connectionError("FRAME_SIZE_ERROR", 1),
  ]],
  ["6.4", "RST_STREAM with an unknown code", [post(1), frame(f.RST_STREAM, 0, 1, number(0xff))], []],
  ["6.5", "SETTINGS on a stream", [frame(f.SETTINGS, 0, 1)], connectionError("PROTOCOL_ERROR")],
  ["6.5", "SETTINGS of another length", [frame(f.SETTINGS, 0, 0, [0, 3, 0, 0, 0])], [
    ...connectionError("FRAME_SIZE_ERROR"),
  ]],
  ["6.5", "an acknowledgement with settings", [frame(f.SETTINGS, f.ACK, 0, [0, 3, 0, 0, 0, 1])], [
    ...connectionError("FRAME_SIZE_ERROR"),
  ]],
  ["6.5", "an acknowledgement too many", [frame(f.SETTINGS, f.ACK, 0)], connectionError("PROTOCOL_ERROR")],
  ["6.5.2", "ENABLE_PUSH of 2", [frame(f.SETTINGS, 0, 0, [0, 2, ...number(2)])], [
    ...connectionError("PROTOCOL_ERROR"),
  ]],
  ["6.5.2", "INITIAL_WINDOW_SIZE of 2^31", [frame(f.SETTINGS, 0, 0, [0, 4, ...number(0x80000000)])], [
    ...connectionError("FLOW_CONTROL_ERROR"),
  ]],
  ["6.5.2", "MAX_FRAME_SIZE below 2^14", [frame(f.SETTINGS, 0, 0, [0, 5, ...number(16383)])], [
    ...connectionError("PROTOCOL_ERROR"),
  ]],
  ["6.5.2", "MAX_FRAME_SIZE of 2^24", [frame(f.SETTINGS, 0, 0, [0, 5, ...number(1 << 24)])], [
    ...connectionError("PROTOCOL_ERROR"),
  ]],
  ["6.5.2", "an unknown setting", [frame(f.SETTINGS, 0, 0, [0, 99, ...number(7)])], ["SETTINGS ack"]],
  ["6.5.3", "SETTINGS are acknowledged", [frame(f.SETTINGS, 0, 0), frame(f.SETTINGS, 0, 0)], [
    "SETTINGS ack",
    "SETTINGS ack",
  ]],
  ["6.6", "PUSH_PROMISE from a client", [post(1), frame(f.PUSH_PROMISE, OPEN, 1, [...number(2), 0x82])], [
    ...connectionError("PROTOCOL_ERROR", 1),
  ]],
  ["6.7", "PING on a stream", [frame(f.PING, 0, 1, "12345678")], connectionError("PROTOCOL_ERROR")],
  ["6.7", "PING of another length", [frame(f.PING, 0, 0, "1234567")], connectionError("FRAME_SIZE_ERROR")],
  ["6.7", "PING is answered", [frame(f.PING, 0, 0, "12345678")], ["PING ack"]],
  ["6.7", "an acknowledged PING is not", [frame(f.PING, f.ACK, 0, "12345678")], []],
  ["6.8", "GOAWAY on a stream", [frame(f.GOAWAY, 0, 1, [...number(0), ...number(0)])], [
    ...connectionError("PROTOCOL_ERROR"),
  ]],
  [
    "6.8",
    "GOAWAY that is too short",
    [frame(f.GOAWAY, 0, 0, number(0))],
    connectionError("FRAME_SIZE_ERROR"),
  ],
  ["6.9", "WINDOW_UPDATE of another length", [frame(f.WINDOW_UPDATE, 0, 0, [0, 0, 1])], [
    ...connectionError("FRAME_SIZE_ERROR"),
  ]],
  ["6.9", "WINDOW_UPDATE of 0 on the connection", [frame(f.WINDOW_UPDATE, 0, 0, number(0))], [
    ...connectionError("PROTOCOL_ERROR"),
  ]],
  ["6.9", "WINDOW_UPDATE of 0 on a stream", [post(1), frame(f.WINDOW_UPDATE, 0, 1, number(0))], [
    ...streamError("PROTOCOL_ERROR"),
  ]],
  ["6.9.1", "a window of the connection above 2^31-1", [frame(f.WINDOW_UPDATE, 0, 0, number(0x7fffffff))], [
    ...connectionError("FLOW_CONTROL_ERROR"),
  ]],
  [
    "6.9.1",
    "a window of a stream above 2^31-1",
    [post(1), frame(f.WINDOW_UPDATE, 0, 1, number(0x7fffffff))],
    [
      ...streamError("FLOW_CONTROL_ERROR"),
    ],
  ],
  ["6.9.2", "settings that make it so", [
    post(1),
    frame(f.WINDOW_UPDATE, 0, 1, number(0x7fffffff - 65535)),
    frame(f.SETTINGS, 0, 0, [0, 4, ...number(65536)]),
  ], ["SETTINGS ack", ...connectionError("FLOW_CONTROL_ERROR", 1)]],
  [
    "6.10",
    "CONTINUATION without HEADERS",
    [frame(f.CONTINUATION, OPEN, 1)],
    connectionError("PROTOCOL_ERROR"),
  ],
  ["6.10", "CONTINUATION after the end of a block", [get(1), frame(f.CONTINUATION, OPEN, 1)], [
    ...connectionError("PROTOCOL_ERROR", 1),
  ]],
  ["6.10", "a head in pieces", [
    frame(f.HEADERS, END, 1, [...block(...GET)].slice(0, 2)),
    frame(f.CONTINUATION, 0, 1, [...block(...GET)].slice(2, 3)),
    frame(f.CONTINUATION, OPEN, 1, [...block(...GET)].slice(3)),
  ], []],
  ["8.1", "a second head without END_STREAM", [post(1), post(1)], streamError("PROTOCOL_ERROR")],
  ["8.1", "a pseudo-header field in trailers", [post(1), fields(":path: /", "a: b")], [
    ...streamError("PROTOCOL_ERROR"),
  ]],
  ["8.1", "trailers", [post(1), fields("grpc-status: 0")], []],
  ["8.1.1", "DATA shorter than content-length", [post(1, "content-length: 2"), frame(f.DATA, END, 1, "x")], [
    ...streamError("PROTOCOL_ERROR"),
  ]],
  ["8.1.1", "DATA longer than content-length", [post(1, "content-length: 2"), frame(f.DATA, 0, 1, "xxx")], [
    ...streamError("PROTOCOL_ERROR"),
  ]],
  ["8.1.1", "trailers before all of content-length", [
    post(1, "content-length: 2"),
    frame(f.DATA, 0, 1, "x"),
    fields("a: b"),
  ], streamError("PROTOCOL_ERROR")],
  ["8.1.1", "no DATA but a content-length", [fields(...POST, "content-length: 2")], [
    ...streamError("PROTOCOL_ERROR"),
  ]],
  ["8.1.1", "DATA of content-length in pieces", [
    post(1, "content-length: 2"),
    frame(f.DATA, 0, 1, "x"),
    frame(f.DATA, 0, 1, "y"),
    frame(f.DATA, END, 1),
  ], []],
];

/** Each is a request that is reset with PROTOCOL_ERROR, or null for a good one. */
const EXTENDED = [":method: CONNECT", ":protocol: websocket", ":scheme: http", ":path: /", ":authority: a"];
const HEADS: [rfc: string, what: string, lines: string[], bad: boolean][] = [
  ["8.2.1", "an upper-case name", [...GET, "X-A: b"], true],
  ["8.2.1", "an empty name", [...GET, ": b"], true],
  ["8.2.1", "a space in a name", [...GET, "x a: b"], true],
  ["8.2.1", "a colon in a name", [...GET, "x:a: b"], true],
  ["8.2.1", "a byte above ASCII in a name", [...GET, "x\xe9: b"], true],
  ["8.2.1", "NUL in a value", [...GET, "a: b\0c"], true],
  ["8.2.1", "CR in a value", [...GET, "a: b\rc"], true],
  ["8.2.1", "LF in a value", [...GET, "a: b\nc"], true],
  ["8.2.1", "a space before a value", [...GET, "a:  b"], true],
  ["8.2.1", "a tab behind a value", [...GET, "a: b\t"], true],
  ["8.2.1", "a byte above ASCII in a value", [...GET, "a: \xe9"], false],
  ["8.2.1", "an empty value", [...GET, "a: "], false],
  ["8.2.2", "Connection", [...GET, "connection: keep-alive"], true],
  ["8.2.2", "Keep-Alive", [...GET, "keep-alive: timeout=5"], true],
  ["8.2.2", "Proxy-Connection", [...GET, "proxy-connection: close"], true],
  ["8.2.2", "Transfer-Encoding", [...GET, "transfer-encoding: chunked"], true],
  ["8.2.2", "Upgrade", [...GET, "upgrade: websocket"], true],
  ["8.2.2", "TE other than trailers", [...GET, "te: trailers, deflate"], true],
  ["8.2.2", "TE: trailers", [...GET, "te: trailers"], false],
  ["8.3", "an unknown pseudo-header field", [...GET, ":test: x"], true],
  ["8.3", "a pseudo-header field of answers", [...GET, ":status: 200"], true],
  ["8.3", "a pseudo-header field behind a field", [...GET.slice(0, 3), "a: b", ":authority: a"], true],
  ["8.3", ":method twice", [...GET, ":method: GET"], true],
  ["8.3", ":path twice", [...GET, ":path: /b"], true],
  ["8.3", ":scheme twice", [...GET, ":scheme: http"], true],
  ["8.3", ":authority twice", [...GET, ":authority: a"], true],
  ["8.3.1", "no :method", GET.slice(1), true],
  ["8.3.1", "no :scheme", [GET[0]!, ...GET.slice(2)], true],
  ["8.3.1", "no :path", [...GET.slice(0, 2), GET[3]!], true],
  ["8.3.1", "nothing at all", ["a: b"], true],
  ["8.3.1", "an empty :path", [":method: GET", ":scheme: http", ":path: ", ":authority: a"], true],
  ["8.3.1", "an empty :method", [":method: ", ":scheme: http", ":path: /", ":authority: a"], true],
  ["8.3.1", "a space in :method", [":method: G T", ":scheme: http", ":path: /", ":authority: a"], true],
  ["8.3.1", "a space in :path", [":method: GET", ":scheme: http", ":path: /a b", ":authority: a"], true],
  ["8.3.1", "a fragment in :path", [":method: GET", ":scheme: http", ":path: /a#b", ":authority: a"], true],
  ["8.3.1", "a :path without slash", [":method: GET", ":scheme: http", ":path: a", ":authority: a"], true],
  ["8.3.1", "a URL as :path", [":method: GET", ":scheme: http", ":path: http://a/", ":authority: a"], true],
  ["8.3.1", "OPTIONS *", [":method: OPTIONS", ":scheme: http", ":path: *", ":authority: a"], false],
  ["8.3.1", "GET *", [":method: GET", ":scheme: http", ":path: *", ":authority: a"], true],
  ["8.3.1", "a :scheme that is none", [":method: GET", ":scheme: 1", ":path: /", ":authority: a"], true],
  ["8.3.1", "user information", [":method: GET", ":scheme: http", ":path: /", ":authority: u@a"], true],
  ["8.3.1", "an empty :authority", [":method: GET", ":scheme: http", ":path: /", ":authority: "], true],
  ["8.3.1", "Host like :authority", [...GET, "host: A"], false],
  ["8.3.1", "Host other than :authority", [...GET, "host: b"], true],
  ["8.3.1", "Host without :authority", [...GET.slice(0, 3), "host: b"], false],
  ["8.5", "CONNECT", [":method: CONNECT", ":authority: a:1"], false],
  ["8.5", "CONNECT with a path", [":method: CONNECT", ":path: /", ":authority: a:1"], true],
  ["8.5", "CONNECT without authority", [":method: CONNECT"], true],
  ["8441 4", "extended CONNECT", EXTENDED, false],
  ["8441 4", "extended CONNECT without :path", EXTENDED.filter((line) => !line.startsWith(":path")), true],
  ["8441 4", "extended CONNECT without :scheme", EXTENDED.filter((line) => !line.startsWith(":sch")), true],
  ["8441 4", "extended CONNECT without :authority", EXTENDED.slice(0, -1), true],
  ["8441 4", "extended CONNECT with a body's length", [...EXTENDED, "content-length: 0"], true],
  ["8441 4", ":protocol of no token", EXTENDED.map((line) => line.replace("web", "web ")), true],
  ["8441 4", ":protocol twice", [...EXTENDED, EXTENDED[1]!], true],
  ["8441 4", ":protocol beside GET", [...GET, ":protocol: websocket"], true],
  ["8.1.1", "a content-length that is no number", [...GET, "content-length: +0"], true],
  ["8.1.1", "two of them", [...GET, "content-length: 0", "content-length: 0"], true],
  ["8.1.1", "content-length 0", [...GET, "content-length: 0"], false],
];

for (const [rfc, what, lines, bad] of HEADS) {
  SERVER.push([
    rfc,
    `${what} is ${bad ? "malformed" : "fine"}`,
    [fields(...lines)],
    bad ? streamError("PROTOCOL_ERROR") : [],
  ]);
}

for (const [rfc, what, sent, answer] of SERVER) {
  Deno.test(`RFC 9113 ${rfc}, server: ${what}`, () => {
    // Whole, and byte by byte.
    for (const piece of [Infinity, 1]) {
      const side = ready("server", { limits: { maxConcurrentStreams: 2 } });
      const input = concat(...sent);
      for (let at = 0; at < input.length; at += piece) side.receive(input.slice(at, at + piece));
      assert.deepEqual(inWords(side.output()), answer);
      assert.equal(side.connection.failed, answer.some((words) => words.startsWith("GOAWAY")));
    }
  });
}

const answer = (...lines: string[]) => frame(f.HEADERS, OPEN, 1, [...block(...lines)]);
const lastAnswer = (...lines: string[]) => frame(f.HEADERS, END_BOTH, 1, [...block(...lines)]);
const OK = ":status: 200";

/** What a client says that has one POST open, number 1. */
const CLIENT: Row[] = [
  ["5.1", "an answer", [answer(OK), frame(f.DATA, END, 1, "x")], []],
  ["5.1", "HEADERS on an idle stream", [frame(f.HEADERS, END_BOTH, 3, [...block(OK)])], [
    ...connectionError("PROTOCOL_ERROR"),
  ]],
  ["5.1.1", "HEADERS on a stream of the server's", [frame(f.HEADERS, END_BOTH, 2, [...block(OK)])], [
    ...connectionError("PROTOCOL_ERROR"),
  ]],
  [
    "6.5.2",
    "ENABLE_PUSH of 1",
    [frame(f.SETTINGS, 0, 0, [0, 2, ...number(1)])],
    connectionError("PROTOCOL_ERROR"),
  ],
  ["8.1", "DATA before the head", [frame(f.DATA, END, 1, "x")], streamError("PROTOCOL_ERROR")],
  ["8.1", "DATA after an interim head", [answer(":status: 103"), frame(f.DATA, END, 1, "x")], [
    ...streamError("PROTOCOL_ERROR"),
  ]],
  ["8.1", "interim heads before the final one", [
    answer(":status: 100"),
    answer(":status: 103", "link: a"),
    answer(OK),
  ], []],
  [
    "8.1",
    "an interim head that ends the stream",
    [lastAnswer(":status: 103")],
    streamError("PROTOCOL_ERROR"),
  ],
  ["8.6", "101", [answer(":status: 101")], streamError("PROTOCOL_ERROR")],
  ["8.1", "trailers", [answer(OK), lastAnswer("grpc-status: 0")], []],
  ["8.1", "trailers only", [lastAnswer(OK, "grpc-status: 5")], []],
  ["8.1", "trailers that do not end the stream", [answer(OK), answer("a: b")], streamError("PROTOCOL_ERROR")],
  ["8.3.2", "no :status", [answer("a: b")], streamError("PROTOCOL_ERROR")],
  ["8.3.2", "a :status of two digits", [answer(":status: 20")], streamError("PROTOCOL_ERROR")],
  ["8.3.2", "a :status of letters", [answer(":status: 2oo")], streamError("PROTOCOL_ERROR")],
  ["8.3", "a pseudo-header field of requests", [answer(OK, ":path: /")], streamError("PROTOCOL_ERROR")],
  ["8.2.2", "Connection", [answer(OK, "connection: close")], streamError("PROTOCOL_ERROR")],
  [
    "8.1.1",
    "DATA shorter than content-length",
    [answer(OK, "content-length: 2"), frame(f.DATA, END, 1, "x")],
    [
      ...streamError("PROTOCOL_ERROR"),
    ],
  ],
  [
    "8.1.1",
    "DATA after 204",
    [answer(":status: 204"), frame(f.DATA, END, 1, "x")],
    streamError("PROTOCOL_ERROR"),
  ],
  [
    "8.4",
    "a push",
    [frame(f.PUSH_PROMISE, OPEN, 1, [...number(2), 0x82])],
    connectionError("PROTOCOL_ERROR"),
  ],
];

for (const [rfc, what, sent, expected] of CLIENT) {
  Deno.test(`RFC 9113 ${rfc}, client: ${what}`, () => {
    for (const piece of [Infinity, 1]) {
      const side = ready("client");
      side.connection.request(new TextEncoder().encode("POST / HTTP/1.1\r\nhost: a\r\n\r\n"), false);
      side.output();
      const input = concat(...sent);
      for (let at = 0; at < input.length; at += piece) side.receive(input.slice(at, at + piece));
      assert.deepEqual(inWords(side.output()), expected);
    }
  });
}

Deno.test("RFC 9113 3.4: a server says SETTINGS before anything else, and opens its window", () => {
  const words = inWords(new Side("server").output());
  assert.deepEqual(words, ["SETTINGS", `WINDOW_UPDATE 0 ${1024 * 1024 - 65535}`]);
});

Deno.test("RFC 9113 3.4: a client begins with the preface", () => {
  const output = new Side("client").output();
  assert.deepEqual(output.slice(0, 24), f.PREFACE);
  assert.equal(inWords(output.slice(24))[0], "SETTINGS");
});

for (
  const [what, side, input, code] of [
    ["another preface", "server", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PROTOCOL_ERROR"],
    ["a frame before SETTINGS", "server", f.PREFACE, "PROTOCOL_ERROR"],
    ["an HTTP/1.1 answer", "client", "HTTP/1.1 400 Bad Request\r\n\r\n", "PROTOCOL_ERROR"],
  ] as const
) {
  Deno.test(`RFC 9113 3.4, ${side}: ${what}`, () => {
    const it = new Side(side);
    it.output();
    if (typeof input === "string") it.receive(new TextEncoder().encode(input));
    else it.receive(concat(input, get(1)));
    assert.deepEqual(inWords(it.output()), connectionError(code));
    assert.equal(it.handler.said().at(-1)!.startsWith("failed"), true);
  });
}

Deno.test("RFC 9113 8.1.1, client: HEAD and 304 have a content-length and no DATA", () => {
  for (const [method, status] of [["HEAD", 200], ["GET", 304]] as const) {
    const side = ready("client");
    side.connection.request(new TextEncoder().encode(`${method} / HTTP/1.1\r\nhost: a\r\n\r\n`), true);
    side.output();
    side.receive(lastAnswer(`:status: ${status}`, "content-length: 7"));
    assert.deepEqual(inWords(side.output()), []);
    assert.equal(side.handler.said().length, 1);
  }
});

Deno.test("RFC 9113 8.2.3: crumbs of Cookie become one line, other lines stay in order", () => {
  const side = ready("server");
  let host = "";
  side.handler.onHeaders = (_, head) => {
    host = head.valueAt(head.userAgentIndex);
  };
  side.receive(
    fields(
      ...GET,
      "cookie: a=1",
      "cookie: b=2",
      "user-agent: t",
      `l: ${"m".repeat(50)}`,
      "cookie: c=3",
      "x: y",
    ),
  );
  assert.equal(host, "t");
  const l = `l: ${"m".repeat(50)}`;
  const text = `GET / HTTP/1.1\r\nhost: a\r\ncookie: a=1; b=2; c=3\r\nuser-agent: t\r\n${l}\r\nx: y\r\n\r\n`;
  assert.deepEqual(side.handler.said(), [`headers 1 ${JSON.stringify(text)} end`]);
});

Deno.test("a head that is too large may be answered, and the connection goes on", () => {
  const side = ready("server", { limits: { maxHeaderListSize: 1000 } });
  side.handler.onRefused = (stream) => {
    side.connection.respond(stream, new TextEncoder().encode("HTTP/1.1 431 Too Large\r\n\r\n"), true);
  };
  side.receive(fields(...GET, `a: ${"x".repeat(1100)}`));
  assert.deepEqual(inWords(side.output()).map((w) => w.replace(/1 \d+ end/, "1 end")), ["HEADERS 1 end"]);
  side.receive(frame(f.HEADERS, OPEN, 3, [...block(...POST, `a: ${"x".repeat(1100)}`)]));
  // The client has not ended: after the answer it is told to stop.
  assert.equal(inWords(side.output()).at(-1), "RST_STREAM 3 NO_ERROR");
  side.receive(get(5));
  assert.match(side.handler.said().at(-1)!, /^headers 5/);
});

Deno.test("too many fields are refused like a head that is too large", () => {
  const side = ready("server", { limits: { maxHeaderCount: 10 } });
  side.receive(fields(...GET, ...Array.from({ length: 10 }, (_, i) => `x-${i}: a`)));
  assert.deepEqual(inWords(side.output()), streamError("ENHANCE_YOUR_CALM"));
});
