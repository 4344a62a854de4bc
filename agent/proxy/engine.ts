/** What an engine hands to the pipeline beside the head: a body to pull from and a way to answer. See exchange.ts for the protocol. */
import type { ByteStream } from "../core/ports.ts";
import type { ByteWriter } from "../wire/http1/byte_writer.ts";
import type { Input } from "./input.ts";

/** The request's body as a pull source. Pieces are decoded data (no chunk framing) and valid until the next call. */
export interface RequestBody {
  /** Declared length; 0 = no body, -1 = unknown until the end (chunked). */
  readonly length: number;
  /** True once the last byte was given out (at once when there is no body). */
  readonly done: boolean;
  /** Bytes given out so far. */
  readonly received: number;
  /** Data that is at hand without waiting; null when there is none. Consumes it. Rejections as for `read`, thrown at once. */
  buffered(): Uint8Array | null;
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
  /** None to come: the connection, or stream, becomes a tunnel. */
  | "tunnel"
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
  /** Sends decoded body data; `last` ends the answer in the same write. Resolves when the engine can take more: {@link DONE} when at once. */
  data(bytes: Uint8Array, last: boolean): Promise<void>;
  /** Ends the answer. Trailers (as RequestBody has them) are dropped where they cannot be sent. */
  end(trailers: Uint8Array | null): Promise<void>;
  /** Cuts the answer off so that the client sees that it is not whole. */
  abort(): void;
  /** The exchange is recorded: nobody needs anything of it any more. */
  over?(): void;
  /**
   * Gives up the connection for a tunnel (CONNECT, 101): the reading side with bytes already received, and the stream to write to, which the
   * caller closes. To be called after the head was sent with `begin` (framing `tunnel`) and `end(null)`. null where the engine cannot tunnel.
   */
  takeOver(): Client | null;
  readonly canTunnel: boolean;
}

/** What needs no waiting: whoever is given this very promise may go on at once, which saves a turn of promises for each step. */
export const DONE: Promise<void> = Promise.resolve();

/** A body that is not there. */
export const NO_BODY: RequestBody = {
  length: 0,
  done: true,
  received: 0,
  trailers: null,
  buffered: () => null,
  read: () => Promise.resolve(null),
};

/** One end of a tunnel: what was received already, and the stream for the rest. */
export interface Client {
  readonly input: Input;
  readonly stream: ByteStream;
}

/** The other end, which may belong to a pool. */
export interface Far extends Client {
  close(): void;
}
