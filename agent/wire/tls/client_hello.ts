/**
 * What a TLS client says first (RFC 8446 section 4.1.2), looked at and left as it is: which server it wants (SNI, RFC 6066
 * section 3) and which protocols it speaks (ALPN, RFC 7301).
 *
 * In: the first bytes of a connection, however many there are. Out: a {@link ClientHello}, or whether more bytes are wanted, or
 * that this is no TLS. Nothing is kept between calls: with more bytes, ask again from the start.
 *
 * @example
 * ```ts ignore
 * const hello = readClientHello(buffer, 0, received);
 * if (hello === NEED_MORE) await fill();
 * else if (hello !== NOT_TLS) hello.serverName; // "reviews.example.com"
 * ```
 */

export interface ClientHello {
  /** Lower-case, without a final dot; empty when there is none. */
  readonly serverName: string;
  readonly applicationProtocols: readonly string[];
}

/** The bytes may become a ClientHello. */
export const NEED_MORE = "more";
/** They are none: another protocol, or a broken one. */
export const NOT_TLS = "not-tls";

/** A hello with more than this, record heads left out, is taken for no TLS; post-quantum key shares make about 2 KiB. */
export const MAX_HELLO_BYTES = 16 * 1024;
/** As much of a connection as a hello can take, spread over many records. */
export const MAX_HELLO_WIRE_BYTES = 2 * MAX_HELLO_BYTES;

const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const RECORD_HEAD_BYTES = 5;
const MAX_RECORD_BYTES = 16 * 1024;
const SERVER_NAME = 0;
const ALPN = 16;

export function readClientHello(
  bytes: Uint8Array,
  start: number,
  end: number,
): ClientHello | typeof NEED_MORE | typeof NOT_TLS {
  let message: Uint8Array | undefined;
  let collected = 0;
  for (let at = start;;) {
    // Any byte that does not fit says at once that this is something else, so that nobody waits for more.
    if (at < end && bytes[at] !== HANDSHAKE_RECORD) return NOT_TLS;
    if (at + 1 < end && bytes[at + 1] !== 3) return NOT_TLS;
    if (end - at < RECORD_HEAD_BYTES) return NEED_MORE;
    const length = (bytes[at + 3] as number) << 8 | bytes[at + 4] as number;
    if (length === 0 || length > MAX_RECORD_BYTES) return NOT_TLS;
    const from = at + RECORD_HEAD_BYTES;
    const available = Math.min(length, end - from);
    if (collected === 0) {
      if (available > 0 && bytes[from] !== CLIENT_HELLO) return NOT_TLS;
      // The usual case: one record holds it all.
      message = bytes.subarray(from, from + available);
    } else {
      const joined = new Uint8Array(collected + available);
      joined.set(message as Uint8Array);
      joined.set(bytes.subarray(from, from + available), collected);
      message = joined;
    }
    collected += available;
    const seen = message;
    if (collected >= 4) {
      const size = (seen[1] as number) << 16 | (seen[2] as number) << 8 | seen[3] as number;
      if (size > MAX_HELLO_BYTES) return NOT_TLS;
      if (collected >= 4 + size) return readBody(seen.subarray(4, 4 + size));
    }
    if (available < length) return NEED_MORE;
    at = from + length;
    if (at - start > MAX_HELLO_WIRE_BYTES) return NOT_TLS;
  }
}

/** Bounds are checked by going beyond: what is not there reads as -1. */
class Fields {
  at = 0;
  constructor(readonly bytes: Uint8Array) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  u8(): number {
    return this.at < this.bytes.length ? this.bytes[this.at++] as number : -1;
  }

  u16(): number {
    if (this.left < 2) return -1;
    return this.u8() << 8 | this.u8();
  }

  /** The next `length` bytes; undefined when they are not there. */
  take(length: number): Uint8Array | undefined {
    if (length < 0 || length > this.left) return undefined;
    return this.bytes.subarray(this.at, this.at += length);
  }
}

function readBody(bytes: Uint8Array): ClientHello | typeof NOT_TLS {
  const f = new Fields(bytes);
  // Version and random, session id, cipher suites, compression methods.
  if (f.take(34) === undefined) return NOT_TLS;
  if (f.take(f.u8()) === undefined || f.take(f.u16()) === undefined || f.take(f.u8()) === undefined) {
    return NOT_TLS;
  }
  let serverName = "";
  let applicationProtocols: readonly string[] = [];
  // TLS 1.2 may end here.
  if (f.left === 0) return { serverName, applicationProtocols };
  const extensions = f.take(f.u16());
  if (extensions === undefined) return NOT_TLS;
  const e = new Fields(extensions);
  while (e.left > 0) {
    const type = e.u16();
    const data = e.take(e.u16());
    if (data === undefined) return NOT_TLS;
    if (type === SERVER_NAME) {
      const name = readServerName(data);
      if (name === undefined) return NOT_TLS;
      serverName = name;
    } else if (type === ALPN) {
      const protocols = readProtocols(data);
      if (protocols === undefined) return NOT_TLS;
      applicationProtocols = protocols;
    }
  }
  return { serverName, applicationProtocols };
}

function readServerName(data: Uint8Array): string | undefined {
  const list = new Fields(data);
  const names = list.take(list.u16());
  if (names === undefined) return undefined;
  const f = new Fields(names);
  while (f.left > 0) {
    const type = f.u8();
    const name = f.take(f.u16());
    if (name === undefined) return undefined;
    if (type === 0) return textOf(name).toLowerCase().replace(/\.$/, "");
  }
  return "";
}

function readProtocols(data: Uint8Array): string[] | undefined {
  const list = new Fields(data);
  const names = list.take(list.u16());
  if (names === undefined) return undefined;
  const f = new Fields(names);
  const protocols: string[] = [];
  while (f.left > 0) {
    const name = f.take(f.u8());
    if (name === undefined || name.length === 0) return undefined;
    protocols.push(textOf(name));
  }
  return protocols;
}

/** One char per byte. */
function textOf(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
