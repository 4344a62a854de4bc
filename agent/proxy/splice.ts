/**
 * Bytes both ways until both sides are done: two loops that read and write, each with a buffer of its own that grows while reads
 * fill it. A side that cannot take more holds the other back, because the next read waits for the write.
 *
 * In: two connections with what was received from them already. Out: the bytes counted on the exchange; both connections closed.
 */
import type { ByteStream } from "../core/ports.ts";
import type { ProxyContext } from "./context.ts";
import type { Expirable } from "./deadlines.ts";
import type { Client, Far } from "./engine.ts";
import type { Exchange } from "./exchange.ts";
import type { Input } from "./input.ts";

export interface SpliceLimits {
  /** Without a byte either way, ms; Infinity = none. */
  readonly idleMs: number;
  /** From now on, ms; Infinity = none. */
  readonly maxDurationMs: number;
}

/** After a read of less the buffer goes back: bulk fills it again at once. */
const SMALL_READ_BYTES = 4 * 1024;

class Splice implements Expirable {
  deadline = Infinity;
  slot = -1;
  closed = false;
  #end: number;

  constructor(
    readonly proxy: ProxyContext,
    readonly ex: Exchange,
    readonly client: Client,
    readonly upstream: Far,
    readonly limits: SpliceLimits,
  ) {
    this.#end = proxy.clock.monotonic() + limits.maxDurationMs;
    this.touch();
  }

  touch(): void {
    const { deadlines } = this.proxy;
    deadlines.arm(this, Math.min(deadlines.now + this.limits.idleMs, this.#end));
  }

  expire(): void {
    this.ex.addFlag(this.proxy.deadlines.now >= this.#end ? "DT" : "SI");
    this.close();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.client.stream.close();
    this.upstream.close();
  }

  /** A side broke off: the other one is cut, too. */
  broken(flag: "DC" | "UC"): void {
    if (this.closed) return;
    this.ex.addFlag(flag);
    this.close();
  }

  up(): Promise<void> {
    return this.#copy(this.client.input, this.upstream.stream, "DC", "UC", (n) => {
      this.ex.tunnelReceived += n;
      this.proxy.observer.count("tcp_received_bytes_total", n);
    });
  }

  down(): Promise<void> {
    return this.#copy(this.upstream.input, this.client.stream, "UC", "DC", (n) => {
      this.ex.tunnelSent += n;
      this.proxy.observer.count("tcp_sent_bytes_total", n);
    });
  }

  /** One way, until its source ends, which the other side is told; the flags say who broke off. */
  async #copy(
    input: Input,
    to: ByteStream,
    sourceBroke: "DC" | "UC",
    sinkBroke: "DC" | "UC",
    count: (bytes: number) => void,
  ): Promise<void> {
    for (;;) {
      const n = input.available;
      if (n > 0) {
        try {
          await sendAll(input, to);
        } catch {
          return this.broken(sinkBroke);
        }
        count(n);
        this.touch();
      }
      try {
        if (!input.took(await input.next())) break;
      } catch {
        return this.broken(sourceBroke);
      }
    }
    input.shrink();
    await endOf(to);
  }
}

/** Never rejects. */
export async function splice(
  proxy: ProxyContext,
  ex: Exchange,
  client: Client,
  upstream: Far,
  limits: SpliceLimits,
): Promise<void> {
  // The end of what the client sends is no longer its going away.
  ex.onCancel = null;
  proxy.observer.count("tcp_connections_total");
  const splice = new Splice(proxy, ex, client, upstream, limits);
  proxy.deadlines.add(splice);
  proxy.tunnels.add(splice);
  try {
    await Promise.all([splice.up(), splice.down()]);
  } finally {
    proxy.tunnels.delete(splice);
    proxy.deadlines.remove(splice);
    splice.close();
  }
}

/** Writes what is at hand; the buffer follows the stream, so that a quiet tunnel keeps little. */
async function sendAll(from: Input, to: ByteStream): Promise<void> {
  const full = from.end === from.buf.length;
  const small = from.end - from.start < SMALL_READ_BYTES;
  do {
    from.start += await to.write(
      from.start === 0 && full ? from.buf : from.buf.subarray(from.start, from.end),
    );
  } while (from.start < from.end);
  // A read that filled the buffer promises more to come.
  if (full) {
    const { buf } = from;
    from.enlarge();
    if (from.buf === buf) from.enlargeFurther();
  } else if (small) from.shrink();
}

/** Half-close; the other side may be gone already. */
async function endOf(stream: ByteStream): Promise<void> {
  try {
    await stream.closeWrite();
  } catch {
    // It reads nothing any more.
  }
}
