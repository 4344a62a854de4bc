/** Sends the rest of a request body up while the answer may already come down. */
import { CHUNK_OVERHEAD, writeChunkSize } from "../wire/http1/chunked.ts";
import type { ProxyContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { writeLastChunk } from "./prepare.ts";
import type { UpstreamConnection } from "./upstream.ts";
import { writeAll } from "../core/write_all.ts";

/**
 * Never rejects. A body that fails is told by `ex.bodyError` and by cutting the connection, which wakes the reader of the answer. A
 * write that fails only ends the sending: the upstream may have answered and closed (RFC 9112 section 9.5), which the reader finds out.
 */
export async function pump(proxy: ProxyContext, ex: Exchange, connection: UpstreamConnection): Promise<void> {
  const { body } = ex;
  const chunked = body.length < 0;
  const { bodyStallMs } = proxy.config.proxy.timeouts;
  const frame = chunked ? proxy.buffers.takeWriter() : null;
  ex.pumping = true;
  let reading = false;
  try {
    for (;;) {
      connection.deadline = Infinity;
      reading = true;
      const piece = await body.read();
      reading = false;
      if (piece === null || connection.closed) break;
      // Only sending counts as a stall of the upstream; waiting for the client has its own deadline.
      proxy.deadlines.arm(connection, proxy.deadlines.now + bodyStallMs);
      if (frame === null) {
        await writeAll(connection.stream, piece);
      } else {
        frame.clear();
        frame.ensure(CHUNK_OVERHEAD);
        frame.length = writeChunkSize(frame.buf, 0, piece.length);
        frame.bytes(piece);
        frame.text("\r\n");
        await writeAll(connection.stream, frame.view());
      }
      if (body.done && frame === null) break;
    }
    if (connection.closed) return;
    if (frame !== null) {
      frame.clear();
      writeLastChunk(frame, body.trailers);
      await writeAll(connection.stream, frame.view());
    }
    ex.pumping = false;
    startRouteTimeout(proxy, ex, connection, proxy.clock.monotonic());
  } catch (error) {
    if (connection.closed) return;
    if (reading) {
      ex.bodyError = error;
      connection.close();
    } else {
      proxy.deadlines.arm(connection, proxy.deadlines.now + bodyStallMs);
    }
  } finally {
    if (frame !== null) proxy.buffers.giveWriter(frame);
  }
}

/** The route's timeout begins when the whole request has been sent (istio-semantics 1.9). */
export function startRouteTimeout(
  proxy: ProxyContext,
  ex: Exchange,
  connection: UpstreamConnection,
  now: number,
): void {
  ex.requestSentMs = now;
  if (ex.timeoutMs > 0 && ex.routeDeadline === Infinity) ex.routeDeadline = now + ex.timeoutMs;
  const perTry = ex.perTryTimeoutMs > 0 ? now + ex.perTryTimeoutMs : Infinity;
  connection.routeDeadline = ex.routeDeadline;
  const deadline = Math.min(ex.routeDeadline, perTry);
  proxy.deadlines.arm(connection, deadline);
}
