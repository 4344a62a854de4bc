/**
 * GETs of the agent's own, to Pilot's v1 API: plain HTTP/1.1 over the agent's codecs, connections kept for the next poll.
 * Nothing here looks at *_proxy variables (`fetch` would): they lead back to the agent itself.
 *
 * @example
 * ```ts ignore
 * const http = createHttpClient();
 * const { status, body } = await http.get({ host: "istio-pilot.istio-system", port: 8080 }, "/v1/registration", {
 *   timeoutMs: 10_000,
 *   maxBytes: 64 << 20,
 * });
 * http.close();
 * ```
 */
import type { Code } from "../core/codes.ts";
import { MeshError } from "../core/errors.ts";
import type {
  AcceptedStream,
  ConnectStep,
  Dialer,
  HttpAnswer,
  HttpClient,
  Resolver,
  StreamAddress,
} from "../core/ports.ts";
import { writeAll } from "../core/write_all.ts";
import { ChunkedDecoder } from "../wire/http1/chunked.ts";
import { findHeadEnd, MessageHead, parseResponseHead } from "../wire/http1/head.ts";
import { problemOf } from "../wire/http1/problems.ts";
import { createDialer } from "./dial.ts";
import { systemResolver } from "./dns.ts";

interface Target {
  readonly host: string;
  readonly port: number;
}

type GetOptions = Parameters<HttpClient["get"]>[2];

const READ_BYTES = 64 * 1024;
const LIMITS = { maxHeadBytes: 64 * 1024, maxTargetBytes: 64 * 1024 };
const MAX_HEADERS = 100;
/** Interim answers before the real one; no server has more than two or three. */
const MAX_INTERIM = 10;
/** Kept for each address; a poll asks one thing after the other. */
const MAX_IDLE = 2;

/** With the network's own dialer and resolver unless others are given. */
export function createHttpClient(
  { dialer = createDialer(), resolver = systemResolver }: {
    readonly dialer?: Dialer;
    readonly resolver?: Resolver;
  } = {},
): HttpClient {
  return new Client(dialer, resolver);
}

class Client implements HttpClient {
  readonly #dialer: Dialer;
  readonly #resolver: Resolver;
  readonly #idle = new Map<string, AcceptedStream[]>();
  readonly #busy = new Set<AcceptedStream>();
  #closed = false;

  constructor(dialer: Dialer, resolver: Resolver) {
    this.#dialer = dialer;
    this.#resolver = resolver;
  }

  async get(target: Target, path: string, options: GetOptions): Promise<HttpAnswer> {
    const deadline = new Deadline(options.timeoutMs);
    try {
      const kept = this.#idle.get(textOf(target))?.pop();
      if (kept !== undefined) {
        try {
          return await this.#exchange(kept, target, path, options, deadline);
        } catch (error) {
          // The server may have closed it while it was idle: nothing was answered, so a GET may be sent again.
          if (!(error instanceof Untouched)) throw error;
        }
      }
      const connecting = new Deadline(
        Math.min(deadline.leftMs(), options.connectTimeoutMs ?? options.timeoutMs),
      );
      const fresh = await this.#connect(target, options, connecting).finally(() => connecting.end());
      return await this.#exchange(fresh, target, path, options, deadline);
    } catch (error) {
      throw error instanceof Untouched ? failure("D202", target, error.reason) : error;
    } finally {
      deadline.end();
    }
  }

  close(): void {
    this.#closed = true;
    for (const streams of this.#idle.values()) for (const stream of streams) stream.close();
    this.#idle.clear();
    for (const stream of this.#busy) stream.close();
  }

  async #connect(target: Target, { onStep }: GetOptions, deadline: Deadline): Promise<AcceptedStream> {
    const tell = onStep ?? ((_step: ConnectStep) => {});
    tell("DNS");
    let addresses: readonly string[];
    try {
      addresses = await deadline.race(this.#resolver.resolve(target.host));
    } catch (cause) {
      if (cause instanceof TimedOut) throw failure("D201", target, `no answer within ${deadline.ms} ms`);
      throw failure("D201", target, reasonOf(cause), cause);
    }
    tell("TCP");
    let last: unknown = new Error("the name has no address");
    for (const hostname of addresses) {
      // A half of what is left for each but the last, so that a dead first address does not use it all up.
      const leftMs = deadline.leftMs();
      const ms = hostname === addresses.at(-1) ? leftMs : Math.ceil(leftMs / 2);
      try {
        const stream = await this.#dialer.dial({ hostname, port: target.port }, Math.max(1, ms));
        if (!this.#closed) return stream;
        stream.close();
        throw failure("D202", target, "the agent is closing");
      } catch (cause) {
        if (this.#closed) throw cause;
        last = cause;
      }
    }
    throw failure("D202", target, reasonOf(last), last);
  }

  async #exchange(
    stream: AcceptedStream,
    target: Target,
    path: string,
    options: GetOptions,
    deadline: Deadline,
  ): Promise<HttpAnswer> {
    this.#busy.add(stream);
    let keep = false;
    const stop = deadline.onEnd(() => stream.close());
    try {
      const reader = new AnswerReader(stream, target, path, options.maxBytes);
      await writeAll(stream, requestOf(target, path));
      const answer = await reader.read();
      keep = reader.reusable && !this.#closed;
      return answer;
    } catch (error) {
      if (deadline.over) {
        throw failure("D202", target, `${path} was not answered within ${deadline.ms} ms`, error);
      }
      if (error instanceof MeshError || error instanceof Untouched) throw error;
      throw new Untouched(`the connection was lost (${reasonOf(error)})`);
    } finally {
      stop();
      this.#busy.delete(stream);
      if (keep) this.#keep(textOf(target), stream);
      else stream.close();
    }
  }

  #keep(key: string, stream: AcceptedStream): void {
    let streams = this.#idle.get(key);
    if (streams === undefined) this.#idle.set(key, streams = []);
    streams.push(stream);
    if (streams.length > MAX_IDLE) streams.shift()?.close();
  }
}

/** The connection ended before a byte of the answer came. */
class Untouched extends Error {
  readonly reason: string;
  constructor(reason: string) {
    super(reason);
    this.reason = reason;
  }
}

class TimedOut extends Error {}

/** One time limit over all steps of a GET. */
class Deadline {
  readonly ms: number;
  over = false;
  readonly #until: number;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #told = new Set<() => void>();

  constructor(ms: number) {
    this.ms = ms;
    this.#until = performance.now() + ms;
    this.#timer = setTimeout(() => {
      this.over = true;
      for (const tell of [...this.#told]) tell();
    }, Math.min(ms, 0x7fffffff));
  }

  leftMs(): number {
    return Math.max(0, this.#until - performance.now());
  }

  onEnd(tell: () => void): () => void {
    if (this.over) tell();
    this.#told.add(tell);
    return () => this.#told.delete(tell);
  }

  async race<T>(promise: Promise<T>): Promise<T> {
    let stop = () => {};
    const late = new Promise<never>((_, reject) => {
      stop = this.onEnd(() => reject(new TimedOut()));
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      stop();
    }
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** Reads one answer from a connection. */
class AnswerReader {
  /** After `read`: the connection can carry another request. */
  reusable = false;
  readonly #stream: AcceptedStream;
  readonly #target: Target;
  readonly #path: string;
  readonly #maxBytes: number;
  #buf = new Uint8Array(READ_BYTES);
  #start = 0;
  #end = 0;

  constructor(stream: AcceptedStream, target: Target, path: string, maxBytes: number) {
    this.#stream = stream;
    this.#target = target;
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  async read(): Promise<HttpAnswer> {
    const head = await this.#readHead();
    const bodiless = head.status === 204 || head.status === 304;
    const body = bodiless
      ? new Uint8Array(0)
      : head.chunked
      ? await this.#readChunked()
      : head.contentLength >= 0
      ? await this.#readLength(head.contentLength)
      : await this.#readToEnd();
    if (head.status === 400 && /HTTP request to an HTTPS server/.test(textOfBytes(body))) {
      throw failure("D205", this.#target, "it speaks TLS");
    }
    const framed = bodiless || head.chunked || head.contentLength >= 0;
    this.reusable = framed && !head.close && (head.minor === 1 || head.keepAlive) &&
      this.#start === this.#end;
    return { status: head.status, contentType: head.value("content-type") ?? "", body };
  }

  async #readHead(): Promise<MessageHead> {
    let from = 0;
    let interim = 0;
    for (;;) {
      const found = findHeadEnd(this.#buf, from, this.#end);
      const looksWrong = this.#end > 0 && this.#buf[this.#start] !== 0x48;
      if (found > 0 || looksWrong || this.#end - this.#start > LIMITS.maxHeadBytes) {
        const head = new MessageHead(MAX_HEADERS);
        const pos = looksWrong ? -1 : parseResponseHead(head, this.#buf, this.#start, this.#end, LIMITS);
        if (looksWrong || pos < 0) throw this.#notHttp(looksWrong ? undefined : problemOf(pos).what);
        if (pos > 0) {
          head.text; // Keeps the text: the buffer is written again.
          this.#start = pos;
          // Interim answers (100, 103) come before the real one.
          if (head.status >= 200 || head.status === 101) return head;
          if (++interim > MAX_INTERIM) throw this.#notHttp("interim answers without end");
          from = pos;
          continue;
        }
      }
      from = found > 0 ? found : ~found;
      if (await this.#fill() === 0) {
        throw this.#end === 0
          ? new Untouched("the server closed the connection without an answer")
          : this.#lost("in the middle of the answer's head");
      }
    }
  }

  async #readLength(length: number): Promise<Uint8Array> {
    if (length > this.#maxBytes) throw this.#tooBig(`${length}`);
    const body = new Uint8Array(length);
    const ready = Math.min(length, this.#end - this.#start);
    body.set(this.#buf.subarray(this.#start, this.#start + ready));
    this.#start += ready;
    for (let at = ready; at < length;) {
      const n = await this.#stream.read(body.subarray(at));
      if (n === null) throw this.#lost(`after ${at} of ${length} bytes`);
      at += n;
    }
    return body;
  }

  async #readChunked(): Promise<Uint8Array> {
    const decoder = new ChunkedDecoder();
    const body = new Collector(this.#maxBytes, () => this.#tooBig(`more than ${this.#maxBytes}`));
    for (;;) {
      if (this.#start === this.#end) {
        this.#start = this.#end = 0;
        if (await this.#fill() === 0) throw this.#lost(`after ${body.size} bytes`);
      }
      const pos = decoder.decode(this.#buf, this.#start, this.#end);
      if (pos < 0) throw this.#notHttp(problemOf(pos).what);
      body.add(this.#buf.subarray(decoder.dataStart, decoder.dataEnd));
      this.#start = pos;
      if (decoder.done) return body.bytes();
    }
  }

  async #readToEnd(): Promise<Uint8Array> {
    const body = new Collector(this.#maxBytes, () => this.#tooBig(`more than ${this.#maxBytes}`));
    do {
      body.add(this.#buf.subarray(this.#start, this.#end));
      this.#start = this.#end = 0;
    } while (await this.#fill() > 0);
    return body.bytes();
  }

  /** Bytes read behind what is there; 0 at the end of input. */
  async #fill(): Promise<number> {
    if (this.#end === this.#buf.length) {
      const bigger = new Uint8Array(this.#buf.length * 2);
      bigger.set(this.#buf);
      this.#buf = bigger;
    }
    const n = await this.#stream.read(this.#buf.subarray(this.#end));
    this.#end += n ?? 0;
    return n ?? 0;
  }

  #notHttp(reason: string | undefined): MeshError {
    const first = this.#buf[this.#start];
    const what = reason !== undefined
      ? `its answer is malformed (${reason})`
      : first === 0x15
      ? "it speaks TLS"
      : first === 0 && this.#buf[this.#start + 3] === 4
      ? "it speaks HTTP/2, as gRPC does"
      : "its answer is not HTTP/1.1";
    return failure("D205", this.#target, what);
  }

  #lost(where: string): MeshError {
    return failure("D202", this.#target, `the connection was lost ${where} of ${this.#path}`);
  }

  #tooBig(size: string): MeshError {
    return new MeshError(
      "D221",
      `Cannot take in ${this.#path} of "${textOf(this.#target)}": ` +
        `it has ${size} bytes; want at most ${this.#maxBytes}`,
    );
  }
}

/** A body whose length is known at its end. One buffer that grows: a chunk may be a single byte. */
class Collector {
  size = 0;
  #bytes = new Uint8Array(READ_BYTES);
  readonly #maxBytes: number;
  readonly #tooBig: () => MeshError;

  constructor(maxBytes: number, tooBig: () => MeshError) {
    this.#maxBytes = maxBytes;
    this.#tooBig = tooBig;
  }

  add(piece: Uint8Array): void {
    const end = this.size + piece.length;
    if (end > this.#maxBytes) throw this.#tooBig();
    if (end > this.#bytes.length) {
      const bigger = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      bigger.set(this.#bytes.subarray(0, this.size));
      this.#bytes = bigger;
    }
    this.#bytes.set(piece, this.size);
    this.size = end;
  }

  /** A view; add nothing after it. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.size);
  }
}

function requestOf(target: Target, path: string): Uint8Array {
  return new TextEncoder().encode(
    `GET ${path} HTTP/1.1\r\nhost: ${textOf(target)}\r\naccept: */*\r\nuser-agent: mesh-agent\r\n\r\n`,
  );
}

function textOfBytes(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(0, 200));
}

function textOf({ host, port }: Target): StreamAddress["hostname"] {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

const WANTED: Readonly<Partial<Record<Code, string>>> = {
  D201: "want a host that the name servers know",
  D202: "want Pilot's v1 API listening there",
  D205: "want Pilot's v1 API, which speaks HTTP/1.1",
};

function failure(code: Code, target: Target, reason: string, cause?: unknown): MeshError {
  const [verb, thing] = code === "D201" ? ["resolve", target.host] : ["ask", textOf(target)];
  return new MeshError(code, `Cannot ${verb} "${thing}": ${reason}; ${WANTED[code]}`, {
    side: "upstream",
    cause,
  });
}

function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.replace(/^Cannot connect to "[^"]*": /, "");
}
