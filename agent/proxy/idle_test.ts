/** What a connection of an application holds while nobody speaks on it. */
import assert from "node:assert/strict";
import { answering, GET, got, type MemoryStream, OK, rig, send, settle } from "./proxy_fixture_test.ts";

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
