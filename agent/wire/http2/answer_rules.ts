/** What the header sections of an answer may say, one after the other, and the length that they promise (RFC 9113 section 8.1). */
import type { MessageHead } from "../http1/head.ts";
import * as problem from "./problems.ts";
import type { Http2Stream } from "./stream.ts";

/** A head that came on our stream; 0, or a problem. Notes what is to come after it. */
export function checkAnswer(stream: Http2Stream, head: MessageHead, endStream: boolean): number {
  const { status } = head;
  if (status < 200) return endStream || status === 101 ? problem.BAD_INTERIM : 0;
  stream.headReceived = true;
  if (stream.connect && status < 300) {
    head.chunked = false;
    return 0;
  }
  stream.connect = false;
  if (stream.bodiless || status === 204 || status === 304) stream.expected = 0;
  else stream.expected = head.contentLength;
  return endStream && stream.expected > 0 ? problem.LENGTH_DIFFERS : 0;
}

/** A second section, on either side. */
export function checkTrailers(stream: Http2Stream, endStream: boolean): number {
  if (!endStream) return problem.TRAILERS_WITHOUT_END;
  return stream.expected > 0 ? problem.LENGTH_DIFFERS : 0;
}

/** `length` bytes of DATA. */
export function checkData(stream: Http2Stream, length: number, endStream: boolean): number {
  if (!stream.headReceived) return problem.DATA_BEFORE_HEADERS;
  if (stream.expected < 0) return 0;
  stream.expected -= length;
  return stream.expected < 0 || endStream && stream.expected > 0 ? problem.LENGTH_DIFFERS : 0;
}
