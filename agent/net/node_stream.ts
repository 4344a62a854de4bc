/**
 * A socket of `node:net` or `node:tls` as a {@link ByteStream}, beside `Deno.Conn` (stream.ts): the only sockets of the runtime that
 * can show a client certificate and be asked whose certificate the peer has shown. tests/conformance/byte_stream_test.ts holds both
 * to the same rules.
 *
 * In: a connected socket, made with `allowHalfOpen`, that nobody else reads. Out: reads that hold the peer back when nobody asks,
 * and writes that resolve once the bytes are with the system, so that their buffer is free again.
 *
 * @example
 * ```ts ignore
 * const socket = await connectSocket({ host: "10.0.0.7", port: 15012 });
 * const stream = new NodeStream(await secureSocket(socket, material, host, name));
 * ```
 */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import type { AcceptedStream, StreamAddress } from "../core/ports.ts";

/** A write takes this much at most: TLS keeps a sealed copy of what is under way. */
const MAX_WRITE_BYTES = 256 * 1024;

export class NodeStream implements AcceptedStream {
  readonly local: StreamAddress;
  readonly remote: StreamAddress;
  readonly #socket: Socket;
  /** Came out of the socket and did not fit. */
  #rest: Uint8Array | null = null;
  #ended = false;
  #error: Error | null;
  #closed = false;
  #reading = false;
  #wake: (() => void) | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.local = { hostname: socket.localAddress ?? "", port: socket.localPort ?? 0 };
    this.remote = { hostname: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 };
    this.#error = socket.errored;
    socket.setNoDelay(true);
    const wake = () => this.#signal();
    socket.on("readable", wake);
    socket.on("end", () => {
      this.#ended = true;
      wake();
    });
    socket.on("error", (error: Error) => {
      this.#error ??= error;
      wake();
    });
    socket.on("close", () => {
      this.#error ??= closedError();
      wake();
    });
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (this.#reading) throw new Error("Cannot read: another read of the stream is under way");
    if (into.length === 0) return 0;
    this.#reading = true;
    try {
      for (;;) {
        if (this.#closed) throw closedError();
        const chunk: Uint8Array | null = this.#rest ?? this.#socket.read();
        if (chunk !== null) {
          const n = Math.min(chunk.length, into.length);
          into.set(n === chunk.length ? chunk : chunk.subarray(0, n));
          this.#rest = n === chunk.length ? null : chunk.subarray(n);
          return n;
        }
        if (this.#ended) return null;
        if (this.#error !== null) throw this.#error;
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
    } finally {
      this.#reading = false;
    }
  }

  write(from: Uint8Array): Promise<number> {
    if (this.#closed) return Promise.reject(closedError());
    if (this.#error !== null) return Promise.reject(this.#error);
    const n = Math.min(from.length, MAX_WRITE_BYTES);
    if (n === 0) return Promise.resolve(0);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#socket.write(Buffer.from(from.buffer, from.byteOffset, n), (error) => {
      if (error) reject(this.#error ?? error);
      else resolve(n);
    });
    return promise;
  }

  closeWrite(): Promise<void> {
    if (this.#closed) return Promise.reject(closedError());
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#socket.end((error?: Error | null) => error ? reject(this.#error ?? error) : resolve());
    return promise;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#rest = null;
    this.#socket.destroy();
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

/** Connects by TCP, both halves of its own; rejects with the socket's error. Whoever aborts `signal` later ends the connection. */
export function connectSocket(
  address: { readonly host: string; readonly port: number; readonly signal: AbortSignal },
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({ ...address, allowHalfOpen: true });
  // Stays for ever: an error that nobody listens for ends the process.
  socket.on("error", reject);
  socket.on("close", () => reject(closedError()));
  socket.on("connect", () => resolve(socket));
  return promise;
}
