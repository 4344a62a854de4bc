/** How HTTP/2 connections end: the last GOAWAY arrives, also where the client has sent more (RFC 9113 sections 5.4.1, 6.8 and 9.1). */
import assert from "node:assert/strict";
import { PREFACE } from "../../agent/wire/http2/frames.ts";
import { until, within } from "../harness/bytes.ts";
import { Http2Side } from "../harness/http2_side.ts";
import { type InProcessRig, startRig } from "../harness/rig.ts";
import { answering, startUpstream } from "../harness/upstream.ts";

const SETTINGS = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0);
/** SETTINGS on a stream: a connection error. */
const WRONG = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 1);
const GET = "GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n";

async function hello(rig: InProcessRig): Promise<Deno.TcpConn> {
  const conn = await Deno.connect(rig.address);
  await write(conn, Uint8Array.of(...PREFACE, ...SETTINGS));
  return conn;
}

async function write(conn: Deno.TcpConn, piece: Uint8Array): Promise<void> {
  for (let at = 0; at < piece.length;) at += await conn.write(piece.subarray(at));
}

/** Types of the frames up to the end, GOAWAY with its last stream and code. Rejects on a reset of TCP. */
async function framesToEnd(conn: Deno.TcpConn): Promise<string[]> {
  let all = new Uint8Array(0);
  const buf = new Uint8Array(65536);
  for (let n = await conn.read(buf); n !== null; n = await conn.read(buf)) {
    all = Uint8Array.of(...all, ...buf.subarray(0, n));
  }
  const found: string[] = [];
  const view = new DataView(all.buffer);
  for (let at = 0; at < all.length;) {
    const length = view.getUint32(at) >>> 8;
    const type = all[at + 3]!;
    found.push(type === 7 ? `goaway ${view.getUint32(at + 9)} ${view.getUint32(at + 13)}` : String(type));
    at += 9 + length;
  }
  return found;
}

Deno.test("GOAWAY of an error is read, although more has come than was looked at", async () => {
  await using rig = startRig("native");
  const conn = await hello(rig);
  await write(conn, Uint8Array.of(...WRONG, ...new Uint8Array(100_000)));
  // Still unread at the agent when it says goodbye, and more after that.
  await write(conn, new Uint8Array(50_000));
  const frames = await within(framesToEnd(conn), "the end");
  assert.equal(frames.at(-1), "goaway 0 1");
  // The agent's side is over, and it still takes in what comes: nothing is answered by a reset of TCP.
  for (let i = 0; i < 10; i++) await write(conn, new Uint8Array(1000));
  assert.equal(rig.open.downstream, 1);
  conn.close();
  await until(() => rig.open.downstream === 0, "the end at the agent");
  assert.deepEqual(rig.errors, []);
});

Deno.test("who goes on sending after the last GOAWAY is cut at a bound", async () => {
  await using rig = startRig("native");
  const conn = await hello(rig);
  await write(conn, WRONG);
  const piece = new Uint8Array(65536);
  let written = 0;
  await assert.rejects(async () => {
    for (;;) {
      await write(conn, piece);
      written += piece.length;
    }
  });
  // 256 KiB, and what the sockets hold.
  assert.ok(written < 64 * 1024 * 1024, `${written} bytes`);
  conn.close();
  await until(() => rig.open.downstream === 0, "the end at the agent");
});

Deno.test("a client that neither closes nor sends is cut a moment after the last GOAWAY", async () => {
  await using rig = startRig("native");
  const conn = await hello(rig);
  await write(conn, WRONG);
  await until(() => rig.open.downstream === 0, "the end at the agent");
  assert.equal((await within(framesToEnd(conn), "the end")).at(-1), "goaway 0 1");
  conn.close();
});

Deno.test("a drain says goodbye twice: requests on their way to it are served", async () => {
  await using upstream = startUpstream(answering());
  await using rig = startRig("native");
  rig.serve(upstream.port);
  using client = await Http2Side.connect(rig.address.port);
  await until(() => client.connection.peer.known, "SETTINGS");
  // What is said in one turn is on the way when the agent reads the answer to its ping.
  const drained = rig.proxy.drain(5000);
  client.request(GET);
  client.request(GET);
  await within(client.line(/^closed/), "the end");
  await drained;
  const { lines } = client.recorder;
  assert.equal(lines.filter((line) => /^headers \d "HTTP\/1.1 200/.test(line)).length, 2, lines.join("\n"));
  assert.deepEqual(lines.filter((line) => line.startsWith("goaway")), [
    "goaway 2147483647 NO_ERROR",
    "goaway 3 NO_ERROR",
  ]);
  assert.equal(lines.some((line) => line.startsWith("reset")), false);
});

Deno.test("a drain does not wait for a client that leaves the ping unanswered", async () => {
  await using rig = startRig("native");
  const conn = await hello(rig);
  // The first frame, whole: from here on it is HTTP/2.
  const head = new Uint8Array(9);
  await within(conn.read(head), "SETTINGS");
  await conn.read(new Uint8Array(head[2]!));
  const drained = rig.proxy.drain(60_000);
  const rest = await within(framesToEnd(conn), "the end");
  assert.deepEqual(rest.filter((f) => f.startsWith("goaway")), ["goaway 2147483647 0", "goaway 0 0"]);
  conn.close();
  await drained;
});
