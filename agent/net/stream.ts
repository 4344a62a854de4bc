/** A TCP connection as an {@link AcceptedStream}: `Deno.TcpConn` with plain addresses, small writes sent at once, fair reads. */
import type { AcceptedStream, StreamAddress } from "../core/ports.ts";
import type { ReadGate } from "./read_gate.ts";

export class TcpStream implements AcceptedStream {
  readonly local: StreamAddress;
  readonly remote: StreamAddress;
  readonly #conn: Deno.TcpConn;
  readonly #gate: ReadGate | null;
  #closed = false;

  constructor(conn: Deno.TcpConn, gate: ReadGate | null) {
    this.#conn = conn;
    this.#gate = gate;
    this.local = conn.localAddr as StreamAddress;
    this.remote = conn.remoteAddr as StreamAddress;
    // Otherwise Nagle holds back the second of two writes until the first is acknowledged.
    conn.setNoDelay(true);
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#gate === null ? this.#conn.read(into) : this.#fairRead(into, this.#gate);
  }

  async #fairRead(into: Uint8Array, gate: ReadGate): Promise<number | null> {
    const n = await this.#conn.read(into);
    if (n !== null && !gate.admit(n)) await gate.wait();
    return n;
  }

  write(from: Uint8Array): Promise<number> {
    return this.#conn.write(from);
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#conn.close();
    } catch {
      // The runtime has closed it already.
    }
  }
}
