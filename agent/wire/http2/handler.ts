/** What a connection tells whoever drives it. Calls come out of `receive` and `written` only; all of them may call the connection back. */
import type { MessageHead } from "../http1/head.ts";
import type { Http2Stream } from "./stream.ts";

export interface Http2Handler {
  /**
   * A request (server), or an answer (client; 1xx first, `head.status` tells). The head belongs to the handler until it gives it back with
   * `connection.heads.give(head)`, or for ever. `head.chunked` says that a body of unknown length follows.
   */
  headers(stream: Http2Stream, head: MessageHead, endStream: boolean): void;
  /**
   * Bytes `[start, end)` of `buf`, valid during the call; perhaps none when `endStream`. They must be reported with
   * `connection.consumed(stream, n)` sooner or later, or the stream stalls.
   */
  data(stream: Http2Stream, buf: Uint8Array, start: number, end: number, endStream: boolean): void;
  /** Trailers, which end the peer's side; lines from `head.start` to `head.end - 2`. The head belongs to the handler, as above. */
  trailers(stream: Http2Stream, head: MessageHead): void;
  /**
   * The stream is over before its end. `code`: RFC 9113 section 7. `unprocessed`: the peer says that it did not look at the request, so it
   * may be sent again whatever it is. `problem`: number of problems.ts when we ended it; 0 when the peer or the end of the connection did.
   */
  reset(stream: Http2Stream, code: number, unprocessed: boolean, problem: number): void;
  /** `sendData` had not taken all: now it may take more. */
  writable(stream: Http2Stream): void;
  /**
   * Server: a request whose head breaks the rules (`problem` of problems.ts), never seen before. It may be answered in this call with
   * `respond(stream, head, true)`, e.g. 431; else it is reset.
   */
  refused(stream: Http2Stream, problem: number): void;
  /** The peer's settings came; `connection.peer` has them. */
  settings(): void;
  /** The peer takes no new streams; those it did not look at are told by `reset`. */
  goAway(lastId: number, code: number, debug: string): void;
  /** The answer to our `ping`. */
  pong(): void;
  /** The last stream is over and no new one may come: time to write what there is and close. */
  drained(): void;
  /** A connection error: every stream was told by `reset`, GOAWAY is in the output; write it and close. */
  failed(problem: number): void;
}
