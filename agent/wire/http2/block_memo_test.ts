import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { MessageHead } from "../http1/head.ts";
import { HeadPool, Http2Connection } from "./connection.ts";
import type { Http2Handler, Http2Stream } from "./connection.ts";

const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** As in the agent, one for all connections. */
const POOL = new HeadPool(100);

/** A server whose heads are told as text, with what the rest of the agent looks at. */
class Server {
  readonly heads: string[] = [];
  readonly problems: number[] = [];
  /** Streams stay open for trailers. */
  keep = false;
  readonly connection: Http2Connection;
  #id = -1;

  constructor(headerTableSize = 4096) {
    const nothing = () => {};
    const handler: Http2Handler = {
      headers: (stream: Http2Stream, head: MessageHead, endStream: boolean) => {
        const { kinds, spans, count, contentLength, hostIndex, contentTypeIndex, chunked } = head;
        this.heads.push(
          `${head.text}${endStream} ${stream.https} ${stream.connect} ${contentLength} ${hostIndex} ${contentTypeIndex} ${chunked} ` +
            `${kinds.slice(0, count)} ${spans.slice(0, 4 * count)} ${
              head.slice(head.targetStart, head.targetEnd)
            } ` +
            Buffer.from(head.buf.buffer, head.buf.byteOffset, head.end).toString("latin1", head.start),
        );
        // As the pipeline may do, which must not be seen by the next.
        head.mark("content-type", 18);
        head.requestIdIndex = 3;
        head.buf.fill(0);
        this.connection.heads.give(head);
        if (!this.keep) this.connection.reset(stream, 0);
      },
      data: nothing,
      trailers: nothing,
      reset: nothing,
      writable: nothing,
      refused: nothing,
      settings: nothing,
      goAway: nothing,
      pong: nothing,
      drained: nothing,
      failed: (problem) => void this.problems.push(problem),
    };
    this.connection = new Http2Connection("server", handler, { heads: POOL, limits: { headerTableSize } });
    this.#receive([...PREFACE, ...frame(4, 0, 0, [])]);
  }

  #receive(bytes: number[]): void {
    this.connection.receive(Uint8Array.from(bytes), 0, bytes.length, 0);
  }

  acknowledge(): void {
    this.#receive(frame(4, 1, 0, []));
  }

  trailers(block: number[]): void {
    this.#receive(frame(1, 5, this.#id, block));
  }

  request(block: number[], flags = 4): string | undefined {
    const before = this.heads.length;
    this.#receive(frame(1, flags, this.#id += 2, block));
    return this.heads[before];
  }
}

function frame(type: number, flags: number, id: number, payload: number[]): number[] {
  return [0, payload.length >> 8, payload.length & 255, type, flags, 0, 0, id >> 8, id & 255, ...payload];
}

const text = (s: string): number[] => [s.length, ...new TextEncoder().encode(s)];
const indexing = (name: string, value: string): number[] => [0x40, ...text(name), ...text(value)];
const plain = (name: string, value: string): number[] => [0, ...text(name), ...text(value)];
const START = [0x83, 0x86, 0x84];

Deno.test("block memo: the same block is the same head, whoever had it before and whatever was done to it", () => {
  const server = new Server();
  const block = [
    ...START,
    0x41,
    ...text("svc"),
    ...indexing("content-type", "application/grpc"),
    ...plain("content-length", "5"),
  ];
  const first = server.request(block);
  const again = [...START, 0x80 | 63, 0x80 | 62, ...plain("content-length", "5")];
  for (let i = 0; i < 6; i++) assert.equal(server.request(again), first);
  // Another connection with the same head, and one with the same bytes for another.
  const other = new Server();
  assert.equal(other.request(block), first);
  for (let i = 0; i < 4; i++) assert.equal(other.request(again), first);
  const third = new Server();
  const elsewhere = third.request([
    ...START,
    0x41,
    ...text("two"),
    ...indexing("content-type", "text/plain"),
    ...plain("content-length", "5"),
  ]);
  for (let i = 0; i < 4; i++) assert.equal(third.request(again), elsewhere);
  assert.notEqual(elsewhere, first);
});

Deno.test("block memo: an end of the stream belongs to the frame, not to the block", () => {
  const server = new Server();
  const block = [...START, 0x41, ...text("svc")];
  server.request(block);
  const again = [...START, 0x80 | 62];
  const open = server.request(again)!;
  const ended = server.request(again, 5)!;
  for (let i = 0; i < 4; i++) {
    assert.equal(server.request(again), open);
    assert.equal(server.request(again, 5), ended);
  }
  assert.match(open, /false false false -1 0 -1 true/);
  assert.match(ended, /true false false -1 0 -1 false/);
});

Deno.test("block memo: a block means something else when the table has changed", () => {
  const server = new Server();
  const host = [0x01, ...text("svc")];
  server.request([...START, ...host, ...indexing("x-a", "1")]);
  const again = [...START, ...host, 0x80 | 62];
  for (let i = 0; i < 4; i++) assert.match(server.request(again)!, /x-a: 1/);
  server.request([...START, ...host, ...indexing("x-b", "2")]);
  for (let i = 0; i < 4; i++) assert.match(server.request(again)!, /x-b: 2/);
  // Emptied by a size update, and filled again.
  server.request([0x20, 0x3f, 0xe1, 0x1f, ...START, ...host, ...indexing("x-c", "3")]);
  for (let i = 0; i < 4; i++) assert.match(server.request(again)!, /x-c: 3/);
});

Deno.test("block memo: trailers change the table for heads, too", () => {
  const server = new Server();
  server.keep = true;
  const host = [0x01, ...text("svc")];
  server.request([...START, ...host, ...indexing("x-a", "1")]);
  const again = [...START, ...host, 0x80 | 62];
  for (let i = 0; i < 4; i++) assert.match(server.request(again)!, /x-a: 1/);
  server.trailers(indexing("x-b", "2"));
  for (let i = 0; i < 4; i++) assert.match(server.request(again)!, /x-b: 2/);
  server.trailers([0x20, ...plain("x", "y")]);
  assert.equal(server.request(again), undefined);
  assert.equal(server.problems.length, 1);
});

Deno.test("block memo: scheme and CONNECT are those of the head", () => {
  const host = [0x01, ...text("svc")];
  const kinds = ([
    [[0x82, 0x86, 0x84, ...host], "GET /", "false false"],
    [[0x82, 0x87, 0x84, ...host], "GET /", "true false"],
    [[0x02, ...text("CONNECT"), ...host], "CONNECT svc", "false true"],
  ] as const).map(([block, line, told]) => ({ server: new Server(), block: [...block], line, told }));
  for (let i = 0; i < 5; i++) {
    // One after the other, because connections share what is decoded with.
    for (const { server, block, line, told } of kinds) {
      const head = server.request(block)!;
      assert.ok(head.startsWith(`${line} HTTP/1.1`) && head.includes(`false ${told} `), head);
      assert.ok(head.includes(told === "false true" ? " -1 false " : " -1 true "), head);
    }
  }
});

Deno.test("block memo: after a smaller table was agreed on, the next block has to say so (RFC 7541 4.2)", () => {
  const server = new Server(0);
  const block = [...START, 0x01, ...text("svc")];
  for (let i = 0; i < 4; i++) assert.ok(server.request(block) !== undefined);
  server.acknowledge();
  assert.equal(server.request(block), undefined);
  assert.equal(server.problems.length, 1);
});
