/** What an idle connection costs: thousands of them, each after one request, and the memory that they add to the proxy. */
import { rssMb } from "./process.ts";
import type { Speech } from "./peers.ts";
import type { Target } from "./targets.ts";

/** Connections that are opened at the same time. */
const AT_ONCE = 50;
/** For garbage of the opening, which the agent collects after half a minute without requests, ms. */
const SETTLE_MS = 40_000;

const ascii = (text: string) => new TextEncoder().encode(text);

function frame(type: number, flags: number, id: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(9 + payload.length);
  bytes.set([payload.length >> 16, payload.length >> 8, payload.length, type, flags, 0, 0, 0, id]);
  bytes.set(payload, 9);
  return bytes;
}

/** Preface, SETTINGS, GET and the acknowledgement of the peer's SETTINGS, which may come before them. */
function http2Request(host: string, path: string): Uint8Array {
  const literal = (index: number, value: string) => [index, value.length, ...ascii(value)];
  const block = Uint8Array.from([0x82, 0x86, ...literal(0x04, path), ...literal(0x01, host)]);
  const none = new Uint8Array(0);
  const parts = [ascii("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0, none), frame(1, 5, 1, block)];
  parts.push(frame(4, 1, 0, none));
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** Is there a frame that ends stream 1? */
function ended(bytes: Uint8Array): boolean {
  for (let at = 0; at + 9 <= bytes.length;) {
    const [a, b, c, type, flags] = bytes.subarray(at, at + 5) as unknown as [
      number,
      number,
      number,
      number,
      number,
    ];
    if (type <= 1 && (flags & 1) === 1) return true;
    at += 9 + (a << 16 | b << 8 | c);
  }
  return false;
}

async function openOne(
  port: number,
  request: Uint8Array,
  isWhole: (bytes: Uint8Array) => boolean,
): Promise<Deno.Conn> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(request);
  const buffer = new Uint8Array(4096);
  for (let length = 0; !isWhole(buffer.subarray(0, length));) {
    const count = await conn.read(buffer.subarray(length));
    if (count === null) throw new Error(`A connection closed after ${length} bytes of its answer`);
    length += count;
  }
  return conn;
}

/** Bytes of resident memory that one more idle connection adds. */
export async function idleBytes(
  target: Target,
  speech: Speech,
  host: string,
  path: string,
  count: number,
): Promise<number> {
  const request = speech === "HTTP/2"
    ? http2Request(host, path)
    : ascii(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const isWhole = speech === "HTTP/2"
    ? ended
    : (bytes: Uint8Array) => new TextDecoder().decode(bytes).includes("\r\n\r\n");
  const before = rssMb(target.pid);
  const open: Deno.Conn[] = [];
  try {
    while (open.length < count) {
      const n = Math.min(AT_ONCE, count - open.length);
      open.push(
        ...await Promise.all(Array.from({ length: n }, () => openOne(target.port, request, isWhole))),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    return (rssMb(target.pid) - before) * 1e6 / count;
  } finally {
    for (const conn of open) conn.close();
  }
}
