/** The serve engine's two streams: a Request's body as a {@link RequestBody}, and a {@link Responder} that makes a Response. */
import { MeshError } from "../core/errors.ts";
import type { ByteWriter } from "../wire/http1/byte_writer.ts";
import type { ProxyContext } from "./context.ts";
import type { Expirable } from "./deadlines.ts";
import type { Framing, RequestBody, Responder } from "./engine.ts";

/** Bytes of an answer that may wait in the server before the upstream is held back. */
const MAX_WAITING_BYTES = 65_536;

/** Pulls a web stream; breaks off like the native engine when the client stalls or goes. */
export class ServeBody implements RequestBody, Expirable {
  readonly length: number;
  readonly trailers = null;
  done = false;
  received = 0;
  deadline = Infinity;
  slot = -1;
  readonly #proxy: ProxyContext;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #stalled: ((reason: MeshError) => void) | null = null;

  constructor(proxy: ProxyContext, stream: ReadableStream<Uint8Array>, length: number) {
    this.#proxy = proxy;
    this.#reader = stream.getReader();
    this.length = length;
  }

  buffered(): null {
    return null;
  }

  async read(): Promise<Uint8Array | null> {
    if (this.done) return null;
    const { deadlines, config } = this.#proxy;
    deadlines.add(this);
    const stall = new Promise<never>((_, reject) => this.#stalled = reject);
    deadlines.arm(this, deadlines.now + config.proxy.timeouts.bodyStallMs);
    let result: ReadableStreamReadResult<Uint8Array>;
    try {
      result = await Promise.race([this.#reader.read(), stall]);
    } catch (cause) {
      if (cause instanceof MeshError) throw cause;
      throw new MeshError(
        "P112",
        "Cannot read the request body: the client closed the connection before its end",
        {
          side: "downstream",
          cause,
        },
      );
    } finally {
      this.#stalled = null;
      deadlines.remove(this);
    }
    if (result.done) {
      this.done = true;
      return null;
    }
    this.received += result.value.length;
    if (this.length >= 0 && this.received >= this.length) this.done = true;
    return result.value;
  }

  expire(): void {
    const { bodyStallMs } = this.#proxy.config.proxy.timeouts;
    this.#stalled?.(
      new MeshError("P107", `Cannot read the request body: the client sent nothing for ${bodyStallMs} ms`, {
        side: "downstream",
      }),
    );
  }

  /** Lets go of the stream; to be called once, when the exchange is over. */
  release(): void {
    this.#reader.cancel().catch(() => {});
  }
}

/** Collects the pipeline's calls into one Response, whose body streams under backpressure. */
export class ServeResponder implements Responder {
  readonly http11 = true;
  readonly canTunnel = false;
  begun = false;
  persistent = true;
  sent = 0;
  /** Called when the client went away while the answer was on its way. */
  onGone: (() => void) | null = null;
  /** Resolves with the head; the body follows. */
  readonly response: Promise<Response>;
  #answer!: (response: Response) => void;
  #out: ByteWriter | null = null;
  #status = 0;
  #framing: Framing = "none";
  #body: ReadableStreamDefaultController<Uint8Array> | null = null;
  #over = false;
  #roomy: (() => void) | null = null;

  constructor() {
    this.response = new Promise((resolve) => this.#answer = resolve);
  }

  interim(): Promise<void> {
    return Promise.resolve();
  }

  begin(out: ByteWriter, status: number, framing: Framing): void {
    this.begun = true;
    this.#out = out;
    this.#status = status;
    this.#framing = framing;
  }

  async data(bytes: Uint8Array, last: boolean): Promise<void> {
    if (this.#over) return;
    this.sent += bytes.length;
    // The pipeline reuses its buffer after this call, the server reads later: so a copy.
    if (this.#body === null && last) {
      this.#over = true;
      this.#respond(bytes.slice());
      return;
    }
    this.#open();
    const body = this.#body;
    if (body === null) return;
    if (bytes.length > 0) body.enqueue(bytes.slice());
    if (last) {
      this.#over = true;
      body.close();
    } else if ((body.desiredSize ?? 1) <= 0) {
      await new Promise<void>((resolve) => this.#roomy = resolve);
    }
  }

  end(): Promise<void> {
    if (this.#over) return Promise.resolve();
    this.#over = true;
    if (this.#body !== null) this.#body.close();
    else this.#respond(null);
    return Promise.resolve();
  }

  abort(): void {
    if (this.#over) return;
    if (this.#body === null) this.#open();
    this.#over = true;
    this.#roomy?.();
    // The reason goes to the server's error hook, which keeps quiet about it.
    this.#body?.error(ANSWER_CUT);
  }

  takeOver(): null {
    return null;
  }

  /** Starts a streamed answer. */
  #open(): void {
    if (this.#body !== null) return;
    if (this.#bodiless || this.#status > 599) {
      this.#over = true;
      this.#respond(null);
      return;
    }
    this.#respond(
      new ReadableStream<Uint8Array>({
        start: (controller) => {
          this.#body = controller;
        },
        pull: () => {
          this.#roomy?.();
          this.#roomy = null;
        },
        cancel: () => {
          this.#over = true;
          this.#roomy?.();
          this.onGone?.();
        },
      }, new ByteLengthQueuingStrategy({ highWaterMark: MAX_WAITING_BYTES })),
    );
  }

  #respond(body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null): void {
    const out = this.#out;
    if (out === null) {
      // Cut before any head: there is nothing to show but the end of the connection.
      this.#answer(new Response(body, { status: 500, headers: [["connection", "close"]] }));
      return;
    }
    this.sent += out.length;
    const status = this.#status;
    if (status > 599) {
      this.#answer(
        new Response(`The serve engine cannot pass on the status ${status}; use the native engine.\n`, {
          status: 502,
        }),
      );
      return;
    }
    this.#answer(
      new Response(this.#bodiless ? null : body, { status, headers: headerPairs(out.toString()) }),
    );
  }

  /** The web's Response takes no body with these. */
  get #bodiless(): boolean {
    const status = this.#status;
    return this.#framing === "none" || status === 204 || status === 205 || status === 304;
  }
}

/** What {@link ServeResponder.abort} errors the stream with. */
export const ANSWER_CUT = "the answer was cut";

/** Header lines of a head, without those by which the server itself frames the message. */
function headerPairs(head: string): [string, string][] {
  const pairs: [string, string][] = [];
  for (const line of head.split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    if (colon < 1) continue;
    const name = line.slice(0, colon);
    if (/^(transfer-encoding|keep-alive)$/i.test(name)) continue;
    pairs.push([name, line.slice(colon + 1).trim()]);
  }
  return pairs;
}
