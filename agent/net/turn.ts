/**
 * Turns of the runtime's event loop. Long work lets waiting sockets run in between; no timer and no `setImmediate` does that well:
 * a timer of 0 ms comes after 2 ms, and `setImmediate` comes before the sockets were looked at (measured with Deno 2.9: 7 echoes of
 * another process in 374 turns). A byte written to a loopback connection of our own can only be read back after all sockets were
 * polled, and that takes about 15 us.
 *
 * @example
 * ```ts ignore
 * const turns = createTurns();
 * while (work()) await turns.next();
 * turns.close();
 * ```
 */
import type { Turns } from "../core/ports.ts";

export interface LoopbackTurns extends Turns {
  /** Closes the connection; later turns are those of a timer. */
  close(): void;
}

/** Opens its connection with the first turn. Where there can be none, turns are those of a timer. */
export function createTurns(): LoopbackTurns {
  let pair: Promise<LoopbackPair | undefined> | undefined;
  let closed = false;
  let turning: Promise<void> | undefined;
  const turn = async (): Promise<void> => {
    pair ??= LoopbackPair.open().catch(() => undefined);
    const opened = await pair;
    if (closed) opened?.close();
    const turned = !closed && await opened?.turn();
    turning = undefined;
    if (turned !== true) await timerTurn();
  };
  return {
    next: () => turning ??= turn(),
    close() {
      closed = true;
      pair?.then((opened) => opened?.close());
    },
  };
}

/** The slow way, which needs nothing. */
export function timerTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Both ends of a loopback connection. */
export class LoopbackPair {
  readonly #writer: Deno.TcpConn;
  readonly #reader: Deno.TcpConn;
  readonly #byte = new Uint8Array(1);
  readonly #into = new Uint8Array(16);

  private constructor(writer: Deno.TcpConn, reader: Deno.TcpConn) {
    this.#writer = writer;
    this.#reader = reader;
    writer.setNoDelay(true);
  }

  static async open(): Promise<LoopbackPair> {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    try {
      const { port } = listener.addr as Deno.NetAddr;
      const [writer, reader] = await Promise.all([
        Deno.connect({ hostname: "127.0.0.1", port }),
        listener.accept(),
      ]);
      const same = (reader.remoteAddr as Deno.NetAddr).port === (writer.localAddr as Deno.NetAddr).port;
      if (!same) {
        writer.close();
        reader.close();
        throw new Error("Cannot open a loopback pair: another program connected to its port first");
      }
      return new LoopbackPair(writer, reader as Deno.TcpConn);
    } finally {
      listener.close();
    }
  }

  /** One at a time. False when the connection is closed or broken. */
  async turn(): Promise<boolean> {
    try {
      await this.#writer.write(this.#byte);
      return await this.#reader.read(this.#into) !== null;
    } catch {
      return false;
    }
  }

  /** Idempotent. */
  close(): void {
    try {
      this.#writer.close();
      this.#reader.close();
    } catch {
      // Closed already.
    }
  }
}
