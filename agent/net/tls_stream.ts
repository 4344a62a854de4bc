/**
 * TLS of `node:tls` over a {@link ByteStream}, as a ByteStream: the only TLS of the runtime that can show a client certificate and be
 * asked whose certificate the peer has shown. tests/conformance/byte_stream_test.ts holds it and `Deno.Conn` to the same rules.
 *
 * In: a connected stream, and what makes a secure socket of it. Out: reads that hold the peer back when nobody asks, and writes that
 * resolve once the bytes are with the stream below, so that their buffer is free again.
 *
 * A secure socket that was paused forgets that its peer has ended (Deno 2.9). So it never is: what is held back are the sealed bytes on
 * their way to it.
 *
 * @example
 * ```ts ignore
 * const tcp = await dialer.dial({ hostname: "10.0.0.7", port: 15012 }, 5000);
 * const stream = await secureStream(tcp, (wire) => secureSocket(wire, material, host, name));
 * ```
 */
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { AcceptedStream, ByteStream, StreamAddress } from "../core/ports.ts";
import { writeAll } from "../core/write_all.ts";

/** Opened bytes that nobody has read, from which on no more sealed ones are taken in. */
const MAX_WAITING_BYTES = 64 * 1024;
/** Sealed bytes taken in at once. */
const SEALED_BYTES = 64 * 1024;
/** A write takes this much at most: a sealed copy of it is made. */
const MAX_WRITE_BYTES = 256 * 1024;

/** Rejects as `secure` does; the stream is closed then. */
export async function secureStream(
  stream: AcceptedStream,
  secure: (wire: Duplex) => Promise<TLSSocket>,
): Promise<TlsStream> {
  const wire = new Wire(stream);
  try {
    return new TlsStream(stream, wire, await secure(wire));
  } catch (error) {
    wire.destroy();
    throw error;
  }
}

/** The stream below, as node:tls wants it. */
class Wire extends Duplex {
  readonly #stream: ByteStream;
  #held = false;
  /** Bytes were asked for while they were held back. */
  #asked = false;

  constructor(stream: ByteStream) {
    super({ allowHalfOpen: true });
    this.#stream = stream;
    // Its errors are told by the secure socket; this stays for the time after.
    this.on("error", () => {});
  }

  hold(): void {
    this.#held = true;
  }

  letGo(): void {
    this.#held = false;
    if (!this.#asked) return;
    this.#asked = false;
    this._read();
  }

  override _read(): void {
    if (this.#held) {
      this.#asked = true;
      return;
    }
    // It goes on in there, so each needs its own.
    const sealed = Buffer.allocUnsafe(SEALED_BYTES);
    this.#stream.read(sealed).then(
      (n) => this.push(n === null ? null : sealed.subarray(0, n)),
      (error) => this.destroy(error),
    );
  }

  override _write(bytes: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    writeAll(this.#stream, bytes).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#stream.closeWrite().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#stream.close();
    done(error);
  }
}

export class TlsStream implements AcceptedStream {
  readonly local: StreamAddress;
  readonly remote: StreamAddress;
  /** Of it the certificate of the peer can be asked. */
  readonly socket: TLSSocket;
  readonly #wire: Wire;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #ended = false;
  #error: Error | null;
  #closed = false;
  #writeClosed: Promise<void> | null = null;
  #reading = false;
  /** Reads that came while one was under way. */
  #queue: (() => void)[] = [];
  #wake: (() => void) | null = null;

  constructor(stream: AcceptedStream, wire: Wire, socket: TLSSocket) {
    this.local = stream.local;
    this.remote = stream.remote;
    this.socket = socket;
    this.#wire = wire;
    this.#error = socket.errored;
    socket.on("data", (bytes: Uint8Array) => {
      this.#waiting.push(bytes);
      this.#waitingBytes += bytes.length;
      if (this.#waitingBytes > MAX_WAITING_BYTES) wire.hold();
      this.#signal();
    });
    socket.on("end", () => {
      this.#ended = true;
      this.#signal();
    });
    const fail = (error: Error) => this.#fail(error);
    socket.on("error", fail);
    socket.on("close", () => fail(closedError()));
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (into.length === 0) return 0;
    if (this.#reading) await new Promise<void>((resolve) => this.#queue.push(resolve));
    this.#reading = true;
    try {
      for (;;) {
        if (this.#closed) throw closedError();
        if (this.#waitingBytes > 0) return this.#take(into);
        if (this.#ended) return null;
        if (this.#error !== null) throw this.#error;
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
    } finally {
      const next = this.#queue.shift();
      if (next === undefined) this.#reading = false;
      else next();
    }
  }

  write(from: Uint8Array): Promise<number> {
    const error = this.#closed ? closedError() : this.#error;
    if (error !== null) return Promise.reject(error);
    // The socket would break as a whole.
    if (this.#writeClosed !== null) return Promise.reject(new Error("The stream is closed for writing"));
    const n = Math.min(from.length, MAX_WRITE_BYTES);
    if (n === 0) return Promise.resolve(0);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.socket.write(Buffer.from(from.buffer, from.byteOffset, n), (error) => {
      if (error) reject(this.#error ?? error);
      else resolve(n);
    });
    return promise;
  }

  closeWrite(): Promise<void> {
    if (this.#closed) return Promise.reject(closedError());
    return this.#writeClosed ??= new Promise((resolve, reject) => {
      this.socket.end((error?: Error | null) => error ? reject(this.#error ?? error) : resolve());
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#fail(closedError());
    this.socket.destroy();
    this.#wire.destroy();
  }

  #take(into: Uint8Array): number {
    const first = this.#waiting[0]!;
    const n = Math.min(first.length, into.length);
    if (n === first.length) {
      into.set(first);
      this.#waiting.shift();
    } else {
      into.set(first.subarray(0, n));
      this.#waiting[0] = first.subarray(n);
    }
    this.#waitingBytes -= n;
    if (this.#waitingBytes <= MAX_WAITING_BYTES) this.#wire.letGo();
    return n;
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#signal();
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}

function closedError(): Error {
  return new Error("The stream is closed");
}
