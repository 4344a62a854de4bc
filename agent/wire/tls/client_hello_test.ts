import assert from "node:assert/strict";
import { MAX_HELLO_BYTES, NEED_MORE, NOT_TLS, readClientHello } from "./client_hello.ts";

const u16 = (n: number): number[] => [n >> 8, n & 255];
const bytes = (text: string): number[] => [...text].map((c) => c.charCodeAt(0));

function extension(type: number, data: readonly number[]): number[] {
  return [...u16(type), ...u16(data.length), ...data];
}

function serverName(name: string): number[] {
  return extension(0, [...u16(name.length + 3), 0, ...u16(name.length), ...bytes(name)]);
}

function alpn(...names: readonly string[]): number[] {
  const list = names.flatMap((n) => [n.length, ...bytes(n)]);
  return extension(16, [...u16(list.length), ...list]);
}

/** The handshake message. */
function message(extensions: readonly number[] | undefined): number[] {
  const body = [
    3,
    3,
    ...new Array(32).fill(7),
    0,
    ...u16(4),
    0x13,
    1,
    0x13,
    2,
    1,
    0,
    ...(extensions === undefined ? [] : [...u16(extensions.length), ...extensions]),
  ];
  return [1, body.length >> 16, ...u16(body.length & 0xffff), ...body];
}

/** Records of at most `size` bytes. */
function records(content: readonly number[], size = 16_384): Uint8Array {
  const out: number[] = [];
  for (let at = 0; at < content.length; at += size) {
    const part = content.slice(at, at + size);
    out.push(22, 3, 1, ...u16(part.length), ...part);
  }
  return new Uint8Array(out);
}

const read = (b: Uint8Array) => readClientHello(b, 0, b.length);
const GREASE = extension(0x0a0a, [0]);

Deno.test("client hello: server name and protocols, whatever else is there", () => {
  assert.deepEqual(
    read(records(message([...GREASE, ...serverName("A.Example.COM"), ...alpn("h2", "http/1.1")]))),
    {
      serverName: "a.example.com",
      applicationProtocols: ["h2", "http/1.1"],
    },
  );
  assert.deepEqual(read(records(message([]))), { serverName: "", applicationProtocols: [] });
  assert.deepEqual(read(records(message(undefined))), { serverName: "", applicationProtocols: [] });
  assert.deepEqual(read(records(message(serverName("a.example.com.")))), {
    serverName: "a.example.com",
    applicationProtocols: [],
  });
});

Deno.test("client hello: every cut wants more, and early data behind it does not matter", () => {
  const whole = records(message([...serverName("a.example.com"), ...alpn("h2")]));
  for (let n = 0; n < whole.length; n++) assert.equal(readClientHello(whole, 0, n), NEED_MORE, `${n} bytes`);
  const more = new Uint8Array([9, 9, ...whole, 23, 3, 3]);
  assert.deepEqual(readClientHello(more, 2, more.length), {
    serverName: "a.example.com",
    applicationProtocols: ["h2"],
  });
});

Deno.test("client hello: spread over records of any size", () => {
  const content = message([...alpn("h2"), ...serverName("a.example.com")]);
  for (const size of [1, 2, 3, 4, 5, 7, 50]) {
    const whole = records(content, size);
    assert.deepEqual(read(whole), { serverName: "a.example.com", applicationProtocols: ["h2"] }, `${size}`);
    for (let n = 0; n < whole.length; n++) assert.equal(readClientHello(whole, 0, n), NEED_MORE);
  }
});

Deno.test("client hello: what is no TLS is told at the first byte that does not fit", () => {
  const no = (...b: number[]) => assert.equal(read(new Uint8Array(b)), NOT_TLS, `${b}`);
  no(...bytes("GET / HTTP/1.1\r\n"));
  no(71);
  no(22, 2);
  no(22, 3, 1, 0, 0);
  no(22, 3, 1, 0x40, 1);
  no(22, 3, 1, 0, 4, 2);
  assert.equal(read(new Uint8Array([22])), NEED_MORE);
  assert.equal(read(new Uint8Array([22, 3, 1, 0, 9, 1, 0])), NEED_MORE);
});

Deno.test("client hello: lengths that lie, and one that is too long", () => {
  assert.equal(read(records(message([...u16(0), ...u16(9), 1]))), NOT_TLS);
  assert.equal(read(records(message(extension(0, [0, 9, 0, 0, 1])))), NOT_TLS);
  assert.equal(read(records(message(extension(16, [0, 3, 5, 1, 1])))), NOT_TLS);
  assert.equal(read(records(message(extension(16, [0, 1, 0])))), NOT_TLS);
  assert.equal(read(records([1, 0, 0, 2, 3, 3])), NOT_TLS);
  assert.equal(
    read(records([1, ...[MAX_HELLO_BYTES + 1].flatMap((n) => [n >> 16, n >> 8 & 255, n & 255])])),
    NOT_TLS,
  );
});

Deno.test("client hello: random bytes and random damage never throw and never read beyond the end", () => {
  let seed = 12345;
  const random = (n: number): number => {
    seed = Math.imul(seed, 1103515245) + 12345 >>> 0;
    return (seed >>> 8) % n;
  };
  const whole = records(message([...GREASE, ...serverName("a.example.com"), ...alpn("h2", "http/1.1")]), 40);
  for (let i = 0; i < 20_000; i++) {
    const damaged = whole.slice(0, random(whole.length + 1));
    for (let k = random(4); k > 0 && damaged.length > 0; k--) damaged[random(damaged.length)] = random(256);
    const result = read(damaged);
    if (typeof result === "object") assert.ok(result.serverName.length < 100);
  }
});
