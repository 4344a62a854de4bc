/**
 * What can be wrong with the bytes of an HTTP/1.1 message. The parsers return these as negative numbers (no exceptions, no
 * allocation on the hot path); `problemOf` turns one into a sentence, the section that forbids it and the status to answer.
 */

export interface WireProblem {
  /** Status of the answer when a client sent it. An upstream that sends it is always a 502. */
  readonly status: 400 | 408 | 414 | 431 | 501 | 505;
  /** What is wrong, to follow "because". */
  readonly what: string;
  readonly source: string;
}

export const BAD_METHOD = -1;
export const BAD_TARGET = -2;
export const BAD_VERSION = -3;
export const BAD_REQUEST_LINE = -4;
export const BARE_LF = -5;
export const BARE_CR = -6;
export const OBS_FOLD = -7;
export const SPACE_BEFORE_COLON = -8;
export const BAD_FIELD_NAME = -9;
export const BAD_FIELD_VALUE = -10;
export const TOO_MANY_FIELDS = -11;
export const HEAD_TOO_LARGE = -12;
export const TARGET_TOO_LARGE = -13;
export const BAD_CONTENT_LENGTH = -14;
export const SEVERAL_CONTENT_LENGTHS = -15;
export const BAD_TRANSFER_ENCODING = -16;
export const UNKNOWN_TRANSFER_ENCODING = -17;
export const LENGTH_AND_ENCODING = -18;
export const ENCODING_ON_1_0 = -19;
export const NO_HOST = -20;
export const SEVERAL_HOSTS = -21;
export const BAD_STATUS_LINE = -22;
export const BAD_CHUNK_SIZE = -23;
export const BAD_CHUNK_EXTENSION = -24;
export const BAD_CHUNK_END = -25;
export const BAD_TRAILER = -26;
export const UNSUPPORTED_VERSION = -27;
export const BAD_EXPECT = -28;

const PROBLEMS: readonly WireProblem[] = [
  { status: 400, what: "it is malformed", source: "RFC 9112" },
  { status: 400, what: "the method is not a token", source: "RFC 9110 section 9.1" },
  { status: 400, what: "the target holds a byte that no URI may hold", source: "RFC 9112 section 3.2" },
  { status: 400, what: "the version is not of the form HTTP/1.1", source: "RFC 9112 section 2.3" },
  {
    status: 400,
    what: "the first line is not method, space, target, space, version",
    source: "RFC 9112 section 3",
  },
  { status: 400, what: "a line ends in LF without CR", source: "RFC 9112 section 2.2" },
  { status: 400, what: "a CR stands without LF", source: "RFC 9112 section 2.2" },
  { status: 400, what: "a header is folded over two lines", source: "RFC 9112 section 5.2" },
  { status: 400, what: "white space stands before the colon of a header", source: "RFC 9112 section 5.1" },
  { status: 400, what: "a header name is empty or not a token", source: "RFC 9110 section 5.1" },
  { status: 400, what: "a header value holds a control character", source: "RFC 9110 section 5.5" },
  { status: 431, what: "there are too many headers", source: "RFC 6585 section 5" },
  { status: 431, what: "the head is too large", source: "RFC 6585 section 5" },
  { status: 414, what: "the target is too long", source: "RFC 9110 section 15.5.15" },
  {
    status: 400,
    what: "Content-Length is not a plain decimal number",
    source: "RFC 9110 section 8.6",
  },
  { status: 400, what: "Content-Length stands more than once", source: "RFC 9112 section 6.3" },
  {
    status: 400,
    what: "Transfer-Encoding is repeated or does not end in one chunked",
    source: "RFC 9112 section 6.1",
  },
  { status: 501, what: "Transfer-Encoding is other than chunked", source: "RFC 9112 section 6.1" },
  {
    status: 400,
    what: "it has both Content-Length and Transfer-Encoding",
    source: "RFC 9112 section 6.1",
  },
  { status: 400, what: "Transfer-Encoding stands in an HTTP/1.0 message", source: "RFC 9112 section 6.1" },
  { status: 400, what: "there is no Host", source: "RFC 9112 section 3.2" },
  { status: 400, what: "there is more than one Host", source: "RFC 9112 section 3.2" },
  { status: 400, what: "the status line is malformed", source: "RFC 9112 section 4" },
  { status: 400, what: "a chunk size is not a hexadecimal number", source: "RFC 9112 section 7.1" },
  {
    status: 400,
    what: "a chunk extension is malformed or too long",
    source: "RFC 9112 section 7.1.1",
  },
  { status: 400, what: "the data of a chunk is not followed by CRLF", source: "RFC 9112 section 7.1" },
  { status: 400, what: "the trailer section is malformed or too long", source: "RFC 9112 section 7.1.2" },
  { status: 505, what: "the version is not HTTP/1.0 or HTTP/1.1", source: "RFC 9110 section 15.6.6" },
  {
    status: 400,
    what: "Expect asks for something other than 100-continue",
    source: "RFC 9110 section 10.1.1",
  },
];

export function problemOf(code: number): WireProblem {
  return (PROBLEMS[-code] ?? PROBLEMS[0])!;
}
