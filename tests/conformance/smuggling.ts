/**
 * Request smuggling: every shape that two readers of one byte stream have been known to understand differently. For
 * each the agent must answer with an error, and not one byte may reach the upstream (the recording upstream proves it);
 * `SMUGGLED` stands where the hidden request would be. Rows of `CLEAN` are unusual but have one meaning only: there
 * the upstream must see exactly that meaning.
 */
import { request, type Row } from "./row.ts";

const HIDDEN = "GET /SMUGGLED HTTP/1.1\r\nHost: {host}\r\n\r\n";
const CHUNKED = "Transfer-Encoding: chunked";

/** A POST with these header lines and body, followed by the hidden request. */
function post(lines: readonly string[], body: string): string {
  return request("POST", "/a", lines, body);
}

/** Sections whose refusals leave the framing beyond doubt: the connection may go on. */
const OPEN_AFTER: ReadonlySet<string> = new Set(["RFC 9112 3.2", "RFC 9112 3.2.2"]);

const REFUSED: readonly (readonly [section: string, name: string, send: string, limit?: Row["limit"]])[] = [
  // CL.TE and TE.CL
  ["RFC 9112 6.1", "CL.TE", post(["Content-Length: 49", CHUNKED], `0\r\n\r\n${HIDDEN}`)],
  ["RFC 9112 6.1", "TE.CL", post([CHUNKED, "Content-Length: 4"], `2c\r\n${HIDDEN}\r\n0\r\n\r\n`)],
  ["RFC 9112 6.1", "CL 0 with TE", post(["Content-Length: 0", CHUNKED], `0\r\n\r\n`)],
  ["RFC 9112 6.1", "equal meanings in both", post(["Content-Length: 8", CHUNKED], "3\r\nabc\r\n0\r\n\r\n")],
  // TE.TE: a second coding that one side may not see
  ["RFC 9112 6.1", "TE twice", post([CHUNKED, CHUNKED], `0\r\n\r\n${HIDDEN}`)],
  [
    "RFC 9112 6.1",
    "TE chunked and identity",
    post([CHUNKED, "Transfer-Encoding: identity"], `0\r\n\r\n${HIDDEN}`),
  ],
  ["RFC 9112 6.1", "TE identity", post(["Transfer-Encoding: identity"], `0\r\n\r\n${HIDDEN}`)],
  [
    "RFC 9112 6.1",
    "TE identity with CL",
    post(["Transfer-Encoding: identity", "Content-Length: 5"], "abcde"),
  ],
  ["RFC 9112 6.1", "TE xchunked", post(["Transfer-Encoding: xchunked"], `0\r\n\r\n${HIDDEN}`)],
  [
    "RFC 9112 6.1",
    "TE xchunked with CL",
    post(["Transfer-Encoding: xchunked", "Content-Length: 5"], "abcde"),
  ],
  ["RFC 9112 6.1", "TE chunked last but twice", post(["Transfer-Encoding: chunked, chunked"], `0\r\n\r\n`)],
  ["RFC 9112 6.1", "TE chunked not last", post(["Transfer-Encoding: chunked, gzip"], `0\r\n\r\n${HIDDEN}`)],
  ["RFC 9112 6.1", "TE with a parameter", post(["Transfer-Encoding: chunked;q=1"], `0\r\n\r\n${HIDDEN}`)],
  ["RFC 9112 6.1", "TE in quotes", post(['Transfer-Encoding: "chunked"'], `0\r\n\r\n${HIDDEN}`)],
  ["RFC 9112 6.1", "TE with an empty element", post(["Transfer-Encoding: chunked,"], `0\r\n\r\n${HIDDEN}`)],
  ["RFC 9112 6.1", "TE empty", post(["Transfer-Encoding:"], `0\r\n\r\n${HIDDEN}`)],
  ["RFC 9112 6.1", "TE empty with CL", post(["Transfer-Encoding:", "Content-Length: 5"], "abcde")],
  ["RFC 9112 6.1", "TE with a vertical tab", post(["Transfer-Encoding:\x0bchunked"], `0\r\n\r\n${HIDDEN}`)],
  ["RFC 9112 6.1", "TE with NUL", post(["Transfer-Encoding: chunked\0"], `0\r\n\r\n${HIDDEN}`)],
  [
    "RFC 9112 6.1",
    "TE with a byte above 127",
    post(["Transfer-Encoding: \xffchunked"], `0\r\n\r\n${HIDDEN}`),
  ],
  [
    "RFC 9112 6.1",
    "TE with the Kelvin sign",
    post(["Transfer-Encoding: chun\xe2\x84\xaaed"], `0\r\n\r\n${HIDDEN}`),
  ],
  [
    "RFC 9112 5.1",
    "space before the colon of TE",
    post(["Transfer-Encoding : chunked"], `0\r\n\r\n${HIDDEN}`),
  ],
  [
    "RFC 9112 5.1",
    "tab before the colon of TE",
    post(["Transfer-Encoding\t: chunked"], `0\r\n\r\n${HIDDEN}`),
  ],
  [
    "RFC 9112 5.1",
    "space before the name TE",
    post(["X: 1\r\n Transfer-Encoding: chunked"], `0\r\n\r\n${HIDDEN}`),
  ],
  ["RFC 9112 5.2", "TE folded", post(["Transfer-Encoding:\r\n chunked"], `0\r\n\r\n${HIDDEN}`)],
  ["RFC 9112 5.2", "TE folded by a tab", post(["Transfer-Encoding:\r\n\tchunked"], `0\r\n\r\n${HIDDEN}`)],
  [
    "RFC 9112 2.2",
    "TE behind a bare LF",
    post([`X: 1\n${CHUNKED}`, "Content-Length: 5"], "abcde"),
    "strict-bytes",
  ],
  ["RFC 9112 2.2", "TE behind a bare CR", post([`X: 1\r${CHUNKED}`, "Content-Length: 5"], "abcde")],
  ["RFC 9112 2.2", "TE before a bare CR", post([`${CHUNKED}\rX: 1`], `0\r\n\r\n${HIDDEN}`)],
  ["RFC 9112 2.2", "NUL before TE", post([`\0${CHUNKED}`], `0\r\n\r\n${HIDDEN}`)],
  ["RFC 9112 6.1", "TE on HTTP/1.0", post([CHUNKED], `0\r\n\r\n${HIDDEN}`).replace("HTTP/1.1", "HTTP/1.0")],
  [
    "RFC 9112 6.1",
    "TE and CL on HTTP/1.0",
    post([CHUNKED, "Content-Length: 5"], `0\r\n\r\n${HIDDEN}`).replace("HTTP/1.1", "HTTP/1.0"),
  ],
  // CL.CL
  ["RFC 9112 6.3", "two different lengths", post(["Content-Length: 0", "Content-Length: 44"], HIDDEN)],
  [
    "RFC 9112 6.3",
    "two equal lengths",
    post(["Content-Length: 5", "Content-Length: 5"], "abcde"),
    "strict-bytes",
  ],
  ["RFC 9112 6.3", "a list of different lengths", post(["Content-Length: 0, 44"], HIDDEN)],
  ["RFC 9112 6.3", "a list of equal lengths", post(["Content-Length: 5, 5"], "abcde"), "strict-bytes"],
  ...[
    "+5",
    "-5",
    "0x5",
    "5.0",
    "5e0",
    "5 5",
    "5;x",
    '"5"',
    "5_0",
    "",
    "five",
    "\x0b5",
    "5\0",
    "\xb2",
    "18446744073709551621",
    "99999999999999999999999999",
  ].map((value) =>
    [
      "RFC 9110 8.6",
      `a length of ${JSON.stringify(value)}`,
      post([`Content-Length: ${value}`], "abcde"),
    ] as const
  ),
  ["RFC 9112 5.1", "space before the colon of CL", post(["Content-Length : 5"], "abcde")],
  ["RFC 9112 5.2", "CL folded", post(["Content-Length:\r\n 5"], "abcde")],
  ["RFC 9112 2.2", "CL behind a bare LF", post(["X: 1\nContent-Length: 44"], HIDDEN), "strict-bytes"],
  // lines and names
  [
    "RFC 9112 2.2",
    "a head that ends in bare LFs",
    `GET /a HTTP/1.1\nHost: {host}\n\n${HIDDEN}`,
    "strict-bytes",
  ],
  [
    "RFC 9112 2.2",
    "an empty line of a bare LF",
    `GET /a HTTP/1.1\r\nHost: {host}\r\n\n${HIDDEN}`,
    "strict-bytes",
  ],
  ["RFC 9112 2.2", "an empty line of a bare CR", `GET /a HTTP/1.1\r\nHost: {host}\r\n\r${HIDDEN}`],
  ["RFC 9112 2.2", "CR CR LF", `GET /a HTTP/1.1\r\nHost: {host}\r\r\n\r\n`],
  ["RFC 9112 3", "a bare CR in the request line", `GET /a\r HTTP/1.1\r\nHost: {host}\r\n\r\n`],
  ["RFC 9112 3", "a bare LF in the request line", `GET /a\nHost: {host}\r\n\r\n`],
  ["RFC 9112 3.2", "Host behind a bare LF", `GET /a HTTP/1.1\r\nX: 1\nHost: b\r\nHost: {host}\r\n\r\n`],
  ["RFC 9112 3.2", "Host twice", `GET /a HTTP/1.1\r\nHost: {host}\r\nHost: b\r\n\r\n`],
  ["RFC 9112 3.2", "Host with a space before the colon", `GET /a HTTP/1.1\r\nHost : {host}\r\n\r\n`],
  ["RFC 9112 3.2", "Host in a list", `GET /a HTTP/1.1\r\nHost: {host}, b\r\n\r\n`, "strict-bytes"],
  ["RFC 9112 3.2", "NUL in Host", `GET /a HTTP/1.1\r\nHost: {host}\0.b\r\n\r\n`],
  [
    "RFC 9112 3.2.2",
    "userinfo that looks like the host",
    `GET http://{host}@b/a HTTP/1.1\r\nHost: {host}\r\n\r\n`,
  ],
  [
    "RFC 9112 3.2.2",
    "a backslash in the authority",
    `GET http://{host}\\@b/a HTTP/1.1\r\nHost: {host}\r\n\r\n`,
  ],
  // the target
  ["RFC 9112 3.2", "CR LF sent through the target", `GET /a\r\nX: HTTP/1.1\r\nHost: {host}\r\n\r\n`],
  ["RFC 9112 3", "a whole request line in the target", `GET /a HTTP/1.1 HTTP/1.1\r\nHost: {host}\r\n\r\n`],
];

/** Chunked bodies: the head may be out already when the trouble shows, so the rule is: never completed, never a second request. */
const BROKEN_CHUNKS: readonly (readonly [name: string, body: string, limit?: Row["limit"]])[] = [
  ["a size that is no number", `zz\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["a size with 0x", `0x3\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["a size with a sign", `+3\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["a negative size", `-1\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["a size with a leading space", ` 3\r\nabc\r\n0\r\n\r\n${HIDDEN}`, "strict-bytes"],
  ["a size in underscores", `1_0\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["an empty size", `\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["a size above 2^64", `10000000000000003\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["a size of 2^53", `20000000000000\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["a size with NUL", `3\0\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["a size ended by a bare LF", `3\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["a size ended by a bare CR", `3\rabc\r\n0\r\n\r\n${HIDDEN}`],
  ["data ended by a bare LF", `3\r\nabc\n0\r\n\r\n${HIDDEN}`],
  ["data longer than its size", `3\r\nabcd\r\n0\r\n\r\n${HIDDEN}`],
  ["data shorter than its size", `5\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["data not followed by CRLF", `3\r\nabcXX0\r\n\r\n${HIDDEN}`],
  ["a last chunk ended by a bare LF", `3\r\nabc\r\n0\n\n${HIDDEN}`],
  ["an extension with a bare LF", `3;a\n=b\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["an extension with a bare CR", `3;a\r=b\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["an extension with NUL", `3;a\0b\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["an extension that hides a line in quotes", `3;a="\r\nabc\r\n0\r\n\r\n"\r\n${HIDDEN}`, "strict-bytes"],
  ["an endless extension", `3;${"a".repeat(70_000)}\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ["a trailer folded", `3\r\nabc\r\n0\r\nX: 1\r\n 2\r\n\r\n${HIDDEN}`],
  ["a trailer with a space before the colon", `3\r\nabc\r\n0\r\nX : 1\r\n\r\n${HIDDEN}`],
  ["a trailer with a bare LF", `3\r\nabc\r\n0\r\nX: 1\nY: 2\r\n\r\n${HIDDEN}`],
];

export const SMUGGLING_ROWS: readonly Row[] = [
  ...REFUSED.map(([section, name, send, limit]): Row => ({
    section,
    name: `smuggling: ${name}`,
    send,
    answers: [{ status: [400, 501] }],
    closes: !OPEN_AFTER.has(section),
    forwarded: "nothing",
    ...(limit === undefined ? {} : { limit }),
    end: true,
    onServe: {
      closes: false,
      play: neverHidden,
      forwarded: limit === "strict-bytes" ? "anything" : "nothing",
    },
  })),
  ...BROKEN_CHUNKS.map(([name, body, limit]): Row => ({
    section: "RFC 9112 7.1",
    name: `smuggling: ${name}`,
    send: post([CHUNKED], body),
    end: true,
    script: async (link) => {
      for (let r = await link.request(); r !== undefined && r.complete; r = await link.request()) {
        if (!(await link.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))) return;
      }
    },
    play: neverCompleted,
    ...(limit === undefined ? {} : { limit }),
  })),
  // ------------------------------------------------------------------ unusual, but of one meaning
  {
    section: "RFC 9110 8.6",
    name: "smuggling: a length with leading zeros means the number",
    send: post(["Content-Length: 005"], "abcde") + request("GET", "/b"),
    answers: [{ status: 200 }, { status: 200 }],
    forwarded: [{ body: "abcde" }, { line: "GET /b HTTP/1.1" }],
  },
  {
    section: "RFC 9112 7.1",
    name: "smuggling: a chunk size with leading zeros and capitals means the number",
    send: post([CHUNKED], "000A\r\n0123456789\r\n00\r\n\r\n") + request("GET", "/b"),
    answers: [{ status: 200 }, { status: 200 }],
    forwarded: [{ body: "0123456789" }, { line: "GET /b HTTP/1.1" }],
  },
  {
    section: "RFC 9112 7.1.1",
    name: "smuggling: a request inside a quoted chunk extension stays an extension",
    send: post([CHUNKED], '3;a="GET /SMUGGLED HTTP/1.1"\r\nabc\r\n0\r\n\r\n') + request("GET", "/b"),
    answers: [{ status: 200 }, { status: 200 }],
    forwarded: [{ body: "abc" }, { line: "GET /b HTTP/1.1" }],
  },
  {
    section: "RFC 9112 6.3",
    name: "smuggling: a GET with a body keeps it",
    send: request("GET", "/a", [`Content-Length: ${HIDDEN.length}`]) + HIDDEN.replaceAll("{host}", "xxxxxx"),
    answers: [{ status: 200 }],
    forwarded: [{ line: "GET /a HTTP/1.1", body: HIDDEN.replaceAll("{host}", "xxxxxx") }],
    limit: "get-body",
    onServe: { answers: [{ status: 501 }], forwarded: "nothing" },
  },
  {
    section: "RFC 9110 6.5.1",
    name: "smuggling: framing, Host and Connection in trailers never become headers",
    send: post(
      [CHUNKED],
      "3\r\nabc\r\n0\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\nHost: b\r\n\r\n",
    ) +
      request("GET", "/b"),
    play: async (client, upstream) => {
      await client.response();
      await upstream.nth(0);
      const first = upstream.requests[0]!;
      const bad = first.trailers.filter(([n]) => /^(content-length|transfer-encoding|host)$/i.test(n));
      if (bad.length > 0) throw new Error(`Cannot pass on ${JSON.stringify(bad)} as trailers`);
      if (first.body !== "abc") throw new Error(`Cannot see the body: ${first.raw}`);
    },
  },
  {
    section: "RFC 9112 9.3",
    name: "smuggling: a body left unread after a local answer is not taken for a request",
    send: `POST http://user@{host}/a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 44\r\n\r\n${HIDDEN}`,
    play: async (client, upstream) => {
      const first = await client.response("POST");
      if (first.status !== 400) throw new Error(`Cannot see 400: ${first.raw}`);
      await client.end();
      const rest = await client.toEnd();
      if (rest.includes("200 OK")) throw new Error(`Cannot accept a second answer: ${rest}`);
      if (upstream.received() !== "") {
        throw new Error(`Cannot accept that bytes went on: ${upstream.received()}`);
      }
    },
  },
];

async function neverHidden(
  client: Parameters<NonNullable<Row["play"]>>[0],
  upstream: Parameters<NonNullable<Row["play"]>>[1],
): Promise<void> {
  await client.toEnd();
  noneHidden(upstream);
}

async function neverCompleted(
  client: Parameters<NonNullable<Row["play"]>>[0],
  upstream: Parameters<NonNullable<Row["play"]>>[1],
): Promise<void> {
  const back = await client.toEnd();
  if (/^HTTP\/1.1 2/m.test(back)) throw new Error(`Cannot accept a success for a broken body: ${back}`);
  if (upstream.requests.some((r) => r.complete)) {
    throw new Error(`Cannot accept that the broken body was completed: ${upstream.received()}`);
  }
  noneHidden(upstream);
}

/** Its text may travel inside a body; as a request it must not. */
function noneHidden(upstream: Parameters<NonNullable<Row["play"]>>[1]): void {
  if (upstream.requests.some((r) => r.startLine.includes("SMUGGLED"))) {
    throw new Error(`Cannot accept that the hidden request went on: ${upstream.received()}`);
  }
}
