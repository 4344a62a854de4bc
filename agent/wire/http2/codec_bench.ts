/**
 * What the codec costs without sockets: a gRPC unary call of 69 bytes through four connections, as in a proxy (client, the agent's two
 * sides, server): per call 4 heads in, 4 heads out, 4 messages in and out, 2 trailers in and out. And 64 KiB of DATA through two.
 */
import type { MessageHead } from "../http1/head.ts";
import { Http2Connection, type Http2Handler, type Http2Stream } from "./connection.ts";
import { huffmanDecode, huffmanEncode } from "./huffman.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

abstract class Quiet implements Http2Handler {
  connection!: Http2Connection;
  headers(_stream: Http2Stream, head: MessageHead, _end: boolean): void {
    this.connection.heads.give(head);
  }
  data(stream: Http2Stream, _buf: Uint8Array, start: number, end: number, _last: boolean): void {
    this.connection.consumed(stream, end - start);
  }
  trailers(_stream: Http2Stream, head: MessageHead): void {
    this.connection.heads.give(head);
  }
  reset(): void {}
  writable(_stream: Http2Stream): void {}
  refused(): void {}
  settings(): void {}
  goAway(): void {}
  pong(): void {}
  drained(): void {}
  failed(): void {}
}

const REQUEST = bytes(
  "POST /helloworld.Greeter/SayHello HTTP/1.1\r\nhost: greeter.default.svc:50051\r\ncontent-type: application/grpc\r\n" +
    "user-agent: grpc-go/1.33.1\r\nte: trailers\r\ngrpc-timeout: 999999u\r\n\r\n",
);
const ANSWER = bytes("HTTP/1.1 200 \r\ncontent-type: application/grpc\r\n\r\n");
const STATUS = bytes("grpc-status: 0\r\ngrpc-message: \r\n");
const MESSAGE = new Uint8Array(69).fill(7);

class Origin extends Quiet {
  override headers(stream: Http2Stream, head: MessageHead): void {
    this.connection.respond(stream, ANSWER, false);
    this.connection.heads.give(head);
  }
  override data(stream: Http2Stream, buf: Uint8Array, start: number, end: number, last: boolean): void {
    this.connection.consumed(stream, end - start);
    this.connection.sendData(stream, buf, start, end, false);
    if (last) this.connection.sendTrailers(stream, STATUS);
  }
}

/** Passes everything on, with the least that a proxy does. */
class Upstream extends Quiet {
  downstream!: Http2Connection;
  override headers(stream: Http2Stream, head: MessageHead, end: boolean): void {
    const text = new Uint8Array(head.buf.buffer, head.buf.byteOffset + head.start, head.end - head.start);
    this.downstream.respond(stream.owner as Http2Stream, text, end);
    this.connection.heads.give(head);
  }
  override data(stream: Http2Stream, buf: Uint8Array, start: number, end: number, last: boolean): void {
    this.connection.consumed(
      stream,
      this.downstream.sendData(stream.owner as Http2Stream, buf, start, end, last),
    );
  }
  override trailers(stream: Http2Stream, head: MessageHead): void {
    const lines = new Uint8Array(head.buf.buffer, head.buf.byteOffset, head.end);
    this.downstream.sendTrailers(stream.owner as Http2Stream, lines);
    this.connection.heads.give(head);
  }
}

class Downstream extends Quiet {
  upstream!: Http2Connection;
  override headers(stream: Http2Stream, head: MessageHead, end: boolean): void {
    const text = new Uint8Array(head.buf.buffer, head.buf.byteOffset + head.start, head.end - head.start);
    const up = this.upstream.request(text, end)!;
    stream.owner = up;
    up.owner = stream;
    this.connection.heads.give(head);
  }
  override data(stream: Http2Stream, buf: Uint8Array, start: number, end: number, last: boolean): void {
    this.connection.consumed(
      stream,
      this.upstream.sendData(stream.owner as Http2Stream, buf, start, end, last),
    );
  }
}

function connect<H extends Quiet>(side: "client" | "server", handler: H): Http2Connection {
  return handler.connection = new Http2Connection(side, handler);
}

function carry(from: Http2Connection, to: Http2Connection): boolean {
  if (from.pending === 0) return false;
  const output = from.take();
  to.receive(output, 0, output.length, 0);
  from.written();
  return true;
}

const client = connect("client", new (class extends Quiet {})());
const downstreamHandler = new Downstream();
const downstream = connect("server", downstreamHandler);
const upstreamHandler = new Upstream();
const upstream = connect("client", upstreamHandler);
const origin = connect("server", new Origin());
downstreamHandler.upstream = upstream;
upstreamHandler.downstream = downstream;

function settle(): void {
  let moved = true;
  while (moved) {
    moved = carry(client, downstream);
    moved = carry(upstream, origin) || moved;
    moved = carry(origin, upstream) || moved;
    moved = carry(downstream, client) || moved;
  }
}

function calls(n: number): void {
  for (let i = 0; i < n; i++) {
    const stream = client.request(REQUEST, false)!;
    client.sendData(stream, MESSAGE, 0, MESSAGE.length, true);
  }
  settle();
}
settle();

Deno.bench(
  "gRPC unary of 69 B through client, proxy, server: 8 calls at once",
  { group: "unary" },
  () => calls(8),
);
Deno.bench("gRPC unary of 69 B through client, proxy, server: 1 call", { group: "unary" }, () => calls(1));

class Sink extends Quiet {
  override headers(stream: Http2Stream, head: MessageHead): void {
    this.connection.respond(stream, ANSWER, true);
    this.connection.heads.give(head);
  }
}
const sender = connect(
  "client",
  new (class extends Quiet {
    override writable(stream: Http2Stream): void {
      send(stream);
    }
  })(),
);
const sink = connect("server", new Sink());
const BODY = new Uint8Array(64 * 1024).fill(1);
let left = 0;
function send(stream: Http2Stream): void {
  left -= sender.sendData(stream, BODY, BODY.length - left, BODY.length, true);
}
function both(): void {
  while (carry(sender, sink) || carry(sink, sender));
}
both();

Deno.bench("64 KiB of DATA, one side to the other", { group: "data" }, () => {
  const stream = sender.request(REQUEST, false)!;
  left = BODY.length;
  send(stream);
  both();
});

const VALUE = bytes("https://www.example.com/some/path?with=query&and=more");
const CODED = new Uint8Array(100);
const CODED_END = huffmanEncode(VALUE, 0, VALUE.length, CODED, 0);
const PLAIN = new Uint8Array(200);
Deno.bench("Huffman decode of 53 B", { group: "huffman" }, () => {
  huffmanDecode(CODED, 0, CODED_END, PLAIN, 0);
});
Deno.bench("Huffman encode of 53 B", { group: "huffman" }, () => {
  huffmanEncode(VALUE, 0, VALUE.length, CODED, 0);
});
