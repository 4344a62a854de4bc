/** One request on an HTTP/2 connection: the source of its body and the responder of its answer. */
import { MeshError } from "../core/errors.ts";
import type { ByteWriter } from "../wire/http1/byte_writer.ts";
import type { MessageHead } from "../wire/http1/head.ts";
import type { Http2Connection, Http2Stream } from "../wire/http2/connection.ts";
import { CANCEL, CONNECT_ERROR, INTERNAL_ERROR, NO_ERROR } from "../wire/http2/problems.ts";
import type { ProxyContext } from "./context.ts";
import type { Expirable } from "./deadlines.ts";
import { DONE, type Exchange, type Framing, type Responder } from "./exchange.ts";
import { isGrpc } from "./grpc.ts";
import { Http2Body } from "./h2_body.ts";
import type { Http2Link } from "./h2_link.ts";
import { Http2Tunnel, TUNNEL_BUFFER_BYTES } from "./h2_tunnel.ts";
import { Input } from "./input.ts";

const CONTINUE = new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n");

/** The connection with its streams. */
export interface StreamHolder {
  readonly proxy: ProxyContext;
  readonly connection: Http2Connection;
  readonly link: Http2Link;
  /** A stream's exchange is over; nobody reads its head any more. */
  left(head: MessageHead): void;
}

export class ServerStream implements Responder, Expirable {
  deadline = Infinity;
  slot = -1;
  // ---- Responder
  readonly http11 = true;
  readonly canTunnel = true;
  begun = false;
  persistent = true;
  sent = 0;
  readonly proxy: ProxyContext;
  readonly connection: Http2Connection;
  readonly link: Http2Link;
  readonly body: Http2Body;
  exchange: Exchange | null = null;
  #out: ByteWriter | null = null;
  #framing: Framing = "none";
  #tunnel: Http2Tunnel | null = null;
  #ended = false;
  #writing = false;
  #continued = false;
  #resume: (() => void) | null = null;

  constructor(
    readonly owner: StreamHolder,
    readonly h2: Http2Stream,
    readonly head: MessageHead,
    endStream: boolean,
  ) {
    this.proxy = owner.proxy;
    this.connection = owner.connection;
    this.link = owner.link;
    // CONNECT has no content, whatever it announces (RFC 9110 section 9.3.6).
    this.body = new Http2Body(this, endStream ? 0 : h2.connect ? -1 : head.contentLength);
    // A length of 0 that is announced still has its end to come. A tunnel waits as long as the splice lets it.
    if (endStream || h2.connect) return;
    this.body.beforeWait = () => this.#waitForBody();
    this.body.afterWait = () => this.#disarm();
  }

  consumed(bytes: number): void {
    this.connection.consumed(this.h2, bytes);
    if (this.connection.pending > 0) this.link.flush();
  }

  #waitForBody(): void {
    const { head } = this;
    if (head.expectContinue && !this.#continued && !this.begun) {
      this.#continued = true;
      this.#respond(CONTINUE, false);
      this.link.flush();
    }
    this.#arm();
  }

  /** A gRPC stream may be silent for as long as it likes; other bodies are expected to get on. */
  #arm(): void {
    if (this.exchange !== null && isGrpc(this.head)) return;
    const { deadlines, config } = this.proxy;
    deadlines.add(this);
    deadlines.arm(this, deadlines.now + config.proxy.timeouts.bodyStallMs);
  }

  #disarm(): void {
    this.deadline = Infinity;
    this.proxy.deadlines.remove(this);
  }

  expire(): void {
    this.#disarm();
    const ex = this.exchange;
    if (ex === null || this.h2.closed) return;
    if (this.#writing) {
      ex.addFlag("SI");
      this.abort();
      this.gone();
      return;
    }
    const { bodyStallMs } = this.proxy.config.proxy.timeouts;
    this.body.fail(
      new MeshError("P107", `Cannot read the request body: nothing came for ${bodyStallMs} ms`, {
        side: "downstream",
      }),
    );
  }

  // ---------------------------------------------------------------- from the connection

  /** The stream is over before its end: the client gave up, or is gone. */
  gone(): void {
    this.#disarm();
    this.exchange?.cancel();
    this.body.fail(
      new MeshError("P112", "Cannot read the request body: the client gave up before its end", {
        side: "downstream",
      }),
    );
    this.resume();
  }

  resume(): void {
    this.#tunnel?.resume();
    const resume = this.#resume;
    this.#resume = null;
    resume?.();
  }

  // ---------------------------------------------------------------- Responder

  interim(out: ByteWriter): Promise<void> {
    if (this.h2.closed) return DONE;
    this.#respond(out.view(), false);
    this.link.flush();
    return DONE;
  }

  begin(out: ByteWriter, status: number, framing: Framing): void {
    if (this.h2.connect && status < 300 && framing !== "tunnel") {
      // The client would take it for its tunnel (RFC 9113 section 8.5, RFC 8441 section 5).
      throw new MeshError(
        "P306",
        `Cannot answer CONNECT with ${status}: that would be a tunnel, and nobody switched protocols`,
        { side: "upstream" },
      );
    }
    this.begun = true;
    this.#out = out;
    this.#framing = framing;
  }

  data(bytes: Uint8Array, last: boolean): Promise<void> {
    const { h2 } = this;
    if (h2.closed) return this.#refuse();
    const n = bytes.length;
    if (last) this.#ended = true;
    this.#sendHead(last && n === 0);
    let taken = 0;
    if (n > 0) {
      taken = this.connection.sendData(h2, bytes, 0, n, last);
      this.sent += taken;
    }
    if (last && taken === n) this.link.flushSoon();
    else this.link.flush();
    return taken < n ? this.#rest(bytes, taken, last) : DONE;
  }

  end(trailers: Uint8Array | null): Promise<void> {
    if (this.#ended) return DONE;
    const { h2 } = this;
    if (h2.closed) return this.#refuse();
    this.#ended = true;
    if (this.#framing === "tunnel") this.#sendHead(false);
    else if (trailers === null) {
      if (!this.#sendHead(true)) this.connection.sendEnd(h2);
    } else {
      this.#sendHead(false);
      this.connection.sendTrailers(h2, trailers);
      this.sent += trailers.length;
    }
    this.link.flushSoon();
    return DONE;
  }

  abort(): void {
    const { h2, exchange } = this;
    if (h2.closed) return;
    this.connection.reset(h2, exchange?.cancelled === true ? CANCEL : INTERNAL_ERROR);
    this.link.flush();
  }

  /** Nothing stays open. */
  over(): void {
    this.#disarm();
    const { h2 } = this;
    // The answer is out: what the client still sends is not wanted (RFC 9113 section 8.1).
    if (!h2.closed) this.connection.reset(h2, h2.localClosed ? NO_ERROR : INTERNAL_ERROR);
    this.owner.left(this.head);
  }

  takeOver(): { input: Input; stream: Http2Tunnel } {
    // A stream that was upgraded ends as its own protocol does: a cut is a cancel (RFC 8441 section 5).
    const cutCode = this.head.upgrade ? CANCEL : CONNECT_ERROR;
    const stream = this.#tunnel = new Http2Tunnel(this.connection, this.link, this.h2, this.body, cutCode);
    return { input: new Input(stream, this.proxy.buffers, TUNNEL_BUFFER_BYTES), stream };
  }

  /** True when the head went out now. */
  #sendHead(endStream: boolean): boolean {
    const out = this.#out!;
    if (out.length === 0) return false;
    this.#respond(out.view(), endStream);
    out.length = 0;
    return true;
  }

  #respond(head: Uint8Array, endStream: boolean): void {
    this.sent += head.length;
    this.connection.respond(this.h2, head, endStream);
  }

  /** Sends what the windows did not take at once. */
  async #rest(bytes: Uint8Array, from: number, last: boolean): Promise<void> {
    const { h2, connection } = this;
    let at = from;
    this.#writing = true;
    while (at < bytes.length) {
      this.#arm();
      await new Promise<void>((resolve) => this.#resume = resolve);
      this.#disarm();
      if (h2.closed) {
        this.#writing = false;
        return this.#refuse();
      }
      const taken = connection.sendData(h2, bytes, at, bytes.length, last);
      at += taken;
      this.sent += taken;
      this.link.flush();
    }
    this.#writing = false;
  }

  #refuse(): Promise<never> {
    this.exchange?.cancel();
    return Promise.reject(new Error("the stream is over"));
  }
}
