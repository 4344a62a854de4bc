/** The codec over loopback sockets against node:http2 and curl, each in a process of its own. */
import assert from "node:assert/strict";
import { Http2Connection, type Http2Stream } from "./connection.ts";
import { bytes, Recorder } from "./connection_fixture_test.ts";

/** Drives a connection over a socket until either ends. */
class Driver {
  readonly done: Promise<void>;
  #writing = false;

  constructor(readonly socket: Deno.TcpConn, readonly connection: Http2Connection) {
    socket.setNoDelay(true);
    this.done = this.#read();
  }

  async #read(): Promise<void> {
    const { connection, socket } = this;
    const buf = new Uint8Array(65536);
    let start = 0;
    let end = 0;
    this.flush();
    try {
      for (;;) {
        if (start > 0) {
          buf.copyWithin(0, start, end);
          end -= start;
          start = 0;
        }
        const n = await socket.read(buf.subarray(end));
        if (n === null) break;
        end += n;
        start = connection.receive(buf, 0, end, performance.now());
        await this.flush();
      }
    } catch {
      // The peer went away; that is an end as well.
    }
    connection.abandon();
    this.close();
  }

  async flush(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    try {
      while (this.connection.pending > 0) {
        const piece = this.connection.take();
        for (let at = 0; at < piece.length;) at += await this.socket.write(piece.subarray(at));
        this.connection.written();
      }
    } catch {
      this.connection.abandon();
    }
    this.#writing = false;
  }

  close(): void {
    try {
      this.socket.close();
    } catch {
      // Closed before.
    }
  }
}

/** Keeps what the other side could not take yet. */
class Echo {
  readonly #kept: Uint8Array[] = [];
  #ended = false;

  constructor(readonly connection: Http2Connection, readonly stream: Http2Stream) {}

  take(piece: Uint8Array, end: boolean): void {
    this.#kept.push(piece);
    this.#ended = end;
    this.go();
  }

  go(): void {
    const kept = this.#kept;
    while (kept.length > 0) {
      const piece = kept[0]!;
      const n = this.connection.sendData(
        this.stream,
        piece,
        0,
        piece.length,
        this.#ended && kept.length === 1,
      );
      this.connection.consumed(this.stream, n);
      if (n < piece.length) {
        kept[0] = piece.subarray(n);
        return;
      }
      kept.shift();
    }
  }
}

function serve(socket: Deno.TcpConn): Driver {
  const handler = new Recorder();
  const connection = new Http2Connection("server", handler);
  handler.connection = connection;
  handler.hold = true;
  handler.onHeaders = (stream, head) => {
    const path = head.slice(head.targetStart, head.targetEnd);
    switch (path) {
      case "/reset":
        return connection.reset(stream, 2);
      case "/early":
        connection.respond(stream, bytes("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"), false);
        return connection.respond(stream, bytes("HTTP/1.1 200 OK\r\n\r\n"), true);
      case "/trailers":
        connection.respond(stream, bytes("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n\r\n"), false);
        connection.sendData(stream, bytes("message"), 0, 7, false);
        return connection.sendTrailers(stream, bytes("grpc-status: 0\r\n"));
      case "/hello":
        connection.respond(
          stream,
          bytes("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\n"),
          false,
        );
        return void connection.sendData(stream, bytes("hello"), 0, 5, true);
    }
    connection.respond(stream, bytes("HTTP/1.1 200 OK\r\n\r\n"), false);
    stream.owner = new Echo(connection, stream);
  };
  handler.onData = (stream, piece, end) => {
    if (stream.owner instanceof Echo) stream.owner.take(piece, end);
  };
  handler.onWritable = (stream) => (stream.owner as Echo).go();
  return new Driver(socket, connection);
}

/** Serves one connection while `client` runs. */
async function withServer(client: (port: number) => Promise<void>): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = listener.accept().then((socket) => serve(socket).done);
  await client(listener.addr.port);
  await served;
  listener.close();
}

const PEER = new URL("../../../tests/harness/http2_peer.mjs", import.meta.url).pathname;

async function run(command: string, ...args: string[]): Promise<string> {
  const output = await new Deno.Command(command, { args, env: { NO_PROXY: "*", no_proxy: "*" } }).output();
  return new TextDecoder().decode(output.stdout) + new TextDecoder().decode(output.stderr);
}

Deno.test("server: node:http2 as the client", async () => {
  await withServer(async (port) => {
    const results = JSON.parse(await run("node", PEER, "client", String(port)));
    assert.deepEqual(results, [
      { bytes: 5, status: 200, type: "text/plain" },
      { bytes: 5_000_000, status: 200 },
      { bytes: 7, status: 200, type: "application/grpc", grpc: "0" },
      { bytes: 0, interim: 103, status: 200 },
      { bytes: 0, error: "ERR_HTTP2_STREAM_ERROR" },
      { many: 500 },
    ]);
  });
});

for (const [path, more, answer] of [["/hello", [], "hello"], ["/echo", ["-d", "abc"], "abc"]] as const) {
  Deno.test(`server: curl as the client, ${path}`, async () => {
    await withServer(async (port) => {
      const options = ["-s", "--http2-prior-knowledge", "-w", "[%{http_version} %{http_code}]"];
      const output = await run("curl", ...options, `http://127.0.0.1:${port}${path}`, ...more);
      assert.equal(output, `${answer}[2 200]`);
    });
  });
}

Deno.test("client: node:http2 as the server", async () => {
  const peer = new Deno.Command("node", { args: [PEER, "server"], stdin: "piped", stdout: "piped" }).spawn();
  const output = peer.stdout.getReader();
  const port = Number(new TextDecoder().decode((await output.read()).value));
  const handler = new Recorder();
  const connection = new Http2Connection("client", handler);
  handler.connection = connection;
  const ended = new Map<number, () => void>();
  const end = (stream: Http2Stream) => ended.get(stream.id)?.();
  handler.onHeaders = (stream, _, last) => last && end(stream);
  handler.onData = (stream, _, last) => last && end(stream);
  handler.onTrailers = end;
  handler.reset = (stream) => end(stream);
  const driver = new Driver(await Deno.connect({ hostname: "127.0.0.1", port }), connection);
  const play = async (path: string, body = "") => {
    const method = body === "" ? "GET" : "POST";
    const head = `${method} ${path} HTTP/1.1\r\nHost: a\r\nX-Value: v1\r\n\r\n`;
    const stream = connection.request(bytes(head), body === "")!;
    const whole = new Promise<void>((resolve) => ended.set(stream.id, resolve));
    if (body !== "") {
      assert.equal(connection.sendData(stream, bytes(body), 0, body.length, true), body.length);
    }
    driver.flush();
    await whole;
    driver.flush();
    return stream.id;
  };
  const plain = await play("/", "hello");
  assert.equal(handler.bodies.get(plain), 5);
  assert.match(handler.said().join(), /x-seen: v1/);
  await play("/trailers");
  assert.match(handler.said().join(), /grpc-status: 0\\r\\ngrpc-message: fine/);
  await play("/early");
  assert.match(handler.said().join(), /103 .*200 /);
  await play("/reset");
  const large = await play("/bytes/20000000");
  assert.equal(handler.bodies.get(large), 20_000_000);
  const many = await Promise.all(Array.from({ length: 90 }, (_, i) => play("/", "y".repeat(i + 1))));
  for (const [i, id] of many.entries()) assert.equal(handler.bodies.get(id), i + 1);
  assert.equal(connection.streams.size, 0);
  driver.close();
  await driver.done;
  await peer.stdin.close();
  await output.cancel();
  await peer.status;
});
