/** A peer in memory that speaks HTTP/2: client or server, with frames by hand where the codec would not say them. */
import { latin1 } from "../wire/http1/head.ts";
import { Http2Connection, type Http2Stream } from "../wire/http2/connection.ts";
import { bytes, Recorder } from "../wire/http2/connection_fixture_test.ts";
import * as frames from "../wire/http2/frames.ts";
import { Output } from "../wire/http2/output.ts";
import { MAX_CONCURRENT_STREAMS } from "../wire/http2/settings.ts";
import { type MemoryStream, settle } from "./proxy_fixture_test.ts";

const ACK = "\0\0\0\x04\x01\0\0\0\0";

/** Whatever the codec wants to say goes out at once, unless `mute`. */
export class Peer {
  readonly recorder = new Recorder();
  readonly connection: Http2Connection;
  closed = false;
  /** Answers to settings of which the codec knows nothing. */
  protected acks = 0;

  constructor(
    readonly stream: MemoryStream,
    side: "client" | "server",
    maxConcurrentStreams = 1000,
    readonly mute = false,
  ) {
    this.connection = new Http2Connection(side, this.recorder, { limits: { maxConcurrentStreams } });
    this.recorder.connection = this.connection;
    void this.#read();
  }

  async #read(): Promise<void> {
    const buf = new Uint8Array(1 << 20);
    let end = 0;
    this.flush();
    for (;;) {
      const n = await this.stream.read(buf.subarray(end)).catch(() => null);
      if (n === null) break;
      end += n;
      while (this.acks > 0) {
        const at = latin1(buf, 0, end).indexOf(ACK);
        if (at < 0) break;
        buf.copyWithin(at, at + ACK.length, end);
        end -= ACK.length;
        this.acks--;
      }
      const used = this.connection.receive(buf, 0, end, 0);
      buf.copyWithin(0, used, end);
      end -= used;
      this.flush();
    }
    this.closed = true;
  }

  flush(): void {
    while (!this.mute && this.connection.pending > 0) {
      this.#write(this.connection.take());
      this.connection.written();
    }
  }

  /** The other side may be gone. */
  #write(bytes: Uint8Array): void {
    this.stream.write(bytes).catch(() => {});
  }

  /** Frames that the codec would not send. */
  say(write: (out: Output) => void): void {
    const out = new Output();
    write(out);
    this.#write(out.take());
  }
}

export class Client extends Peer {
  constructor(stream: MemoryStream) {
    super(stream, "client");
  }

  request(head: string, endStream = true): Http2Stream {
    const stream = this.connection.request(bytes(head), endStream)!;
    this.flush();
    return stream;
  }
}

export class Server extends Peer {
  constructor(stream: MemoryStream, maxConcurrentStreams = 1000, mute = false) {
    super(stream, "server", maxConcurrentStreams, mute);
  }

  get requests(): Http2Stream[] {
    return [...this.recorder.streams.values()];
  }

  /** Answers the request with that number, from 0. */
  answer(index: number, body = "ok"): void {
    const stream = this.requests[index]!;
    this.connection.respond(
      stream,
      bytes(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`),
      false,
    );
    this.connection.sendData(stream, bytes(body), 0, body.length, true);
    this.flush();
  }

  settings(maxConcurrentStreams: number): Promise<void> {
    this.acks++;
    this.say((out) => frames.writeSettings(out, [MAX_CONCURRENT_STREAMS, maxConcurrentStreams]));
    return settle();
  }

  goAway(lastId: number): void {
    this.say((out) => frames.writeGoAway(out, lastId, 0, ""));
  }
}
