/**
 * systemd's side of sd_notify(3): a unix datagram socket at a path, and what was sent to it.
 *
 * @example
 * ```ts
 * import { NotifySocket } from "./notify_socket.ts";
 * await using socket = await NotifySocket.open();
 * // … start a service with NOTIFY_SOCKET=socket.path …
 * await socket.waitFor(/^READY=1$/m);
 * ```
 */
import { until } from "./bytes.ts";

export class NotifySocket implements AsyncDisposable {
  /** Datagrams so far, in order. */
  readonly messages: string[] = [];
  readonly path: string;
  readonly #directory: string;
  readonly #socket: Deno.DatagramConn;
  readonly #reading: Promise<void>;

  private constructor(directory: string) {
    this.#directory = directory;
    this.path = `${directory}/notify`;
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path: this.path });
    this.#reading = this.#read();
  }

  static async open(): Promise<NotifySocket> {
    return new NotifySocket(await Deno.makeTempDir());
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const [bytes] = await this.#socket.receive(new Uint8Array(4096));
        this.messages.push(new TextDecoder().decode(bytes));
      }
    } catch {
      // Closed.
    }
  }

  /** All messages that match, so far. */
  matching(pattern: RegExp): string[] {
    return this.messages.filter((message) => pattern.test(message));
  }

  /** Resolves when so many match. */
  async waitFor(pattern: RegExp, count = 1): Promise<void> {
    await until(() => this.matching(pattern).length >= count, `${count} × ${pattern} from the service`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#reading;
    await Deno.remove(this.#directory, { recursive: true });
  }
}
