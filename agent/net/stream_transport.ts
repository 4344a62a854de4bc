/**
 * The {@link StreamTransport}, whoever carries the call: TLS files and token, name to addresses, one connection to the first
 * address that answers, one call on it, and every failure in words of the settings.
 *
 * In: a {@link StreamTarget} and the metadata of the call. Out: a {@link MessageStream}. No *_proxy variable is ever obeyed.
 *
 * A dead peer is found by HTTP/2 pings where {@link StreamTarget.keepaliveMs} allows them, else by TCP keepalive as the system has it.
 *
 * @example
 * ```ts ignore
 * const stream = await createHttp2Transport().open(target, []);
 * stream.send(request);
 * for await (const response of stream.messages) apply(response);
 * ```
 */
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { MeshError } from "../core/errors.ts";
import { NoAnswer, type StreamTarget, type StreamTransport } from "../core/ports.ts";
import type { CallConnection, Connect } from "./call_connection.ts";
import { CallStream } from "./call_stream.ts";
import { addressText, type Failure, failureError, tcpFailure } from "./connect_error.ts";
import { resolveName, SILENCE } from "./dns.ts";
import type { ReadScope } from "./read_scope.ts";
import type { TlsMaterial } from "./tls_files.ts";
import { isAlert, refusalOf, TlsRefusal } from "./tls_refusal.ts";
import { readToken } from "./token_file.ts";

/** What plaintext that comes about does without: 8 MB of TLS in the runtime. */
const loadTls = () => import("./tls_connect.ts");
const loadTlsFiles = () => import("./tls_files.ts");
const loadDiagnosis = () => import("./diagnose_connection.ts");

export interface StreamTransportOptions {
  /** Names to addresses; default: the system's resolver. */
  readonly resolve?: (hostname: string, signal: AbortSignal, port: number) => Promise<readonly string[]>;
  /** What the paths of certificates and token may lead to; default: everywhere. */
  readonly scope?: ReadScope;
}

type Metadata = readonly (readonly [string, string])[];

/** Over connections of this kind. */
export function createStreamTransport(
  connect: Connect,
  { resolve = (host, signal) => resolveName(host, signal), scope }: StreamTransportOptions = {},
): StreamTransport {
  return {
    async open(target, metadata) {
      checkMetadata(target, metadata);
      const limit = new Limit(target.connectTimeoutMs, target.signal);
      try {
        const { material, token } = await readIdentity(target, scope);
        const dial = new Dial(connect, target, metadata, material, token, limit);
        const connection = await dial.first(await dial.resolve(resolve));
        return new CallStream(connection, addressText(target), token);
      } finally {
        limit.end();
      }
    },
  };
}

/** A time limit as a signal; also goes when `outer` does. */
class Limit {
  readonly #controller = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #endsMs: number;
  readonly #stop = () => this.#controller.abort();

  constructor(readonly ms: number, readonly outer: AbortSignal | undefined) {
    this.#endsMs = performance.now() + ms;
    this.#timer = setTimeout(this.#stop, Math.min(ms, 0x7fffffff));
    outer?.addEventListener("abort", this.#stop, { once: true });
    if (outer?.aborted === true) this.#stop();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get leftMs(): number {
    return Math.max(1, Math.ceil(this.#endsMs - performance.now()));
  }

  /** Aborts nothing any more. */
  end(): void {
    clearTimeout(this.#timer);
    this.outer?.removeEventListener("abort", this.#stop);
  }
}

/** What no header can say would otherwise be cut off, or end the connection. */
function checkMetadata(target: StreamTarget, metadata: Metadata): void {
  for (const [name, value] of metadata) {
    if (/^[\x20-\x7e]*$/.test(value)) continue;
    throw failureError("open a stream to", addressText(target), {
      code: "D210",
      state: `the metadata ${name} has characters that no header has`,
      wanted: "want printable ASCII",
      hint: "Correct discovery.clusterId (ISTIO_META_CLUSTER_ID).",
    });
  }
}

/** Files are looked at before anything is dialed: what they lack no control plane can mend. */
async function readIdentity(
  target: StreamTarget,
  scope: ReadScope | undefined,
): Promise<{ material?: TlsMaterial; token?: string }> {
  const { tls, tokenFile, onStep } = target;
  let material: TlsMaterial | undefined;
  if (tls !== undefined) {
    const read = await (await loadTlsFiles()).readTlsFiles(tls, scope);
    if ("code" in read) {
      onStep("TLS");
      throw failureError("set up TLS to", addressText(target), read);
    }
    material = read;
  }
  // Over plaintext it would be told to everyone on the way.
  if (tokenFile === undefined || tokenFile === "" || material === undefined) {
    if (tls?.clientCertificate !== undefined && material?.cert === undefined) {
      onStep("TLS");
      throw failureError("set up TLS to", addressText(target), {
        code: "D203",
        state: `client certificate file "${tls.clientCertificate}" does not exist and no token file is set`,
        wanted: "want one of them",
        hint:
          "Mount cert-chain.pem and key.pem where discovery.certDirectory says, or set discovery.tokenFile.",
      });
    }
    return material === undefined ? {} : { material };
  }
  const read = await readToken(tokenFile, scope);
  if ("token" in read) return { material, token: read.token };
  if (read.missing && material.cert !== undefined) return { material };
  onStep("token");
  throw failureError("prove the agent's identity to", addressText(target), read.failure);
}

/** One `open`, from the name to the connection. */
class Dial {
  readonly #text: string;
  #step: "TCP" | "TLS" | "stream" = "TCP";

  constructor(
    readonly connect: Connect,
    readonly target: StreamTarget,
    readonly metadata: Metadata,
    readonly material: TlsMaterial | undefined,
    readonly token: string | undefined,
    readonly limit: Limit,
  ) {
    this.#text = addressText(target);
  }

  async resolve(resolve: NonNullable<StreamTransportOptions["resolve"]>): Promise<readonly string[]> {
    const { host, onStep } = this.target;
    onStep("DNS");
    const { signal } = this.limit;
    try {
      return await before(signal, resolve(host, signal, this.target.port));
    } catch (cause) {
      if (cause instanceof MeshError) throw cause;
      const state = signal.aborted
        ? this.#late(SILENCE)
        : cause instanceof NoAnswer
        ? cause.message
        : "the name has no address";
      throw failureError(`resolve`, host, {
        code: "D201",
        state,
        wanted: "want a name that can be resolved",
        cause,
      });
    }
  }

  /** A connection to the first of the addresses that takes one; a half of the time left for each but the last. */
  async first(addresses: readonly string[]): Promise<CallConnection> {
    const failures: { address: string; failure: Failure }[] = [];
    for (const [i, address] of addresses.entries()) {
      if (this.limit.signal.aborted) break;
      const { leftMs } = this.limit;
      const part = addresses.length === 1
        ? this.limit
        : new Limit(i === addresses.length - 1 ? leftMs : leftMs / 2, this.limit.signal);
      try {
        const outcome = await this.#try(address, part);
        if ("ready" in outcome) return outcome;
        failures.push({ address, failure: outcome });
      } finally {
        part.end();
      }
    }
    throw this.#failed(failures);
  }

  #failed(failures: readonly { address: string; failure: Failure }[]): Error {
    const verb = { TCP: "connect to", TLS: "set up TLS to", stream: "open a stream to" }[this.#step];
    const last = failures.at(-1);
    if (last === undefined) {
      return failureError(verb, this.#text, { code: "D202", state: this.#late("no connection") });
    }
    if (failures.length === 1) return failureError(verb, this.#text, last.failure);
    const state = failures.map(({ address, failure }) => `${failure.state} (${address})`).join(", ");
    return failureError(verb, this.#text, { ...last.failure, state });
  }

  async #try(address: string, part: Limit): Promise<CallConnection | Failure> {
    const { target, material, token } = this;
    const { signal } = part;
    this.#enter("TCP");
    let refusal: TlsRefusal | undefined;
    const connection = this.connect({
      address,
      port: target.port,
      authority: this.#text.slice(this.#text.indexOf("//") + 2),
      path: target.path,
      metadata: token === undefined
        ? this.metadata
        : [...this.metadata, ["authorization", `Bearer ${token}`]],
      maxMessageBytes: target.maxMessageBytes,
      keepaliveMs: target.keepaliveMs,
      signal,
      onConnected: () => {
        if (material === undefined) this.#enter("stream");
      },
      ...(material === undefined ? {} : {
        secure: async (socket) => {
          this.#enter("TLS");
          try {
            const secured = await this.#secure(socket, material);
            if (token !== undefined) target.onStep("token");
            this.#enter("stream");
            return secured;
          } catch (error) {
            if (error instanceof TlsRefusal) refusal = error;
            throw error;
          }
        },
      }),
    });
    const aborted = Promise.withResolvers<"late">();
    const stop = () => aborted.resolve("late");
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    const outcome = await Promise.race([connection.ready, connection.ended, aborted.promise]);
    signal.removeEventListener("abort", stop);
    if (outcome === undefined) return connection;
    connection.close();
    await connection.gone();
    if (outcome === "late") return this.#lateFailure(part);
    return await this.#explain(address, outcome.details, refusal, connection.socketError, signal);
  }

  #enter(step: "TCP" | "TLS" | "stream"): void {
    this.#step = step;
    this.target.onStep(step);
  }

  #lateFailure(part: Limit): Failure {
    const missing = {
      TCP: "no answer",
      TLS: "no answer to the TLS handshake",
      stream: "no sign of life after connecting",
    }[this.#step];
    const code = this.#step === "TCP" ? "D202" : this.#step === "TLS" ? "D203" : "D209";
    return { code, state: this.#late(missing, part), wanted: "want a control plane that answers" };
  }

  #late(what: string, part = this.limit): string {
    if (this.target.signal?.aborted === true) return "given up, the agent is closing it";
    return `${what} within ${Math.ceil(part.ms)} ms`;
  }

  /** Why the connection to an address ended before HTTP/2 stood. */
  async #explain(
    address: string,
    details: string,
    refusal: TlsRefusal | undefined,
    socketError: Error | undefined,
    signal: AbortSignal,
  ): Promise<Failure> {
    const { port, host } = this.target;
    if (this.#step === "TCP") {
      return tcpFailure(details);
    }
    const { certificateOf, diagnoseAfterTls, diagnosePlaintext, validityFailure } = await loadDiagnosis();
    if (this.material === undefined) {
      return await diagnosePlaintext(address, port, signal) ??
        { code: "D209", state: "it closed the connection", wanted: "want a control plane that is up" };
    }
    if (refusal?.kind === "not TLS" || refusal?.kind === "broken") {
      const found = await diagnosePlaintext(address, port, signal);
      if (found === undefined) {
        return {
          code: "D205",
          state: "it speaks plaintext HTTP/2, not TLS",
          wanted: "want grpc:// for a plaintext port",
        };
      }
      return refusal.kind === "not TLS"
        ? { ...refusal.failure, state: `it does not speak TLS; ${found.state}` }
        : refusal.failure;
    }
    if (refusal?.kind === "chain") {
      const certificate = await certificateOf(address, port, signal, host);
      return certificate === undefined
        ? refusal.failure
        : validityFailure(certificate, Date.now()) ?? refusal.failure;
    }
    if (refusal !== undefined) return refusal.failure;
    const { material } = this;
    const reason = isAlert(socketError)
      ? socketError
      : await diagnoseAfterTls(address, port, (socket) => this.#secure(socket, material), signal);
    if (isAlert(reason)) return refusalOf(reason).failure;
    return {
      code: "D203",
      state: `it closed the connection after the TLS handshake ${
        material.cert === undefined ? "without" : "with"
      } a client certificate`,
      wanted: "want a gRPC server that accepts that",
    };
  }

  async #secure(socket: Duplex, material: TlsMaterial): Promise<TLSSocket> {
    const { host, tls } = this.target;
    const { secureSocket } = await loadTls();
    return await secureSocket(socket, material, host, tls?.serverName || host);
  }
}

/** `promise`, or a rejection as soon as the signal goes. */
function before<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  const { promise: early, resolve, reject } = Promise.withResolvers<T>();
  const stop = () => reject(new Error("late"));
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  return early;
}
