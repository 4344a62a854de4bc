/**
 * Stage 1, accept, of the native engine: one client connection. It reads heads, makes exchanges of them one after the other (so pipelined
 * requests are answered in order), and is itself the responder and the source of request bodies.
 */
import type { AcceptedStream } from "../core/ports.ts";
import type { Code } from "../core/codes.ts";
import { MeshError } from "../core/errors.ts";
import type { ByteWriter } from "../wire/http1/byte_writer.ts";
import { CHUNK_OVERHEAD, writeChunkSize } from "../wire/http1/chunked.ts";
import { findHeadEnd, latin1, MessageHead, parseRequestHead } from "../wire/http1/head.ts";
import { BAD_VERSION, HEAD_TOO_LARGE } from "../wire/http1/problems.ts";
import { type BodyOwner, BodyReader } from "./body_reader.ts";
import { brokenHead } from "./broken_head.ts";
import { type ConnectionHolder, FOLD_MS, type HeldConnection } from "./connection_holder.ts";
import type { ProxyContext } from "./context.ts";
import type { Expirable } from "./deadlines.ts";
import { addressText, describeBroken, DONE, Exchange, type Framing, type Responder } from "./exchange.ts";
import { Input } from "./input.ts";
import { handleExchange, refuseExchange } from "./pipeline.ts";
import { writeLastChunk } from "./prepare.ts";
import { isHttp2, isNoHttp, isTls } from "./prior_knowledge.ts";
import { writeAll } from "../core/write_all.ts";

/** What an idle connection holds, because its read is under way; a peer that sends more at once gets more (input.ts). */
const BASE_BUFFER_BYTES = 512;
/** Body data up to this size joins the head in one write. */
const JOIN_BYTES = 64 * 1024;
/** How long a request may wait for its answer before the client is watched for going away, ms. */
const WATCH_AFTER_MS = 100;
/** After a last answer: how long and how much is still read, so that a reset does not destroy what was sent. */
const LINGER_MS = 1000;
const LINGER_BYTES = 256 * 1024;
/** A line longer than this is not looked at for its protocol. */
const MAX_SHOWN_LINE_BYTES = 256;
const CONTINUE = new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n");

/** In the place of a head between two requests: most connections are idle most of the time. */
const NO_HEAD = new MessageHead(0);

const IDLE = 0;
const HEAD = 1;
const BUSY = 2;
const BODY = 3;
const WRITING = 4;
const LINGERING = 5;

export class DownstreamConnection implements Responder, Expirable, BodyOwner, HeldConnection {
  deadline = Infinity;
  slot = -1;
  // ---- Responder
  http11 = true;
  begun = false;
  persistent = true;
  sent = 0;
  readonly canTunnel = true;

  closed = false;
  readonly #proxy: ProxyContext;
  readonly #stream: AcceptedStream;
  readonly #holder: ConnectionHolder;
  readonly #input: Input;
  #head: MessageHead = NO_HEAD;
  /** Empty until it is wanted; gone when the connection is folded, as the body is. */
  #remoteText = "";
  #body: BodyReader | null = null;
  /** Monotonic ms until which an idle connection lives, once it is folded. */
  #idleUntil = 0;
  #state = IDLE;
  #exchange: Exchange | null = null;
  #out: ByteWriter | null = null;
  #framing: Framing = "none";
  #ended = false;
  #continueSent = false;
  #tunnel = false;
  /** The request at hand counts in `proxy.admission`. */
  #admitted = false;
  /** Monotonic ms at which a request came that had to wait for its turn; 0 = it did not wait. */
  #arrivedMs = 0;
  /** An HTTP/2 connection has taken its place. */
  #handedOver = false;

  constructor(proxy: ProxyContext, stream: AcceptedStream, holder: ConnectionHolder) {
    this.#holder = holder;
    this.#proxy = proxy;
    this.#stream = stream;
    this.#input = new Input(stream, proxy.buffers, BASE_BUFFER_BYTES);
  }

  /** Never rejects. */
  async run(): Promise<void> {
    const proxy = this.#proxy;
    proxy.deadlines.add(this);
    try {
      if (await this.#beginsWithHttp2()) {
        this.#handedOver = true;
        return;
      }
      if (this.closed) return;
      const input = this.#input;
      if (input.start < input.end && isTls(input.buf, input.start)) {
        this.#state = BUSY;
        this.deadline = Infinity;
        const { passTls } = await import("./tls_passthrough.ts");
        await passTls(proxy, { input, stream: this.#stream });
        return;
      }
      for (;;) {
        // The usual case without a promise of its own: nothing at hand, and one read brings a whole head.
        if (this.#input.start === this.#input.end) {
          this.#rest();
          if (proxy.draining || !this.#input.took(await this.#input.next()) || this.closed) break;
        }
        const turn = this.#enter();
        if (turn !== null) {
          this.#arrivedMs = proxy.clock.monotonic();
          await turn;
          if (this.closed) break;
        }
        if (!this.#tryHead()) {
          // Nobody waits for the rest of a head.
          this.#leave();
          this.#arrivedMs = 0;
          if (!(await this.#nextHead())) break;
          await this.#enter();
          if (this.closed) break;
        }
        await handleExchange(proxy, this.#exchange!);
        this.#exchange = null;
        this.#leave();
        if (this.#tunnel || this.closed) break;
        if (!this.persistent || proxy.draining && !this.#input.available) {
          await this.#linger();
          break;
        }
        if (!this.#body!.done && !(await this.#drainBody())) {
          await this.#linger();
          break;
        }
      }
    } catch (error) {
      // Reads and writes of a connection that went away; everything else was rescued.
      if (error instanceof TypeError) {
        proxy.log.log("error", "connection loop failed", { error: error.stack });
      }
    } finally {
      this.#leave();
      this.#exchange = null;
      proxy.deadlines.remove(this);
      if (!this.#handedOver) {
        this.close();
        this.#holder.left(this);
      }
    }
  }

  /** Closes an idle connection, asks a busy one to close after its answer. */
  drain(): void {
    this.persistent = false;
    if (this.#state === IDLE && this.#input.available === 0) this.close();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (!this.#tunnel) this.#stream.close();
  }

  /** Null = go on. */
  #enter(): Promise<void> | null {
    this.#admitted = true;
    return this.#proxy.admission.enter();
  }

  /** The request is over, or waits for others than this proxy. */
  #leave(): void {
    if (!this.#admitted) return;
    this.#admitted = false;
    this.#proxy.admission.leave();
  }

  #arm(ms: number): void {
    const { deadlines } = this.#proxy;
    deadlines.arm(this, deadlines.now + ms);
  }

  // ---------------------------------------------------------------- heads

  #rest(): void {
    this.#state = IDLE;
    // What a head took is given back, and with it its bytes.
    this.#input.shrink();
    if (this.#head !== NO_HEAD) {
      this.#proxy.buffers.giveHead(this.#head);
      this.#head = NO_HEAD;
    }
    const { idleMs } = this.#proxy.config.proxy.timeouts;
    this.#idleUntil = this.#proxy.deadlines.now + idleMs;
    this.#arm(Math.min(FOLD_MS, idleMs));
  }

  /** Idle for longer than most requests follow each other: keeps the least that a next one can begin with. */
  #fold(): void {
    this.#remoteText = "";
    this.#body = null;
    this.#proxy.deadlines.arm(this, this.#idleUntil);
  }

  /** The first bytes tell HTTP/2 with prior knowledge from everything else, which then stands in the input. */
  async #beginsWithHttp2(): Promise<boolean> {
    const input = this.#input;
    this.#rest();
    do {
      if (!input.took(await input.next()) || this.closed) return false;
      const is = isHttp2(input.buf, input.start, input.end);
      if (is === false) return false;
      if (is === true) break;
      if (this.#state !== IDLE) continue;
      // The first letters of PRI are also those of PUT and POST.
      this.#state = HEAD;
      const proxy = this.#proxy;
      proxy.deadlines.arm(this, proxy.clock.monotonic() + proxy.config.proxy.timeouts.headMs);
    } while (true);
    // Loaded by the first connection that needs it: most agents start without.
    const { Http2Downstream } = await import("./h2_downstream.ts");
    if (this.closed) return false;
    // This one and its wait are gone then: they would be held by every idle connection.
    const http2 = new Http2Downstream(this.#proxy, this.#stream, input, this.#holder);
    this.#holder.becomes(this, http2);
    if (this.#proxy.draining) http2.drain();
    http2.run();
    return true;
  }

  #takeHead(): void {
    const { buffers, config } = this.#proxy;
    if (this.#head === NO_HEAD) this.#head = buffers.takeHead(config.proxy.limits.maxHeaderCount);
  }

  #tryHead(): boolean {
    const input = this.#input;
    this.#takeHead();
    const next = parseRequestHead(
      this.#head,
      input.buf,
      input.start,
      input.end,
      this.#proxy.config.proxy.limits,
    );
    if (next <= 0) return false;
    input.start = next;
    this.#begin();
    return true;
  }

  /** Reads until a head is whole and makes its exchange. False when the connection is over. */
  async #nextHead(): Promise<boolean> {
    const proxy = this.#proxy;
    const input = this.#input;
    const { limits, timeouts } = proxy.config.proxy;
    let searched = 0;
    let headDeadline = 0;
    for (;;) {
      const available = input.end - input.start;
      if (available > 0) {
        this.#takeHead();
        let whole = true;
        if (searched > 0) {
          whole = findHeadEnd(input.buf, input.start + Math.max(0, searched - 3), input.end) > 0 ||
            available > limits.maxHeadBytes;
        }
        const next = whole ? parseRequestHead(this.#head, input.buf, input.start, input.end, limits) : 0;
        if (next > 0) {
          input.start = next;
          this.#begin();
          return true;
        }
        if (next < 0 || available > limits.maxHeadBytes + 2) {
          await this.#refuse(next < 0 ? next : HEAD_TOO_LARGE);
          return false;
        }
        searched = available;
        this.#state = HEAD;
        if (headDeadline === 0) {
          headDeadline = proxy.clock.monotonic() + timeouts.headMs;
          proxy.deadlines.arm(this, headDeadline);
        }
      } else {
        if (proxy.draining) return false;
        this.#rest();
      }
      if (!input.took(await input.next()) || this.closed) return false;
    }
  }

  #begin(): void {
    const head = this.#head;
    const proxy = this.#proxy;
    if (this.#remoteText === "") this.#remoteText = addressText(this.#stream.remote);
    const body = this.#body ??= new BodyReader(this.#input, "downstream", this);
    body.begin(head.chunked ? -1 : Math.max(0, head.contentLength));
    this.http11 = head.minor === 1;
    this.persistent = this.http11 ? !head.close : head.keepAlive && !head.close;
    this.begun = false;
    this.#ended = false;
    this.#out = null;
    this.sent = 0;
    this.#continueSent = false;
    this.#state = BUSY;
    const ex = this.#exchange = new Exchange(
      head,
      body,
      this,
      this.#stream.remote,
      this.#stream.local,
      this.#remoteText,
    );
    const now = ex.startMs = proxy.clock.monotonic();
    if (this.#arrivedMs > 0) {
      ex.startMs = this.#arrivedMs;
      ex.attemptMs = now;
      this.#arrivedMs = 0;
    }
    proxy.deadlines.now = now;
    proxy.deadlines.arm(this, now + WATCH_AFTER_MS);
  }

  /** Nothing was taken out of the input yet. */
  get #isFirst(): boolean {
    return this.#input.available === this.#input.total;
  }

  #firstLine(): string {
    const { buf, start, end } = this.#input;
    const line = latin1(buf, start, Math.min(end, start + MAX_SHOWN_LINE_BYTES));
    return line.slice(0, line.indexOf("\r\n"));
  }

  async #refuse(problem: number): Promise<void> {
    this.#begin();
    this.#body!.begin(0);
    const ex = this.#exchange!;
    if (problem === BAD_VERSION && this.#isFirst && isNoHttp(this.#firstLine())) {
      // Closed without a word.
      this.begun = true;
      ex.details = "http_request_error";
    }
    describeBroken(ex);
    await refuseExchange(this.#proxy, ex, brokenHead(problem));
    this.#exchange = null;
    await this.#linger();
  }

  // ---------------------------------------------------------------- bodies

  beforeBodyWait(): Promise<void> | void {
    this.#state = BODY;
    this.#leave();
    this.#arm(this.#proxy.config.proxy.timeouts.bodyStallMs);
    if (!this.#head.expectContinue || this.#continueSent || this.begun) return;
    this.#continueSent = true;
    if (this.#head.minor === 1) return writeAll(this.#stream, CONTINUE);
  }

  /** From here on it is not the client that is waited for. */
  afterBodyWait(): void {
    if (this.#state !== BODY) return;
    this.#state = BUSY;
    this.#arm(WATCH_AFTER_MS);
  }

  /** Reads what is left of a body that nobody wanted; false when that is more than the limit. */
  async #drainBody(): Promise<boolean> {
    if (this.#head.expectContinue && !this.#continueSent) return false;
    const body = this.#body!;
    const limit = body.received + this.#proxy.config.proxy.limits.maxDrainBytes;
    try {
      while (!body.done) {
        await body.read();
        if (body.received > limit) return false;
      }
    } catch {
      return false;
    }
    return true;
  }

  /** Says goodbye: no more is sent, what still comes is thrown away for a moment, then the connection closes. */
  async #linger(): Promise<void> {
    if (this.closed) return;
    this.#state = LINGERING;
    this.#proxy.deadlines.arm(this, this.#proxy.clock.monotonic() + LINGER_MS);
    await this.#stream.closeWrite();
    const input = this.#input;
    const limit = input.total + LINGER_BYTES;
    do input.start = input.end; while (input.total < limit && !this.closed && await input.fill());
  }

  // ---------------------------------------------------------------- Responder

  async interim(out: ByteWriter): Promise<void> {
    await this.#write(out.view());
  }

  begin(out: ByteWriter, _status: number, framing: Framing): void {
    this.begun = true;
    this.#out = out;
    this.#framing = framing;
  }

  data(bytes: Uint8Array, last: boolean): Promise<void> {
    const out = this.#out!;
    const n = bytes.length;
    if (last) this.#ended = true;
    else this.#leave();
    if (this.#framing === "chunked") {
      if (n > 0) {
        out.ensure(n + CHUNK_OVERHEAD + 8);
        out.length = writeChunkSize(out.buf, out.length, n);
        out.bytes(bytes);
        out.text("\r\n");
      }
      if (last) out.text("0\r\n\r\n");
      return out.length > 0 ? this.#flush(out) : DONE;
    }
    if (out.length === 0) return n > 0 ? this.#write(bytes) : DONE;
    if (n > JOIN_BYTES) return this.#flush(out).then(() => this.#write(bytes));
    out.bytes(bytes);
    return this.#flush(out);
  }

  end(trailers: Uint8Array | null): Promise<void> {
    if (this.#ended) return DONE;
    this.#ended = true;
    const out = this.#out!;
    if (this.#framing === "chunked") writeLastChunk(out, trailers);
    return out.length > 0 ? this.#flush(out) : DONE;
  }

  abort(): void {
    this.persistent = false;
    this.close();
  }

  takeOver(): { input: Input; stream: AcceptedStream } {
    this.#tunnel = true;
    this.deadline = Infinity;
    this.#leave();
    return { input: this.#input, stream: this.#stream };
  }

  /** `out` is marked as empty at once: nobody writes into it before the write is over. */
  #flush(out: ByteWriter): Promise<void> {
    const bytes = out.view();
    out.length = 0;
    return this.#write(bytes);
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#state = WRITING;
    this.#arm(this.#proxy.config.proxy.timeouts.bodyStallMs);
    this.sent += bytes.length;
    try {
      const n = await this.#stream.write(bytes);
      if (n < bytes.length) await writeAll(this.#stream, bytes.subarray(n));
    } catch (error) {
      // Whoever asked for the write learns that the client is gone.
      if (this.#exchange !== null) this.#exchange.cancel();
      throw error;
    }
    this.#state = BUSY;
    if (this.begun) this.deadline = Infinity;
    else this.#arm(WATCH_AFTER_MS);
  }

  // ---------------------------------------------------------------- Expirable

  /** A read ahead of need has ended. */
  #watched(n: unknown): void {
    if (typeof n !== "number") this.#exchange?.cancel();
  }

  expire(): void {
    switch (this.#state) {
      case IDLE:
        if (this.#proxy.deadlines.now < this.#idleUntil) this.#fold();
        else this.close();
        return;
      case BUSY:
        // The answer takes its time: from now on notice when the client goes away. The read serves the next head.
        if (this.#exchange === null || this.#tunnel) return;
        this.#leave();
        // The head's bytes are needed until `prepare` has copied them.
        if (this.#body!.done) {
          this.#input.prefetch(
            (n) => this.#watched(n),
            this.#exchange.out !== null && !this.#exchange.pumping,
          );
        } else this.#arm(WATCH_AFTER_MS);
        return;
      case HEAD:
        this.#timeOut(
          "P106",
          `Cannot read the request: its head did not arrive within ${this.#proxy.config.proxy.timeouts.headMs} ms`,
        );
        return;
      case BODY:
        // The answer is out already: the rest of the body is only drained.
        if (this.#exchange === null) return this.close();
        this.#timeOut(
          "P107",
          `Cannot read the request body: nothing came for ${this.#proxy.config.proxy.timeouts.bodyStallMs} ms`,
        );
        return;
      case WRITING:
        this.#exchange?.addFlag("SI");
        this.#exchange?.cancel();
        this.close();
        return;
      default:
        this.close();
    }
  }

  /** Answers 408 while a read is under way, which only closing the connection can end. */
  #timeOut(code: Code, message: string): void {
    const error = new MeshError(code, message, { side: "downstream" });
    const running = this.#exchange;
    if (running !== null) {
      if (!this.begun) {
        // The exchange itself ends with this error: its body cannot be read any further.
        const { status, flag } = error;
        const text =
          `HTTP/1.1 ${status} Request Timeout\r\ncontent-type: text/plain\r\nConnection: close\r\n\r\n${message}\n`;
        running.status = status;
        running.addFlag(flag);
        this.begun = true;
        const bytes = new TextEncoder().encode(text);
        this.sent += bytes.length;
        writeAll(this.#stream, bytes).catch(NOTHING).then(() => this.close());
      } else {
        this.close();
      }
      return;
    }
    const partial = this.#input;
    this.#takeHead();
    this.#begin();
    this.#body!.begin(0);
    const ex = this.#exchange!;
    this.#head.reset(partial.buf, partial.start);
    describeBroken(ex);
    this.#state = LINGERING;
    refuseExchange(this.#proxy, ex, error).then(() => {
      this.#exchange = null;
      this.close();
    });
  }
}

const NOTHING = (): void => {};
