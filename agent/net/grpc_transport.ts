/**
 * The {@link StreamTransport} over grpc-js: names to addresses, TLS files and token, one connection to the first address that
 * answers, one call on it, and every failure in words of the settings.
 *
 * In: a {@link StreamTarget} and the metadata of the call. Out: a {@link MessageStream}. Nothing of grpc-js shows (it is all in
 * grpc_connection.ts). No *_proxy variable is ever obeyed.
 *
 * @example
 * ```ts ignore
 * const stream = await createGrpcTransport().open(target, []);
 * stream.send(request);
 * for await (const response of stream.messages) apply(response);
 * ```
 */
import type { MessageStream, StreamTarget, StreamTransport } from "../core/ports.ts";
import { addressText, callFailure, type Failure, failureError, tcpFailure } from "./connect_error.ts";
import { resolveName } from "./dns.ts";
import { GrpcConnection, prepareGrpc } from "./grpc_connection.ts";
import { readToken } from "./token_file.ts";

export interface GrpcTransportOptions {
  /** Names to addresses; default: the system's resolver. */
  readonly resolve?: (hostname: string, signal: AbortSignal) => Promise<readonly string[]>;
}

type Metadata = readonly (readonly [string, string])[];

export function createGrpcTransport({ resolve = resolveName }: GrpcTransportOptions = {}): StreamTransport {
  prepareGrpc();
  return {
    async open(target, metadata) {
      const giveUp = new AbortController();
      const timer = setTimeout(() => giveUp.abort(), Math.min(target.connectTimeoutMs, 0x7fffffff));
      const stop = () => giveUp.abort();
      target.signal?.addEventListener("abort", stop, { once: true });
      if (target.signal?.aborted === true) stop();
      try {
        return await open(target, metadata, resolve, giveUp.signal);
      } finally {
        clearTimeout(timer);
        target.signal?.removeEventListener("abort", stop);
      }
    },
  };
}

async function open(
  target: StreamTarget,
  metadata: Metadata,
  resolve: NonNullable<GrpcTransportOptions["resolve"]>,
  signal: AbortSignal,
): Promise<MessageStream> {
  const text = addressText(target);
  target.onStep("DNS");
  let addresses: readonly string[];
  try {
    addresses = await before(signal, resolve(target.host, signal));
  } catch (cause) {
    throw failureError("resolve", target.host, dnsFailure(target, signal, cause));
  }
  target.onStep("TCP");
  const failures: Failure[] = [];
  for (const [i, address] of addresses.entries()) {
    const connection = new GrpcConnection({
      address,
      port: target.port,
      authority: text.slice(text.indexOf("//") + 2),
      path: target.path,
      metadata,
      maxMessageBytes: target.maxMessageBytes,
      keepaliveMs: target.keepaliveMs,
      signal,
      onConnected: () => target.onStep("stream"),
    });
    const end = await Promise.race([connection.ready, connection.ended]);
    if (end === undefined) return new GrpcStream(connection, text);
    connection.close();
    failures.push(tcpFailure(end.details));
  }
  throw failureError("connect to", text, failures[0]!);
}

class GrpcStream implements MessageStream {
  readonly messages: AsyncIterable<Uint8Array>;
  readonly #connection: GrpcConnection;
  #closed = false;

  constructor(connection: GrpcConnection, text: string) {
    this.#connection = connection;
    this.messages = this.#read(text);
  }

  send(message: Uint8Array): void {
    this.#connection.send(message);
  }

  close(): void {
    this.#closed = true;
    this.#connection.close();
  }

  async *#read(text: string): AsyncGenerator<Uint8Array> {
    try {
      while (true) {
        const message = await this.#connection.next();
        if (message === null) break;
        yield message;
      }
      if (this.#closed) return;
      const status = await this.#connection.ended;
      if (status.code === 0) return;
      throw failureError(
        "keep the stream from",
        text,
        callFailure(status, this.#connection.socketClosed ? "by peer" : "no"),
      );
    } finally {
      this.close();
    }
  }
}

/** `promise`, or a rejection as soon as the signal goes. */
function before<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

function dnsFailure(target: StreamTarget, signal: AbortSignal, cause: unknown): Failure {
  const state = signal.aborted
    ? `no answer from the name server within ${target.connectTimeoutMs} ms`
    : "the name has no address";
  return { code: "D201", state, wanted: "want a name that the system's resolver knows", cause };
}
