import assert from "node:assert/strict";
import fc from "fast-check";
import { findHeadEnd, MessageHead, NOMINATED, parseRequestHead, parseResponseHead } from "./head.ts";
import * as problem from "./problems.ts";

const LIMITS = { maxHeadBytes: 65536, maxTargetBytes: 32768 };
const bytes = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

function request(text: string, limits = LIMITS, maxCount = 100): { result: number; head: MessageHead } {
  const head = new MessageHead(maxCount);
  const b = bytes(text);
  return { result: parseRequestHead(head, b, 0, b.length, limits), head };
}

function response(text: string): { result: number; head: MessageHead } {
  const head = new MessageHead(100);
  const b = bytes(text);
  return { result: parseResponseHead(head, b, 0, b.length, LIMITS), head };
}

const GET = "GET / HTTP/1.1\r\nHost: a\r\n";

const REQUESTS: readonly [rfc: string, what: string, text: string, result: number | "whole"][] = [
  ["RFC 9112 2.2", "an empty line before the request line is skipped", `\r\n${GET}\r\n`, "whole"],
  ["RFC 9112 2.2", "two empty lines are not", `\r\n\r\n${GET}\r\n`, problem.BAD_METHOD],
  ["RFC 9112 2.2", "bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", problem.BARE_LF],
  ["RFC 9112 2.2", "bare LF after a header", "GET / HTTP/1.1\r\nHost: a\n\r\n", problem.BARE_LF],
  ["RFC 9112 2.2", "bare CR in a header", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", problem.BARE_CR],
  ["RFC 9112 2.2", "CR CR LF at the end", `${GET}\r\r\n`, problem.BARE_CR],
  ["RFC 9112 3", "two spaces before the target", "GET  / HTTP/1.1\r\n\r\n", problem.BAD_REQUEST_LINE],
  ["RFC 9112 3", "a tab instead of a space", "GET\t/ HTTP/1.1\r\n\r\n", problem.BAD_METHOD],
  ["RFC 9112 3", "space after the version", "GET / HTTP/1.1 \r\n\r\n", problem.BAD_REQUEST_LINE],
  ["RFC 9110 9.1", "a method that is no token", "G(T / HTTP/1.1\r\n\r\n", problem.BAD_METHOD],
  ["RFC 9112 3.2", "a byte above ASCII in the target", "GET /\xe9 HTTP/1.1\r\n\r\n", problem.BAD_TARGET],
  ["RFC 9112 2.3", "a lower-case version", "GET / http/1.1\r\n\r\n", problem.BAD_VERSION],
  ["RFC 9112 2.3", "HTTP/0.9 without version", "GET /\r\n", problem.BAD_REQUEST_LINE],
  ["RFC 9110 15.6.6", "HTTP/2.0", "GET / HTTP/2.0\r\n\r\n", problem.UNSUPPORTED_VERSION],
  [
    "RFC 9112 5.1",
    "space before the colon",
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    problem.SPACE_BEFORE_COLON,
  ],
  ["RFC 9112 5.2", "a folded header", `${GET}X: 1\r\n 2\r\n\r\n`, problem.OBS_FOLD],
  [
    "RFC 9112 5.2",
    "white space before the first header",
    "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    problem.OBS_FOLD,
  ],
  ["RFC 9110 5.1", "an empty name", `${GET}: 1\r\n\r\n`, problem.BAD_FIELD_NAME],
  ["RFC 9110 5.1", "a name that is no token", `${GET}X[]: 1\r\n\r\n`, problem.BAD_FIELD_NAME],
  ["RFC 9110 5.5", "NUL in a value", `${GET}X: a\0b\r\n\r\n`, problem.BAD_FIELD_VALUE],
  ["RFC 9110 8.6", "a signed length", `${GET}Content-Length: +2\r\n\r\n`, problem.BAD_CONTENT_LENGTH],
  ["RFC 9110 8.6", "an empty length", `${GET}Content-Length: \r\n\r\n`, problem.BAD_CONTENT_LENGTH],
  ["RFC 9110 8.6", "a list of lengths", `${GET}Content-Length: 2, 2\r\n\r\n`, problem.BAD_CONTENT_LENGTH],
  [
    "RFC 9110 8.6",
    "a length beyond 2^53",
    `${GET}Content-Length: 99999999999999999\r\n\r\n`,
    problem.BAD_CONTENT_LENGTH,
  ],
  [
    "RFC 9112 6.3",
    "two equal lengths",
    `${GET}Content-Length: 2\r\nContent-Length: 2\r\n\r\n`,
    problem.SEVERAL_CONTENT_LENGTHS,
  ],
  [
    "RFC 9112 6.1",
    "length and encoding",
    `${GET}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n`,
    problem.LENGTH_AND_ENCODING,
  ],
  [
    "RFC 9112 6.1",
    "an unknown coding",
    `${GET}Transfer-Encoding: gzip, chunked\r\n\r\n`,
    problem.UNKNOWN_TRANSFER_ENCODING,
  ],
  [
    "RFC 9112 6.1",
    "chunked not last",
    `${GET}Transfer-Encoding: chunked, identity\r\n\r\n`,
    problem.BAD_TRANSFER_ENCODING,
  ],
  [
    "RFC 9112 6.1",
    "chunked twice",
    `${GET}Transfer-Encoding: chunked, chunked\r\n\r\n`,
    problem.BAD_TRANSFER_ENCODING,
  ],
  ["RFC 9112 6.1", "xchunked", `${GET}Transfer-Encoding: xchunked\r\n\r\n`, problem.BAD_TRANSFER_ENCODING],
  [
    "RFC 9112 6.1",
    "encoding on HTTP/1.0",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    problem.ENCODING_ON_1_0,
  ],
  ["RFC 9110 10.1.1", "an unknown expectation", `${GET}Expect: magic\r\n\r\n`, problem.BAD_EXPECT],
  ["RFC 9110 5.5", "bytes above ASCII in a value are kept", `${GET}X: \xe9\r\n\r\n`, "whole"],
];

for (const [rfc, what, text, expected] of REQUESTS) {
  Deno.test(`${rfc}: ${what}`, () => {
    const { result } = request(text);
    assert.equal(result, expected === "whole" ? text.length : expected);
  });
}

Deno.test("RFC 9112 3: method, target, version and headers are found", () => {
  const { head } = request(
    "POST /a?b=1 HTTP/1.0\r\nHost:a\r\nX-A:  1 \r\nx-a: 2\r\nContent-Length: 03\r\n\r\n",
  );
  assert.equal(head.slice(head.start, head.methodEnd), "POST");
  assert.equal(head.slice(head.targetStart, head.targetEnd), "/a?b=1");
  assert.equal(head.minor, 0);
  assert.equal(head.value("x-a"), "1,2");
  assert.equal(head.value("x-b"), undefined);
  assert.equal(head.contentLength, 3);
  assert.equal(head.nameAt(1), "X-A");
});

Deno.test("RFC 9110 7.6.1: headers that Connection names end here, but never framing or Host", () => {
  const { head } = request(
    `${GET}Connection: close, X-Secret, Host, Content-Length\r\nX-Secret: 1\r\nContent-Length: 0\r\n\r\n`,
  );
  assert.equal(head.close, true);
  const marked = [...Array(head.count).keys()].filter((i) => head.kinds[i] === NOMINATED).map((i) =>
    head.nameAt(i)
  );
  assert.deepEqual(marked, ["X-Secret"]);
});

Deno.test("RFC 6585 5 and RFC 9110 15.5.15: limits", () => {
  assert.equal(
    request(`${GET}X: ${"a".repeat(200)}\r\n\r\n`, { ...LIMITS, maxHeadBytes: 100 }).result,
    problem.HEAD_TOO_LARGE,
  );
  assert.equal(
    request(`GET /${"a".repeat(200)}`, { ...LIMITS, maxTargetBytes: 100 }).result,
    problem.TARGET_TOO_LARGE,
  );
  assert.equal(request(`${GET}X: 1\r\nY: 2\r\n\r\n`, LIMITS, 2).result, problem.TOO_MANY_FIELDS);
});

const RESPONSES: readonly [rfc: string, what: string, text: string, result: number | "whole"][] = [
  ["RFC 9112 4", "no reason and no space after the code", "HTTP/1.1 200\r\n\r\n", "whole"],
  ["RFC 9112 4", "an empty reason", "HTTP/1.1 200 \r\n\r\n", "whole"],
  ["RFC 9112 4", "a code of two digits", "HTTP/1.1 20 OK\r\n\r\n", problem.BAD_STATUS_LINE],
  ["RFC 9112 4", "a code that begins with 0", "HTTP/1.1 099 OK\r\n\r\n", problem.BAD_STATUS_LINE],
  ["RFC 9112 4", "no HTTP at all", "SSH-2.0-OpenSSH\r\n\r\n", problem.BAD_STATUS_LINE],
  [
    "RFC 9112 6.3",
    "two lengths",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    problem.SEVERAL_CONTENT_LENGTHS,
  ],
  [
    "RFC 9112 6.1",
    "length and encoding",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    problem.LENGTH_AND_ENCODING,
  ],
];

for (const [rfc, what, text, expected] of RESPONSES) {
  Deno.test(`${rfc}: response: ${what}`, () => {
    assert.equal(response(text).result, expected === "whole" ? text.length : expected);
  });
}

Deno.test("a head cut at any byte needs more, and is the same once whole", () => {
  const text =
    "GET http://a/b HTTP/1.1\r\nHost: a\r\nConnection: x\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
  const b = bytes(text);
  const head = new MessageHead(100);
  for (let cut = 0; cut < b.length; cut++) {
    assert.equal(parseRequestHead(head, b, 0, cut, LIMITS), 0, `cut at ${cut}`);
    assert.ok(findHeadEnd(b, 0, cut) < 0, `end found in ${cut}`);
  }
  assert.equal(parseRequestHead(head, b, 0, b.length, LIMITS), b.length);
  assert.equal(findHeadEnd(b, 0, b.length), b.length);
  const answer = bytes("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\n");
  for (let cut = 0; cut < answer.length; cut++) {
    assert.equal(parseResponseHead(head, answer, 0, cut, LIMITS), 0);
  }
});

Deno.test("fuzz: a head in pieces gets the same verdict as in one", () => {
  const piece = fc.constantFrom(
    "GET",
    "POST",
    " ",
    "/",
    "/x?y",
    "http://h/p",
    "HTTP/1.1",
    "HTTP/1.0",
    "\r\n",
    "\n",
    "\r",
    "Host",
    ":",
    ": ",
    "a",
    "Content-Length",
    "5",
    "Transfer-Encoding",
    "chunked",
    "Connection",
    "close",
    "\t",
    "\0",
    "\xff",
    ",",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const b = bytes(pieces.join(""));
      const whole = parseRequestHead(new MessageHead(20), b, 0, b.length, LIMITS);
      const head = new MessageHead(20);
      let verdict = 0;
      for (let cut = 0; cut <= b.length && verdict === 0; cut++) {
        verdict = parseRequestHead(head, b, 0, cut, LIMITS);
      }
      // A complete head is found at its own end; a wrong one may be refused earlier, and then with the same answer or before it.
      if (whole > 0) assert.equal(verdict, whole);
      if (whole === 0) assert.equal(verdict, 0);
      if (whole < 0) assert.ok(verdict < 0);
    }),
    { seed: 7, numRuns: 3000 },
  );
});

Deno.test("a head that became another one, and one after it, say what stands in them", () => {
  const first = request("GET /a HTTP/1.1\r\nHost: one\r\nuser-agent: x\r\n\r\n").head;
  const next = bytes("POST /b HTTP/1.1\r\nHost: two\r\n\r\n");
  const head = new MessageHead(100);
  for (let i = 0; i < 2; i++) {
    head.become(first);
    assert.deepEqual([head.method, head.target, head.valueAt(0), head.valueAt(1)], ["GET", "/a", "one", "x"]);
    head.reset(next, 0);
    assert.equal(parseRequestHead(head, next, 0, next.length, LIMITS), next.length);
    assert.deepEqual([head.method, head.target, head.valueAt(0)], ["POST", "/b", "two"]);
  }
});
