/** What a connection of an application holds while nobody speaks on it. */
import assert from "node:assert/strict";
import { Client } from "./h2_fixture_test.ts";
import { answering, GET, got, type MemoryStream, OK, rig, send, settle } from "./proxy_fixture_test.ts";

// Otherwise the first connection loads it, which takes more than a chain of promises.
await import("./h2_downstream.ts");

const SMALL = 512;
const USUAL = 2048;

/** Answers a request when all of it is there. */
async function answerWhole(stream: MemoryStream): Promise<void> {
  const into = new Uint8Array(65536);
  let text = "";
  for (let n; (n = await stream.read(into)) !== null;) {
    text += new TextDecoder().decode(into.subarray(0, n));
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
    if (text.length < text.indexOf("\r\n\r\n") + 4 + length) continue;
    text = "";
    send(stream, OK);
  }
}

/** Room of the read that waits between requests, after each of these. */
async function rooms(...requests: string[]): Promise<number[]> {
  const r = rig({ upstream: (stream) => void answerWhole(stream).catch(() => {}) });
  const c = r.client();
  await settle();
  const [stream] = r.accepted;
  const rooms = [stream!.room];
  for (const request of requests) {
    send(c, request);
    await settle();
    assert.match(got(c), /200 OK/);
    rooms.push(stream!.room);
  }
  r.proxy.close();
  await settle();
  return rooms;
}

const withHeader = (bytes: number): string => GET.replace("\r\n\r\n", `\r\nx: ${"a".repeat(bytes)}\r\n\r\n`);
const withBody = (bytes: number): string =>
  GET.replace("GET", "POST").replace("\r\n\r\n", `\r\ncontent-length: ${bytes}\r\n\r\n${"b".repeat(bytes)}`);

Deno.test("an idle connection waits with a small buffer, however large the head or body before was", async () => {
  assert.deepEqual(await rooms(GET, withHeader(300)), [SMALL, SMALL, SMALL]);
  // What was too small once is not tried again.
  assert.deepEqual(await rooms(GET, withHeader(600), GET), [SMALL, SMALL, USUAL, USUAL]);
  assert.deepEqual(await rooms(withHeader(20_000), GET), [SMALL, USUAL, USUAL]);
  assert.deepEqual(await rooms(withBody(30_000), GET), [SMALL, USUAL, USUAL]);
});

Deno.test("a connection that was idle for long answers as before, and closes an hour after its last request", async () => {
  const r = rig({ upstream: answering(OK, OK, OK) });
  const c = r.client();
  send(c, GET);
  await settle();
  await r.clock.advance(5000);
  send(c, GET + withBody(10));
  await settle();
  assert.equal(got(c).split("200 OK").length - 1, 3);
  assert.deepEqual(r.records.map((each) => each.downstreamRemote), Array(3).fill("10.1.2.3:40000"));
  assert.equal(r.records[2]!.bytesReceived, 10);
  await r.clock.advance(3_599_000);
  assert.equal(c.incoming.ended, false);
  await r.clock.advance(2000);
  assert.equal(c.incoming.ended, true);
  r.proxy.close();
});

Deno.test("an HTTP/2 connection without streams is folded, answers as before, and closes an hour after its last request", async () => {
  const answer = OK.replace(
    "Content-Length",
    "x-a: something that is worth a place in a table\r\nContent-Length",
  );
  const r = rig({ upstream: answering(answer) });
  const stream = r.client();
  const client = new Client(stream);
  await settle();
  const block = async (): Promise<number> => {
    let bytes = 0;
    const write = r.accepted[0]!.write;
    r.accepted[0]!.write = (from) => (bytes += from.length, write.call(r.accepted[0], from));
    const { id } = client.request(GET);
    for (let i = 0; i < 3; i++) await settle();
    r.accepted[0]!.write = write;
    const said = client.recorder.said().filter((line) => line.includes(` ${id} `));
    assert.match(said[0]!, /200 [^]*something/);
    assert.equal(said.at(-1), `data ${id} "ok" end`);
    return bytes;
  };
  const first = [await block(), await block(), await block()];
  assert.ok(first[2]! < first[0]! / 2, `${first}`);
  await r.clock.advance(500);
  assert.equal(await block(), first[2]);
  await r.clock.advance(5000);
  const again = [await block(), await block(), await block()];
  // The first also had SETTINGS to say.
  assert.equal(again[1], first[1]);
  assert.ok(again[0]! > 2 * again[2]!, `${again}`);
  assert.deepEqual(new Set(r.records.map((each) => each.downstreamRemote)), new Set(["10.1.2.3:40000"]));
  await r.clock.advance(3_599_000);
  assert.equal(r.proxy.stats().connections, 1);
  await r.clock.advance(4000);
  assert.equal(r.proxy.stats().connections, 0);
  r.proxy.close();
});
