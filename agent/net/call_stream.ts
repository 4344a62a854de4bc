/** A call on its connection as a {@link MessageStream}; the way it ends becomes a MeshError of D205 to D210. */
import type { MessageStream } from "../core/ports.ts";
import type { CallConnection } from "./call_connection.ts";
import { callFailure, failureError } from "./connect_error.ts";

export class CallStream implements MessageStream {
  readonly messages: AsyncIterable<Uint8Array>;
  readonly #connection: CallConnection;
  readonly #address: string;
  /** Must not come out in a message, should the server repeat it. */
  readonly #secret: string | undefined;
  #closed = false;

  constructor(connection: CallConnection, address: string, secret: string | undefined) {
    this.#connection = connection;
    this.#address = address;
    this.#secret = secret;
    this.messages = this.#read();
  }

  send(message: Uint8Array): void {
    this.#connection.send(message);
  }

  close(): void {
    this.#closed = true;
    this.#connection.close();
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    let some = false;
    try {
      while (!this.#closed) {
        const message = await this.#connection.next();
        if (message === null) break;
        some = true;
        yield message;
      }
      if (this.#closed) return;
      const end = await this.#connection.ended;
      if (end.kind === "status" && end.code === 0) return;
      const details = this.#secret === undefined ? end.details : end.details.replaceAll(this.#secret, "…");
      const failure = callFailure({ ...end, details });
      throw failureError(some ? "keep the stream of" : "open a stream to", this.#address, failure);
    } finally {
      this.close();
    }
  }
}
