import assert from "node:assert/strict";
import { HeadBuilder, HeadPool, REQUEST, RESPONSE } from "./header_rules.ts";
import { HpackDecoder } from "./hpack_decoder.ts";
import { HpackEncoder } from "./hpack_encoder.ts";
import { CONNECT_METHOD, HEAD_METHOD, MessageEncoder, OTHER_METHOD } from "./message_encoder.ts";
import { Output } from "./output.ts";

/** One connection: what its encoder says, its peer's decoder reads. */
class Pair {
  readonly encoder: MessageEncoder;
  readonly #decoder = new HpackDecoder(4096);
  readonly #builder = new HeadBuilder(1 << 16);
  readonly #heads = new HeadPool(100);
  bytes = 0;

  constructor(hpack: HpackEncoder) {
    this.encoder = new MessageEncoder(hpack);
  }

  #read(out: Output, mode: typeof REQUEST | typeof RESPONSE): string {
    const block = out.take();
    this.bytes = block.length;
    const head = this.#heads.take();
    this.#builder.begin(head, mode);
    assert.equal(this.#decoder.decode(block, 0, block.length, this.#builder), 0);
    assert.equal(this.#builder.finish(true), 0);
    const { text } = head;
    return (this.#builder.https ? "https " : "") + text;
  }

  request(head: string, https = false, protocol = ""): [string, number] {
    const out = new Output();
    const kind = this.encoder.request(out, new TextEncoder().encode(head), https, protocol);
    return [this.#read(out, REQUEST), kind];
  }

  response(head: string): string {
    const out = new Output();
    this.encoder.response(out, new TextEncoder().encode(head));
    return this.#read(out, RESPONSE);
  }
}

const POST =
  "POST /a.B/C HTTP/1.1\r\nhost: svc\r\nuser-agent: test\r\nte: trailers\r\nconnection: close\r\nx-request-id: ";

Deno.test("head memo: the same head again is a byte per field, and the one line that differs a literal", () => {
  const pair = new Pair(new HpackEncoder(4096));
  const sizes: number[] = [];
  for (let i = 0; i < 6; i++) {
    const id = `0123-${i}`;
    const [text] = pair.request(`${POST}${id}\r\nx-last: same\r\n\r\n`);
    assert.equal(
      text,
      `POST /a.B/C HTTP/1.1\r\nhost: svc\r\nuser-agent: test\r\nte: trailers\r\nx-request-id: ${id}\r\nx-last: same\r\n\r\n`,
    );
    sizes.push(pair.bytes);
  }
  // Method, scheme, path, authority, user-agent, te, x-last, and the literal with its name.
  assert.deepEqual(sizes.slice(2), [28, 28, 28, 28]);
});

Deno.test("head memo: what the connection says of a head is not said of another that looks like it", () => {
  const get = "GET /chat HTTP/1.1\r\nhost: svc\r\nsec-websocket-version: 13\r\n\r\n";
  const upgraded =
    "GET /chat HTTP/1.1\r\nhost: svc\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\r\n";
  const late = "GET /chat HTTP/1.1\r\nx-first: 1\r\nhost: svc\r\n\r\n";
  const tunnel = "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n";
  const head = get.replace("GET", "HEAD");
  const all: ((pair: Pair) => void)[] = [
    (pair) => assert.deepEqual(pair.request(get), [get, OTHER_METHOD]),
    (pair) => assert.deepEqual(pair.request(get, false, "websocket"), [upgraded, CONNECT_METHOD]),
    (pair) => assert.deepEqual(pair.request(get, true), [`https ${get}`, OTHER_METHOD]),
    (pair) => assert.deepEqual(pair.request(head), [head, HEAD_METHOD]),
    (pair) => assert.deepEqual(pair.request(tunnel), [tunnel, CONNECT_METHOD]),
    (pair) =>
      assert.deepEqual(pair.request(late)[0], "GET /chat HTTP/1.1\r\nhost: svc\r\nx-first: 1\r\n\r\n"),
  ];
  for (const learned of all) {
    for (const other of all) {
      const pair = new Pair(new HpackEncoder(4096));
      for (const each of [learned, learned, learned, learned, other, other, learned, other]) each(pair);
    }
  }
  // Heads with many other lines make the memo learn again, now from an upgrade.
  const pair = new Pair(new HpackEncoder(4096));
  for (let i = 0; i < 20; i++) {
    const lines = [0, 1, 2, 3, 4].map((k) => `x-${k}: ${i}\r\n`).join("");
    pair.request(`GET /chat HTTP/1.1\r\nhost: svc\r\n${lines}\r\n`, false, "websocket");
  }
  assert.deepEqual(pair.request(get), [get, OTHER_METHOD]);
});

Deno.test("head memo: fields that fell out of the table are said anew", () => {
  const hpack = new HpackEncoder(4096);
  const pair = new Pair(hpack);
  const head = "HTTP/1.1 200 OK\r\nserver: one\r\nx-a: b\r\n\r\n";
  const seen = () => assert.equal(pair.response(head), head.replace("OK", ""));
  for (let i = 0; i < 4; i++) seen();
  assert.equal(pair.bytes, 3);
  hpack.allow(0);
  seen();
  hpack.allow(4096);
  for (let i = 0; i < 3; i++) seen();
  assert.equal(pair.bytes, 3);
});

Deno.test("head memo: random heads come out as they went in", () => {
  let state = 7;
  const random = (below: number) => (state = Math.imul(state, 48271) >>> 0) % 0x7fff % below;
  const lines = [
    "server: a",
    "server: b",
    "x-one: 1",
    "x-two: 22",
    "set-cookie: s=1",
    "content-type: text/plain",
    "date: now",
  ];
  for (let run = 0; run < 20; run++) {
    const pair = new Pair(new HpackEncoder(run % 2 === 0 ? 4096 : 120));
    let last: string[] = [];
    for (let i = 0; i < 60; i++) {
      if (last.length === 0 || random(4) === 0) last = lines.filter(() => random(2) === 0);
      const each = last.map((line) => random(12) === 0 ? `${line}-${random(3)}` : line);
      const status = random(5) === 0 ? "404" : "200";
      const body = each.map((line) => `${line}\r\n`).join("");
      assert.equal(
        pair.response(`HTTP/1.1 ${status} X\r\n${body}\r\n`),
        `HTTP/1.1 ${status} \r\n${body}\r\n`,
      );
    }
  }
});

Deno.test("head memo: a Host behind other lines is no part of what the same first line means", () => {
  const pair = new Pair(new HpackEncoder(4096));
  const first = (host: string) => `GET / HTTP/1.1\r\nhost: ${host}\r\naccept: x\r\n\r\n`;
  const late = (host: string) => `GET / HTTP/1.1\r\naccept: x\r\nhost: ${host}\r\n\r\n`;
  const heads = [
    late("a"),
    late("a"),
    first("a"),
    first("a"),
    first("a"),
    first("a"),
    first("b"),
    late("c"),
    first("b"),
  ];
  for (const head of heads) {
    const host = /host: (\w)/.exec(head)![1]!;
    assert.equal(pair.request(head)[0], first(host), head);
  }
});

Deno.test("head memo: heads of any order, repeated, folded and with tables of any size, say what they said", () => {
  for (let seed = 1; seed <= 40; seed++) {
    let state = seed;
    const random = (n: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor(state / 2 ** 32 * n);
    };
    const one = <T>(list: readonly T[]): T => list[random(list.length)]!;
    const hpack = new HpackEncoder(4096);
    const pair = new Pair(hpack);
    for (let i = 0; i < 100; i++) {
      if (random(20) === 0) pair.encoder.fold();
      if (random(20) === 0) hpack.allow(one([0, 64, 200, 512, 4096]));
      const lines = Array.from({ length: random(6) }, () =>
        one([
          `accept: ${one(["a", "b"])}`,
          `authorization: ${one(["s1", "s2"])}`,
          `x-big: ${"v".repeat(one([10, 300, 1500]))}`,
          `x-${random(40)}: ${"w".repeat(30)}`,
          `x-id: ${i}`,
        ]));
      const start = `${one(["GET", "POST"])} ${one(["/", "/a", "/b?q"])} HTTP/1.1`;
      const host = `host: ${one(["h1", "h2", "h3"])}`;
      const all = [...lines];
      all.splice(random(lines.length + 1), 0, host);
      const [text] = pair.request([start, ...all, "", ""].join("\r\n"));
      assert.equal(text, [start, host, ...lines, "", ""].join("\r\n"), `seed ${seed}, head ${i}`);
    }
  }
});
