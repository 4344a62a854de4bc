/** A call on its connection as a {@link MessageStream}; the way it ends becomes a MeshError of D205 to D210. */
import type { MessageStream } from "../core/ports.ts";
import { callFailure, failureError } from "./connect_error.ts";
import type { GrpcConnection } from "./grpc_connection.ts";

export class GrpcStream implements MessageStream {
  readonly messages: AsyncIterable<Uint8Array>;
  readonly #connection: GrpcConnection;
  readonly #address: string;
  /** Must not come out in a message, should the server repeat it. */
  readonly #secret: string | undefined;
  #closed = false;

  constructor(connection: GrpcConnection, address: string, secret: string | undefined) {
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
      const { code, details } = await this.#connection.ended;
      if (code === 0) return;
      const { peerGone } = this.#connection;
      const said = this.#secret === undefined ? details : details.replaceAll(this.#secret, "…");
      const failure = callFailure({ code, details: said }, peerGone);
      throw failureError(some ? "keep the stream of" : "open a stream to", this.#address, failure);
    } finally {
      this.close();
    }
  }
}
