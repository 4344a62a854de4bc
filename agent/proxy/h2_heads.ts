/** Heads of HTTP/2 messages: where they come from, and trailers as lines. */
import type { MessageHead } from "../wire/http1/head.ts";
import { HeadPool } from "../wire/http2/connection.ts";
import { copyOf } from "./h2_body.ts";

let heads = new HeadPool(0);

/** All connections take their heads out of one pool, as long as they are of one size. */
export function headPool(maxHeaderCount: number): HeadPool {
  if (heads.maxHeaderCount !== maxHeaderCount) heads = new HeadPool(maxHeaderCount);
  return heads;
}

/** Lines of a trailer section, as RequestBody has them; null when it is empty. */
export function trailerLines(head: MessageHead): Uint8Array | null {
  if (head.count === 0) return null;
  return copyOf(head.buf, head.start, head.end - 2);
}
