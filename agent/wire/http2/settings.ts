/** SETTINGS of RFC 9113 section 6.5: what each side announces, checked as it comes in. */
import * as problem from "./problems.ts";

export const HEADER_TABLE_SIZE = 1;
export const ENABLE_PUSH = 2;
export const MAX_CONCURRENT_STREAMS = 3;
export const INITIAL_WINDOW_SIZE = 4;
export const MAX_FRAME_SIZE = 5;
export const MAX_HEADER_LIST_SIZE = 6;
/** RFC 8441. */
export const ENABLE_CONNECT_PROTOCOL = 8;
/** RFC 9218. */
export const NO_RFC7540_PRIORITIES = 9;

export const DEFAULT_WINDOW = 65535;
export const MAX_WINDOW = 0x7fffffff;
export const DEFAULT_FRAME_SIZE = 16384;
export const DEFAULT_TABLE_SIZE = 4096;
/** How many streams are opened before the peer has said how many it takes (RFC 9113 section 6.5.2 recommends it as a minimum). */
export const ASSUMED_CONCURRENT_STREAMS = 100;

/** What the peer has announced. */
export class PeerSettings {
  headerTableSize = DEFAULT_TABLE_SIZE;
  maxConcurrentStreams = ASSUMED_CONCURRENT_STREAMS;
  initialWindowSize = DEFAULT_WINDOW;
  maxFrameSize = DEFAULT_FRAME_SIZE;
  /** Infinity when it did not say. */
  maxHeaderListSize = Infinity;
  connectProtocol = false;
  /** SETTINGS came at all. */
  known = false;

  /** Takes in a payload of whole settings; 0, or a problem. `fromServer`: the peer is the server. */
  apply(buf: Uint8Array, start: number, end: number, fromServer: boolean): number {
    // A first SETTINGS frame without a limit means that there is none.
    if (!this.known) this.maxConcurrentStreams = Infinity;
    this.known = true;
    for (let i = start; i < end; i += 6) {
      const id = buf[i]! << 8 | buf[i + 1]!;
      const value = (buf[i + 2]! << 24 | buf[i + 3]! << 16 | buf[i + 4]! << 8 | buf[i + 5]!) >>> 0;
      switch (id) {
        case HEADER_TABLE_SIZE:
          this.headerTableSize = value;
          break;
        case ENABLE_PUSH:
          if (value > 1 || value === 1 && fromServer) return problem.BAD_ENABLE_PUSH;
          break;
        case MAX_CONCURRENT_STREAMS:
          this.maxConcurrentStreams = value;
          break;
        case INITIAL_WINDOW_SIZE:
          if (value > MAX_WINDOW) return problem.BAD_INITIAL_WINDOW;
          this.initialWindowSize = value;
          break;
        case MAX_FRAME_SIZE:
          if (value < DEFAULT_FRAME_SIZE || value > 0xffffff) return problem.BAD_MAX_FRAME_SIZE;
          this.maxFrameSize = value;
          break;
        case MAX_HEADER_LIST_SIZE:
          this.maxHeaderListSize = value;
          break;
        case ENABLE_CONNECT_PROTOCOL:
          if (value > 1 || value === 0 && this.connectProtocol) return problem.BAD_CONNECT_PROTOCOL;
          this.connectProtocol = value === 1;
          break;
        case NO_RFC7540_PRIORITIES:
          if (value > 1) return problem.BAD_NO_PRIORITIES;
          break;
      }
    }
    return 0;
  }
}

/** What one side announces and how much it takes in. Sizes in bytes. */
export interface Http2Limits {
  /** Streams that the peer may have open; only a server says so. */
  readonly maxConcurrentStreams: number;
  /** Unread data that one stream may hold. */
  readonly streamWindow: number;
  /** Data on the way on the whole connection. */
  readonly connectionWindow: number;
  /**
   * Unread data of all streams together up to which the connection's window is opened again at once, so that streams that nobody
   * reads do not stop the others. Above it only reading opens it.
   */
  readonly maxHeldBytes: number;
  readonly maxFrameSize: number;
  /** Of a decoded head, counted as RFC 7541 section 4.1 does. */
  readonly maxHeaderListSize: number;
  readonly maxHeaderCount: number;
  /** Of the table in which the peer's fields are kept. */
  readonly headerTableSize: number;
  /** Of the table in which our own fields are kept, when the peer allows as much. */
  readonly encoderTableSize: number;
  /** Output that waits to be written, from which on no more data is taken. */
  readonly maxPendingBytes: number;
}

export const DEFAULT_LIMITS: Http2Limits = {
  maxConcurrentStreams: 1000,
  streamWindow: 256 * 1024,
  connectionWindow: 1024 * 1024,
  maxHeldBytes: 16 * 1024 * 1024,
  maxFrameSize: DEFAULT_FRAME_SIZE,
  maxHeaderListSize: 64 * 1024,
  maxHeaderCount: 100,
  headerTableSize: DEFAULT_TABLE_SIZE,
  encoderTableSize: DEFAULT_TABLE_SIZE,
  maxPendingBytes: 128 * 1024,
};

/** The settings of `limits` as id and value pairs; what is default anyway is left out. */
export function announced(limits: Http2Limits, server: boolean): number[] {
  const pairs: number[] = [];
  if (limits.headerTableSize !== DEFAULT_TABLE_SIZE) pairs.push(HEADER_TABLE_SIZE, limits.headerTableSize);
  if (server) pairs.push(MAX_CONCURRENT_STREAMS, limits.maxConcurrentStreams, ENABLE_CONNECT_PROTOCOL, 1);
  else pairs.push(ENABLE_PUSH, 0);
  if (limits.streamWindow !== DEFAULT_WINDOW) pairs.push(INITIAL_WINDOW_SIZE, limits.streamWindow);
  if (limits.maxFrameSize !== DEFAULT_FRAME_SIZE) pairs.push(MAX_FRAME_SIZE, limits.maxFrameSize);
  pairs.push(MAX_HEADER_LIST_SIZE, limits.maxHeaderListSize, NO_RFC7540_PRIORITIES, 1);
  return pairs;
}
