/**
 * One request and its answer, in the form in which every stage of the pipeline meets it, whatever engine received it.
 *
 * In: an engine (native: own codec over a ByteStream; serve: Deno.serve) makes three things:
 * - `head`: the request head as HTTP/1.1 bytes with CRLF lines, parsed by `parseRequestHead` of wire/http1/head.ts. An engine that
 *   does not receive bytes writes them: `METHOD target HTTP/1.1`, the header lines, an empty line. The buffer need not live longer
 *   than the stage `prepare`; strings that were taken from the head stay.
 * - `body`: a {@link RequestBody}, pulled by the pipeline, never pushed.
 * - `responder`: a {@link Responder}, which sends the answer.
 * Then `await handleExchange(proxy, new Exchange(...))` (pipeline.ts): it never throws, always answers (or aborts) and always records.
 * Out: calls on the responder: `interim`* then `begin`, `data`*, and one of `end` (also `data(bytes, true)`) or `abort`.
 * The engine calls `exchange.cancel()` when its client went away before the end.
 *
 * @example
 * ```ts ignore
 * const head = new MessageHead(100);
 * parseRequestHead(head, bytes, 0, bytes.length, limits);
 * await handleExchange(proxy, new Exchange(head, NO_BODY, responder, remote, local));
 * ```
 */
import type { StreamAddress } from "../core/ports.ts";
import type { CompiledRoute, CompiledVirtualHost } from "../route/types.ts";
import type { AttemptRecord } from "../observe/types.ts";
import type { World } from "../discovery/types.ts";
import type { ByteWriter } from "../wire/http1/byte_writer.ts";
import type { MessageHead } from "../wire/http1/head.ts";
import type { ByteStream } from "../core/ports.ts";
import type { RequestHeadView } from "./view.ts";

/** The request's body as a pull source. Pieces are decoded data (no chunk framing) and valid until the next call. */
export interface RequestBody {
  /** Declared length; 0 = no body, -1 = unknown until the end (chunked). */
  readonly length: number;
  /** True once the last byte was given out (at once when there is no body). */
  readonly done: boolean;
  /** Bytes given out so far. */
  readonly received: number;
  /** Data that is at hand without waiting, at most `max` bytes; null when there is none. Consumes it. */
  buffered(max: number): Uint8Array | null;
  /** Next piece, null at the end. Rejects with a MeshError of side downstream when the client breaks off or breaks the rules. */
  read(): Promise<Uint8Array | null>;
  /** After the end: trailer lines `Name: value\r\n` without the last empty line; null when there were none. */
  readonly trailers: Uint8Array | null;
}

/** How the end of an answer's body is found. */
export type Framing =
  /** No body at all: 204, 304, or an answer to HEAD. */
  | "none"
  /** The head carries Content-Length. */
  | "length"
  /** The head carries `Transfer-Encoding: chunked`; the responder does the framing. */
  | "chunked"
  /** To an HTTP/1.0 client: the connection closes. */
  | "close";

/** Where the answer goes. */
export interface Responder {
  /** False towards HTTP/1.0: no chunks, no trailers, no 1xx. */
  readonly http11: boolean;
  /** The final head was handed over with `begin`. From then on the only other answer is `abort`. */
  readonly begun: boolean;
  /** May further requests follow on the connection? The pipeline sets it to false before `begin` when it wants a close. */
  persistent: boolean;
  /** Bytes of the answer sent so far, head included. */
  readonly sent: number;
  /** Sends an interim answer (1xx): `out` is its whole head. `out` may be reused after. */
  interim(out: ByteWriter): Promise<void>;
  /**
   * Takes the final head in `out`: status line, header lines (framing lines included), empty line. It is held back and goes out with the
   * first data or the end, so `out` must stay as it is until then.
   */
  begin(out: ByteWriter, status: number, framing: Framing): void;
  /** Sends decoded body data; `last` ends the answer in the same write. Resolves when the engine can take more. */
  data(bytes: Uint8Array, last: boolean): Promise<void>;
  /** Ends the answer. Trailers (as RequestBody has them) are dropped where they cannot be sent. */
  end(trailers: Uint8Array | null): Promise<void>;
  /** Cuts the answer off so that the client sees that it is not whole. */
  abort(): void;
  /**
   * Gives up the connection for a tunnel (CONNECT, 101): the raw stream, which the caller then closes, and bytes already read. To be called
   * after the head was sent with `begin` and `end(null)`. null where the engine cannot tunnel: then the answer is 501.
   */
  takeOver(): { stream: ByteStream; rest: Uint8Array } | null;
  readonly canTunnel: boolean;
}

/** A body that is not there. */
export const NO_BODY: RequestBody = {
  length: 0,
  done: true,
  received: 0,
  trailers: null,
  buffered: () => null,
  read: () => Promise.resolve(null),
};

/** The state of one request; stages fill it in order. Also the source of the record. */
export class Exchange {
  // ---- accept
  /** Monotonic ms. */
  startMs = 0;
  // ---- view
  view: RequestHeadView | null = null;
  method = "";
  /** As received: path with query, or authority for CONNECT. */
  target = "";
  authority = "";
  // ---- select
  world: World | null = null;
  virtualHost: CompiledVirtualHost | null = null;
  route: CompiledRoute | null = null;
  // ---- pick, attempt
  cluster = "";
  upstreamHost = "";
  readonly attempts: AttemptRecord[] = [];
  /** Monotonic ms at which the last request byte went upstream; 0 before. */
  requestSentMs = 0;
  upstreamServiceMs = -1;
  /** Monotonic ms at which the route's timeout ends the exchange; Infinity without one. */
  routeDeadline = Infinity;
  // ---- prepare
  requestId = "";
  forwardedFor = "";
  // ---- record
  status = 0;
  flags = "";
  details = "";
  /** The client went away. */
  cancelled = false;
  /** Set by the stage that waits for something; called once by `cancel`. */
  onCancel: (() => void) | null = null;

  constructor(
    readonly head: MessageHead,
    readonly body: RequestBody,
    readonly responder: Responder,
    readonly remote: StreamAddress,
    readonly local: StreamAddress,
  ) {}

  /** The client went away: lets go of the upstream. Idempotent. */
  cancel(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    const waiting = this.onCancel;
    this.onCancel = null;
    waiting?.();
  }

  addFlag(flag: string): void {
    if (flag === "" || this.flags === flag) return;
    this.flags = this.flags === "" ? flag : `${this.flags},${flag}`;
  }
}
