/** One stream of an HTTP/2 connection, RFC 9113 section 5. */

export const NOT_WAITING = 0;
/** For room in the output or in the window of the connection. */
export const WAITING_IN_LINE = 1;
/** For the window of the stream. */
export const WAITING_FOR_WINDOW = 2;

export class Http2Stream {
  /** Whatever the handler keeps with the stream. */
  owner: unknown = null;
  /** The peer has ended its side. */
  remoteClosed = false;
  /** We have ended our side. */
  localClosed = false;
  /** Over: ended on both sides, or reset by one. */
  closed = false;
  /** The request said that it came over TLS. */
  https = false;
  /** CONNECT: DATA is a tunnel. */
  connect = false;
  /** DATA that was handed over and not `consumed` yet, bytes. */
  held = 0;
  // ---- for the connection
  /** In its table. */
  next: Http2Stream | null = null;
  /** The final head was received. */
  headReceived = false;
  /** The final head was sent. */
  headSent = false;
  /** Bytes that are still to come by Content-Length; -1: unknown. */
  expected = -1;
  /** The answer has no body whatever its Content-Length says. */
  bodiless = false;
  sendWindow: number;
  receiveWindow: number;
  waiting = NOT_WAITING;

  constructor(readonly id: number, sendWindow: number, receiveWindow: number) {
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }
}
