/** The agent's own HTTP/2 codec over a loopback socket, as a client or a server of a test. */
import { Http2Connection, type Http2Stream } from "../../agent/wire/http2/connection.ts";
import { bytes, Recorder } from "../../agent/wire/http2/connection_fixture_test.ts";

/** What came on one stream, in words: heads with CRLF as `|`, bodies as text, `end`, `reset CODE`. */
export class Http2Side implements Disposable {
  readonly recorder = new Recorder();
  readonly connection: Http2Connection;
  readonly done: Promise<void>;
  #changed: (() => void) | null = null;

  constructor(
    readonly socket: Deno.TcpConn,
    side: "client" | "server",
    setUp: (side: Http2Side) => void = () => {},
  ) {
    socket.setNoDelay(true);
    this.connection = new Http2Connection(side, this.recorder);
    this.recorder.connection = this.connection;
    setUp(this);
    this.done = this.#read();
  }

  static async connect(port: number, hostname = "127.0.0.1"): Promise<Http2Side> {
    return new Http2Side(await Deno.connect({ hostname, port }), "client");
  }

  /** Sends a request, with a body behind its head when there is one; gives the stream. */
  request(head: string, body?: string): Http2Stream {
    const stream = this.connection.request(bytes(head), body === undefined)!;
    if (body !== undefined) this.connection.sendData(stream, bytes(body), 0, body.length, true);
    void this.flush();
    return stream;
  }

  /** Resolves when more has been read. */
  change(): Promise<void> {
    const before = this.#changed;
    return new Promise<void>((resolve) =>
      this.#changed = () => {
        before?.();
        resolve();
      }
    );
  }

  /** Resolves when it holds; looked at after every read. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.change();
  }

  /** Lines of the recorder once one of them matches. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = this.recorder.lines.find((line) => pattern.test(line));
      if (found !== undefined) return found;
      await this.change();
    }
  }

  async flush(): Promise<void> {
    while (this.connection.pending > 0) {
      const piece = this.connection.take();
      for (let at = 0; at < piece.length;) at += await this.socket.write(piece.subarray(at));
      this.connection.written();
    }
  }

  async #read(): Promise<void> {
    const buf = new Uint8Array(65536);
    let end = 0;
    await this.flush();
    try {
      for (;;) {
        const n = await this.socket.read(buf.subarray(end));
        if (n === null) break;
        const start = this.connection.receive(buf, 0, end + n, performance.now());
        buf.copyWithin(0, start, end + n);
        end = end + n - start;
        await this.flush();
        this.#tell();
      }
    } catch {
      // Closed, by either side.
    }
    this.recorder.lines.push("closed");
    this.#tell();
  }

  #tell(): void {
    const changed = this.#changed;
    this.#changed = null;
    changed?.();
  }

  [Symbol.dispose](): void {
    try {
      this.socket.close();
    } catch {
      // Closed already.
    }
  }
}
