/** A handler that writes down what it is told, two connections face to face, and frames by hand. */
import { latin1, type MessageHead } from "../http1/head.ts";
import { Http2Connection, type Http2Handler, type Http2Options, type Http2Stream } from "./connection.ts";
import * as frames from "./frames.ts";
import { HpackEncoder } from "./hpack_encoder.ts";
import { Output } from "./output.ts";
import { errorName, problemOf } from "./problems.ts";

export const bytes = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
export const text = (b: Uint8Array): string => latin1(b, 0, b.length);

/** Writes down every call as a line; consumes data at once unless `hold`. */
export class Recorder implements Http2Handler {
  readonly lines: string[] = [];
  readonly streams = new Map<number, Http2Stream>();
  readonly bodies = new Map<number, number>();
  connection!: Http2Connection;
  hold = false;
  onHeaders: ((stream: Http2Stream, head: MessageHead, end: boolean) => void) | null = null;
  onData: ((stream: Http2Stream, piece: Uint8Array, end: boolean) => void) | null = null;
  onTrailers: ((stream: Http2Stream) => void) | null = null;
  onWritable: ((stream: Http2Stream) => void) | null = null;
  onRefused: ((stream: Http2Stream, problem: number) => void) | null = null;

  headers(stream: Http2Stream, head: MessageHead, endStream: boolean): void {
    this.streams.set(stream.id, stream);
    this.lines.push(`headers ${stream.id} ${JSON.stringify(head.text)}${endStream ? " end" : ""}`);
    this.onHeaders?.(stream, head, endStream);
    this.connection.heads.give(head);
  }

  data(stream: Http2Stream, buf: Uint8Array, start: number, end: number, endStream: boolean): void {
    const piece = buf.slice(start, end);
    this.bodies.set(stream.id, (this.bodies.get(stream.id) ?? 0) + piece.length);
    const shown = piece.length > 40 ? `${piece.length} bytes` : JSON.stringify(text(piece));
    this.lines.push(`data ${stream.id} ${shown}${endStream ? " end" : ""}`);
    if (!this.hold) this.connection.consumed(stream, piece.length);
    this.onData?.(stream, piece, endStream);
  }

  trailers(stream: Http2Stream, head: MessageHead): void {
    this.lines.push(`trailers ${stream.id} ${JSON.stringify(head.text)}`);
    this.onTrailers?.(stream);
    this.connection.heads.give(head);
  }

  reset(stream: Http2Stream, code: number, unprocessed: boolean, problem: number): void {
    const why = problem === 0 ? "" : ` ${problemOf(problem).source}`;
    this.lines.push(`reset ${stream.id} ${errorName(code)}${unprocessed ? " unprocessed" : ""}${why}`);
  }

  writable(stream: Http2Stream): void {
    this.lines.push(`writable ${stream.id}`);
    this.onWritable?.(stream);
  }

  refused(stream: Http2Stream, problem: number): void {
    this.lines.push(`refused ${stream.id} ${problemOf(problem).what}`);
    this.onRefused?.(stream, problem);
  }

  settings(): void {
    this.lines.push("settings");
  }

  goAway(lastId: number, code: number, debug: string): void {
    this.lines.push(`goaway ${lastId} ${errorName(code)}${debug === "" ? "" : ` ${debug}`}`);
  }

  pong(): void {
    this.lines.push("pong");
  }

  drained(): void {
    this.lines.push("drained");
  }

  failed(problem: number): void {
    this.lines.push(`failed ${errorName(problemOf(problem).code)} ${problemOf(problem).source}`);
  }

  /** Lines since the last call. */
  said(): string[] {
    return this.lines.splice(0);
  }
}

/** One side under test; what it says is read by `answers` as frames in words. */
export class Side {
  readonly handler = new Recorder();
  readonly connection: Http2Connection;
  now = 0;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(side: "client" | "server", options: Http2Options = {}) {
    this.connection = new Http2Connection(side, this.handler, options);
    this.handler.connection = this.connection;
  }

  receive(input: Uint8Array): void {
    const joined = concat(this.#rest, input);
    const used = this.connection.receive(joined, 0, joined.length, this.now);
    this.#rest = joined.slice(used);
  }

  /** Everything that waits to be written. */
  output(): Uint8Array {
    const pieces: Uint8Array[] = [];
    while (this.connection.pending > 0) {
      pieces.push(this.connection.take().slice());
      this.connection.written();
    }
    return concat(...pieces);
  }
}

export function concat(...pieces: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** Carries bytes both ways until both are silent. */
export function exchange(a: Side, b: Side, pieceBytes = Infinity): void {
  for (;;) {
    const fromA = a.output();
    for (let at = 0; at < fromA.length; at += pieceBytes) {
      b.receive(fromA.subarray(at, Math.min(fromA.length, at + pieceBytes)));
    }
    const fromB = b.output();
    for (let at = 0; at < fromB.length; at += pieceBytes) {
      a.receive(fromB.subarray(at, Math.min(fromB.length, at + pieceBytes)));
    }
    if (fromA.length === 0 && fromB.length === 0) return;
  }
}

export function frame(
  type: number,
  flags: number,
  id: number,
  payload: Uint8Array | string | number[] = "",
): Uint8Array {
  const body = typeof payload === "string" ? bytes(payload) : Uint8Array.from(payload);
  const all = new Uint8Array(frames.FRAME_HEAD + body.length);
  frames.putFrameHead(all, 0, body.length, type, flags, id);
  all.set(body, frames.FRAME_HEAD);
  return all;
}

export function number(n: number): number[] {
  return [n >>> 24, n >>> 16 & 255, n >>> 8 & 255, n & 255];
}

/** A block of fields `name: value`, literals without a table, so that blocks do not depend on each other. */
export function block(...fields: string[]): Uint8Array {
  const out = new Output();
  const encoder = new HpackEncoder(4096);
  for (const field of fields) {
    const line = bytes(field);
    const colon = field.startsWith(": ") ? 0 : field.indexOf(": ", 1);
    const name = field.slice(0, colon);
    // By hand where the encoder would mend the name.
    if (name !== name.toLowerCase()) {
      out.ensure(line.length + 8);
      out.buf[out.length++] = 0;
      out.buf[out.length++] = name.length;
      out.buf.set(bytes(name), out.length);
      out.length += name.length;
      out.buf[out.length++] = line.length - colon - 2;
      out.buf.set(line.subarray(colon + 2), out.length);
      out.length += line.length - colon - 2;
      continue;
    }
    encoder.field(out, line, 0, colon, colon + 2, line.length);
  }
  return out.take().slice();
}

export const GET = [":method: GET", ":scheme: http", ":path: /", ":authority: a"];
export const POST = [":method: POST", ":scheme: http", ":path: /", ":authority: a"];

const TYPES = [
  "DATA",
  "HEADERS",
  "PRIORITY",
  "RST_STREAM",
  "SETTINGS",
  "PUSH_PROMISE",
  "PING",
  "GOAWAY",
  "WINDOW_UPDATE",
  "CONTINUATION",
];

/** Frames in words: `RST_STREAM 1 PROTOCOL_ERROR`, `GOAWAY 0 NO_ERROR`, `DATA 1 5 end`. */
export function inWords(output: Uint8Array): string[] {
  const words: string[] = [];
  for (let at = 0; at < output.length;) {
    const length = output[at]! << 16 | output[at + 1]! << 8 | output[at + 2]!;
    const type = output[at + 3]!;
    const flags = output[at + 4]!;
    const id = frames.readNumber(output, at + 5);
    const payload = at + frames.FRAME_HEAD;
    at = payload + length;
    const name = TYPES[type] ?? `type ${type}`;
    switch (type) {
      case frames.RST_STREAM:
        words.push(`${name} ${id} ${errorName(frames.readNumber(output, payload))}`);
        break;
      case frames.GOAWAY:
        words.push(
          `${name} ${frames.readNumber(output, payload)} ${
            errorName(frames.readNumber(output, payload + 4))
          }`,
        );
        break;
      case frames.WINDOW_UPDATE:
        words.push(`${name} ${id} ${frames.readNumber(output, payload)}`);
        break;
      case frames.SETTINGS:
      case frames.PING:
        words.push(`${name}${(flags & 1) === 1 ? " ack" : ""}`);
        break;
      default:
        words.push(`${name} ${id} ${length}${(flags & 1) === 1 ? " end" : ""}`);
    }
  }
  return words;
}

/** A server or client that has said and heard SETTINGS. */
export function ready(side: "client" | "server", options: Http2Options = {}): Side {
  const it = new Side(side, options);
  if (side === "server") it.receive(frames.PREFACE);
  it.receive(frame(frames.SETTINGS, 0, 0));
  it.receive(frame(frames.SETTINGS, frames.ACK, 0));
  it.output();
  it.handler.said();
  return it;
}
