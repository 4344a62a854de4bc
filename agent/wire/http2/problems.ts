/**
 * What can be wrong with the bytes of an HTTP/2 connection. The codec names each by a negative number (no exceptions, no allocation
 * on the hot path); `problemOf` turns one into a sentence, the section that forbids it, the RFC's error code, and whether it ends
 * the stream or the connection.
 */

/** Error codes of RFC 9113 section 7. */
export const NO_ERROR = 0x0;
export const PROTOCOL_ERROR = 0x1;
export const INTERNAL_ERROR = 0x2;
export const FLOW_CONTROL_ERROR = 0x3;
export const SETTINGS_TIMEOUT = 0x4;
export const STREAM_CLOSED = 0x5;
export const FRAME_SIZE_ERROR = 0x6;
export const REFUSED_STREAM = 0x7;
export const CANCEL = 0x8;
export const COMPRESSION_ERROR = 0x9;
export const CONNECT_ERROR = 0xa;
export const ENHANCE_YOUR_CALM = 0xb;
export const INADEQUATE_SECURITY = 0xc;
export const HTTP_1_1_REQUIRED = 0xd;

const CODE_NAMES: readonly string[] = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
  "HTTP_1_1_REQUIRED",
];

/** `REFUSED_STREAM`; unknown codes as hexadecimal. */
export function errorName(code: number): string {
  return CODE_NAMES[code] ?? `0x${code.toString(16)}`;
}

export interface Http2Problem {
  readonly scope: "stream" | "connection";
  /** Error code of RFC 9113 section 7. */
  readonly code: number;
  /** What is wrong, to follow "because". */
  readonly what: string;
  readonly source: string;
}

const PROBLEMS: Http2Problem[] = [];

function define(scope: "stream" | "connection", code: number, source: string, what: string): number {
  return -PROBLEMS.push({ scope, code, what, source });
}

function connection(code: number, source: string, what: string): number {
  return define("connection", code, `RFC ${source}`, what);
}

function stream(code: number, source: string, what: string): number {
  return define("stream", code, `RFC ${source}`, what);
}

function flood(what: string): number {
  return define("connection", ENHANCE_YOUR_CALM, "RFC 9113 section 10.5", what);
}

// ---- framing
export const BAD_PREFACE = connection(
  PROTOCOL_ERROR,
  "9113 section 3.4",
  "the connection does not begin with the HTTP/2 preface",
);
export const NO_SETTINGS = connection(
  PROTOCOL_ERROR,
  "9113 section 3.4",
  "the first frame is not SETTINGS",
);
export const FRAME_TOO_LARGE = connection(
  FRAME_SIZE_ERROR,
  "9113 section 4.2",
  "a frame is larger than the announced SETTINGS_MAX_FRAME_SIZE",
);
export const BAD_FRAME_LENGTH = connection(
  FRAME_SIZE_ERROR,
  "9113 section 4.2",
  "a frame has not the length that its type wants",
);
export const BAD_PADDING = connection(
  PROTOCOL_ERROR,
  "9113 section 6.1",
  "the padding is longer than the frame",
);
export const STREAM_ZERO = connection(
  PROTOCOL_ERROR,
  "9113 section 6",
  "a frame that belongs to a stream names stream 0",
);
export const NOT_STREAM_ZERO = connection(
  PROTOCOL_ERROR,
  "9113 section 6",
  "a frame that belongs to the connection names a stream",
);
export const BAD_PRIORITY_LENGTH = stream(
  FRAME_SIZE_ERROR,
  "9113 section 6.3",
  "a PRIORITY frame is not 5 bytes long",
);
export const SELF_DEPENDENCY = stream(
  PROTOCOL_ERROR,
  "7540 section 5.3.1",
  "a stream depends on itself",
);
export const NO_CONTINUATION = connection(
  PROTOCOL_ERROR,
  "9113 section 6.10",
  "a header block is interrupted by something other than its CONTINUATION",
);
export const UNEXPECTED_CONTINUATION = connection(
  PROTOCOL_ERROR,
  "9113 section 6.10",
  "a CONTINUATION frame continues nothing",
);
// ---- settings
export const SETTINGS_ACK_WITH_PAYLOAD = connection(
  FRAME_SIZE_ERROR,
  "9113 section 6.5",
  "a SETTINGS acknowledgement carries settings",
);
export const UNEXPECTED_SETTINGS_ACK = connection(
  PROTOCOL_ERROR,
  "9113 section 6.5",
  "SETTINGS are acknowledged that were not sent",
);
export const BAD_ENABLE_PUSH = connection(
  PROTOCOL_ERROR,
  "9113 section 6.5.2",
  "SETTINGS_ENABLE_PUSH is neither 0 nor 1, or is 1 from a server",
);
export const BAD_INITIAL_WINDOW = connection(
  FLOW_CONTROL_ERROR,
  "9113 section 6.5.2",
  "SETTINGS_INITIAL_WINDOW_SIZE is above 2^31-1",
);
export const BAD_MAX_FRAME_SIZE = connection(
  PROTOCOL_ERROR,
  "9113 section 6.5.2",
  "SETTINGS_MAX_FRAME_SIZE is not between 2^14 and 2^24-1",
);
export const BAD_CONNECT_PROTOCOL = connection(
  PROTOCOL_ERROR,
  "8441 section 3",
  "SETTINGS_ENABLE_CONNECT_PROTOCOL is neither 0 nor 1, or goes back to 0",
);
export const BAD_NO_PRIORITIES = connection(
  PROTOCOL_ERROR,
  "9218 section 2.1",
  "SETTINGS_NO_RFC7540_PRIORITIES is neither 0 nor 1",
);
// ---- streams
export const IDLE_STREAM = connection(
  PROTOCOL_ERROR,
  "9113 section 5.1",
  "a frame names a stream that was never opened",
);
export const BAD_STREAM_ID = connection(
  PROTOCOL_ERROR,
  "9113 section 5.1.1",
  "a new stream has an even number, or one below an earlier one",
);
export const FRAME_AFTER_CLOSE = connection(
  STREAM_CLOSED,
  "9113 section 5.1",
  "HEADERS came on a closed stream",
);
export const HEADERS_AFTER_END = connection(
  STREAM_CLOSED,
  "9113 section 5.1",
  "HEADERS came after the end of the stream",
);
export const DATA_AFTER_END = stream(
  STREAM_CLOSED,
  "9113 section 5.1",
  "DATA came after the end of the stream",
);
export const DATA_BEFORE_HEADERS = stream(
  PROTOCOL_ERROR,
  "9113 section 8.1",
  "DATA came before the final HEADERS",
);
export const TOO_MANY_STREAMS = stream(
  REFUSED_STREAM,
  "9113 section 5.1.2",
  "more streams are open than SETTINGS_MAX_CONCURRENT_STREAMS allows",
);
export const PUSH_REFUSED = connection(
  PROTOCOL_ERROR,
  "9113 section 8.4",
  "a push is promised that was not asked for",
);
// ---- flow control
export const CONNECTION_WINDOW_EXCEEDED = connection(
  FLOW_CONTROL_ERROR,
  "9113 section 6.9.1",
  "more DATA came than the window of the connection allows",
);
export const STREAM_WINDOW_EXCEEDED = stream(
  FLOW_CONTROL_ERROR,
  "9113 section 6.9.1",
  "more DATA came than the window of the stream allows",
);
export const ZERO_INCREMENT = connection(
  PROTOCOL_ERROR,
  "9113 section 6.9",
  "a WINDOW_UPDATE of the connection adds nothing",
);
export const ZERO_STREAM_INCREMENT = stream(
  PROTOCOL_ERROR,
  "9113 section 6.9",
  "a WINDOW_UPDATE of the stream adds nothing",
);
export const WINDOW_OVERFLOW = connection(
  FLOW_CONTROL_ERROR,
  "9113 section 6.9.1",
  "the window of the connection grows above 2^31-1",
);
export const STREAM_WINDOW_OVERFLOW = stream(
  FLOW_CONTROL_ERROR,
  "9113 section 6.9.1",
  "the window of the stream grows above 2^31-1",
);
export const SETTINGS_WINDOW_OVERFLOW = connection(
  FLOW_CONTROL_ERROR,
  "9113 section 6.9.2",
  "SETTINGS_INITIAL_WINDOW_SIZE makes the window of a stream grow above 2^31-1",
);
// ---- header compression
export const BAD_INDEX = connection(
  COMPRESSION_ERROR,
  "7541 section 2.3.3",
  "a header block refers to an entry that no table holds",
);
export const BAD_INTEGER = connection(
  COMPRESSION_ERROR,
  "7541 section 5.1",
  "an integer of a header block is too large",
);
export const BAD_HUFFMAN = connection(
  COMPRESSION_ERROR,
  "7541 section 5.2",
  "a Huffman-coded string of a header block is malformed",
);
export const BLOCK_TRUNCATED = connection(
  COMPRESSION_ERROR,
  "7541 section 5",
  "a header block ends in the middle of a field",
);
export const BAD_TABLE_SIZE = connection(
  COMPRESSION_ERROR,
  "7541 section 6.3",
  "the dynamic table is made larger than SETTINGS_HEADER_TABLE_SIZE",
);
export const LATE_TABLE_SIZE = connection(
  COMPRESSION_ERROR,
  "7541 section 4.2",
  "a table size update stands behind a field",
);
export const MISSING_TABLE_SIZE = connection(
  COMPRESSION_ERROR,
  "7541 section 4.2",
  "the acknowledged smaller table size is not taken up at the start of a header block",
);
// ---- messages
export const UPPERCASE_NAME = stream(
  PROTOCOL_ERROR,
  "9113 section 8.2.1",
  "a field name holds an upper-case letter",
);
export const BAD_NAME = stream(
  PROTOCOL_ERROR,
  "9113 section 8.2.1",
  "a field name is empty or not a token",
);
export const BAD_VALUE = stream(
  PROTOCOL_ERROR,
  "9113 section 8.2.1",
  "a field value holds a control character, or white space at an end",
);
export const CONNECTION_FIELD = stream(
  PROTOCOL_ERROR,
  "9113 section 8.2.2",
  "a field belongs to the connection (Connection, Keep-Alive, Proxy-Connection, Transfer-Encoding, Upgrade)",
);
export const BAD_TE = stream(PROTOCOL_ERROR, "9113 section 8.2.2", "TE is other than trailers");
export const UNKNOWN_PSEUDO = stream(
  PROTOCOL_ERROR,
  "9113 section 8.3",
  "a pseudo-header field is unknown or belongs to the other direction",
);
export const REPEATED_PSEUDO = stream(
  PROTOCOL_ERROR,
  "9113 section 8.3",
  "a pseudo-header field stands twice",
);
export const LATE_PSEUDO = stream(
  PROTOCOL_ERROR,
  "9113 section 8.3",
  "a pseudo-header field stands behind a field",
);
export const PSEUDO_IN_TRAILERS = stream(
  PROTOCOL_ERROR,
  "9113 section 8.1",
  "a pseudo-header field stands in trailers",
);
export const MISSING_PSEUDO = stream(
  PROTOCOL_ERROR,
  "9113 section 8.3.1",
  "the request lacks :method, :scheme or :path",
);
export const BAD_METHOD = stream(PROTOCOL_ERROR, "9110 section 9.1", "the :method is not a token");
export const BAD_PATH = stream(
  PROTOCOL_ERROR,
  "9113 section 8.3.1",
  "the :path is empty, does not begin with a slash, or holds a byte that no URI may hold",
);
export const BAD_SCHEME = stream(PROTOCOL_ERROR, "9110 section 4.2", "the :scheme is not a URI scheme");
export const BAD_AUTHORITY = stream(
  PROTOCOL_ERROR,
  "9113 section 8.3.1",
  "the :authority is empty, carries user information, or holds a byte that no URI may hold",
);
export const HOST_DIFFERS = stream(
  PROTOCOL_ERROR,
  "9113 section 8.3.1",
  "Host names something other than :authority",
);
export const BAD_CONNECT = stream(
  PROTOCOL_ERROR,
  "9113 section 8.5",
  "CONNECT has :scheme or :path, or no :authority",
);
export const BAD_EXTENDED_CONNECT = stream(
  PROTOCOL_ERROR,
  "8441 section 4",
  ":protocol stands with another method than CONNECT, without :authority or beside Content-Length, or is no token",
);
export const BAD_STATUS = stream(
  PROTOCOL_ERROR,
  "9113 section 8.3.2",
  "the answer lacks a :status of three digits",
);
export const BAD_INTERIM = stream(
  PROTOCOL_ERROR,
  "9113 section 8.1",
  "an interim answer ends the stream, or switches protocols",
);
export const TRAILERS_WITHOUT_END = stream(
  PROTOCOL_ERROR,
  "9113 section 8.1",
  "a second header section does not end the stream",
);
export const BAD_LENGTH_FIELD = stream(
  PROTOCOL_ERROR,
  "9110 section 8.6",
  "Content-Length is not one plain decimal number",
);
export const LENGTH_DIFFERS = stream(
  PROTOCOL_ERROR,
  "9113 section 8.1.1",
  "the DATA has another length than Content-Length says",
);
export const BAD_EXPECTATION = stream(
  PROTOCOL_ERROR,
  "9110 section 10.1.1",
  "Expect asks for something other than 100-continue",
);
export const HEAD_TOO_LARGE = stream(
  ENHANCE_YOUR_CALM,
  "6585 section 5",
  "the head is larger than SETTINGS_MAX_HEADER_LIST_SIZE, or has too many fields",
);
// ---- floods
export const BLOCK_TOO_LARGE = flood("a header block goes on without end");
export const RESET_FLOOD = flood("too many streams are opened and reset");
export const PING_FLOOD = flood("too many PING frames come");
export const SETTINGS_FLOOD = flood("too many SETTINGS frames come");
export const EMPTY_FLOOD = flood("too many frames carry nothing");
export const WINDOW_FLOOD = flood("too many WINDOW_UPDATE frames come");
export const PRIORITY_FLOOD = flood("too many PRIORITY frames or unknown ones come");
export const CLOSED_FLOOD = flood("too many frames come for closed streams");
export const OUTPUT_FLOOD = flood("answers to control frames are not read");
// ---- spoken by us
export const GOING_AWAY = stream(
  REFUSED_STREAM,
  "9113 section 6.8",
  "the stream was opened after the connection said goodbye",
);

const UNKNOWN: Http2Problem = {
  scope: "connection",
  code: INTERNAL_ERROR,
  what: "the codec failed",
  source: "RFC 9113 section 7",
};

/** Every problem, for tests and documents; the number of entry `i` is `-(i + 1)`. */
export const ALL_PROBLEMS: readonly Http2Problem[] = PROBLEMS;

export function problemOf(number: number): Http2Problem {
  return PROBLEMS[-number - 1] ?? UNKNOWN;
}
