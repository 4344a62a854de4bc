/**
 * A deliberately plain HTTP/1.1 message reader for both ends of the tests: it keeps every byte, and shares no code with
 * the agent, so that an error in the agent's codec cannot hide in it.
 */
import { textOf } from "./bytes.ts";

/** A message as it stood on the wire. */
export interface WireMessage {
  /** Request line or status line. */
  readonly startLine: string;
  /** In order, names as received. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Values of a header joined with `, `; undefined when missing. */
  header(name: string): string | undefined;
  /** Without chunk framing. */
  readonly body: string;
  /** Trailer fields of a chunked body. */
  readonly trailers: readonly (readonly [name: string, value: string])[];
  /** The whole message, byte for byte. */
  readonly raw: string;
  /** False when the connection ended inside the message. */
  readonly complete: boolean;
}

/** A response, with the informational ones that came before it. */
export interface WireResponse extends WireMessage {
  readonly status: number;
  readonly informational: readonly WireMessage[];
}

/** Reads messages out of a stream of bytes. `all` is everything ever read. */
export class WireReader {
  /** Everything received so far. */
  all = "";
  /** True once the peer ended its direction (or reset the connection). */
  ended = false;
  /** True when it ended by a reset. */
  reset = false;
  #at = 0;
  readonly #source: { read(into: Uint8Array): Promise<number | null> };
  readonly #buffer = new Uint8Array(65_536);

  constructor(source: { read(into: Uint8Array): Promise<number | null> }) {
    this.#source = source;
  }

  /** Received and not yet consumed by a read call. */
  get pending(): string {
    return this.all.slice(this.#at);
  }

  /** Drops what was consumed; for long conversations whose bytes nobody looks at again. */
  forget(): void {
    this.all = this.pending;
    this.#at = 0;
  }

  /** One more piece from the connection; false at its end. */
  async fill(): Promise<boolean> {
    if (this.ended) return false;
    try {
      const count = await this.#source.read(this.#buffer);
      if (count !== null) {
        this.all += textOf(this.#buffer.subarray(0, count));
        return true;
      }
    } catch {
      this.reset = true;
    }
    this.ended = true;
    return false;
  }

  /** Text up to and including `mark`; undefined when the connection ends first. */
  async through(mark: string): Promise<string | undefined> {
    for (;;) {
      const found = this.all.indexOf(mark, this.#at);
      if (found >= 0) return this.#take(found + mark.length - this.#at);
      if (!(await this.fill())) return undefined;
    }
  }

  /** Exactly `count` bytes, or fewer at the end. */
  async exactly(count: number): Promise<string> {
    while (this.all.length - this.#at < count && await this.fill());
    return this.#take(Math.min(count, this.all.length - this.#at));
  }

  /** Everything until the peer ends. */
  async toEnd(): Promise<string> {
    while (await this.fill());
    return this.#take(this.all.length - this.#at);
  }

  /** The next request; undefined when the connection ends before one begins. */
  async request(): Promise<WireMessage | undefined> {
    return await this.#message((head) => {
      const coding = head.header("transfer-encoding");
      if (coding !== undefined) return "chunked";
      return Number(head.header("content-length") ?? "0");
    });
  }

  /** The next final response. `to` is the request's method: answers to HEAD and successful CONNECT have no body. */
  async response(to = "GET"): Promise<WireResponse | undefined> {
    const informational: WireMessage[] = [];
    for (;;) {
      const message = await this.#message((head) => {
        const status = statusOf(head.startLine);
        if (status < 200 || status === 204 || status === 304 || to === "HEAD") return 0;
        if (to === "CONNECT" && status < 300) return 0;
        if (head.header("transfer-encoding") !== undefined) return "chunked";
        const length = head.header("content-length");
        return length === undefined ? "to end" : Number(length);
      });
      if (message === undefined) return undefined;
      const status = statusOf(message.startLine);
      if (status >= 200 || status === 101) return { ...message, status, informational };
      informational.push(message);
    }
  }

  #take(count: number): string {
    const text = this.all.slice(this.#at, this.#at + count);
    this.#at += count;
    return text;
  }

  async #message(
    framing: (head: Pick<WireMessage, "startLine" | "header">) => number | "chunked" | "to end",
  ): Promise<WireMessage | undefined> {
    const from = this.#at;
    const head = await this.through("\r\n\r\n");
    if (head === undefined) return undefined;
    const lines = head.slice(0, -4).split("\r\n");
    const startLine = lines[0] ?? "";
    const headers = fieldsOf(lines.slice(1));
    const header = (name: string): string | undefined => {
      const values = headers.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(([, v]) => v);
      return values.length === 0 ? undefined : values.join(", ");
    };
    const how = framing({ startLine, header });
    let body = "";
    let complete = true;
    let trailers: [string, string][] = [];
    if (how === "to end") {
      body = await this.toEnd();
      complete = !this.reset;
    } else if (how === "chunked") {
      for (;;) {
        const line = await this.through("\r\n");
        const size = line === undefined ? NaN : parseInt(line, 16);
        if (line === undefined || !/^[0-9a-fA-F]+[ \t]*(;.*)?\r\n$/s.test(line)) {
          complete = false;
          break;
        }
        if (size === 0) {
          const rest: string[] = [];
          for (;;) {
            const field = await this.through("\r\n");
            if (field === undefined) complete = false;
            if (field === undefined || field === "\r\n") break;
            rest.push(field.slice(0, -2));
          }
          trailers = fieldsOf(rest);
          break;
        }
        const data = await this.exactly(size + 2);
        body += data.slice(0, size);
        if (data.length < size + 2 || !data.endsWith("\r\n")) {
          complete = false;
          break;
        }
      }
    } else {
      body = await this.exactly(how);
      complete = body.length === how;
    }
    return { startLine, headers, header, body, trailers, raw: this.all.slice(from, this.#at), complete };
  }
}

function fieldsOf(lines: readonly string[]): [string, string][] {
  return lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
}

function statusOf(startLine: string): number {
  return Number(/^HTTP\/1\.[01] (\d{3})( |$)/.exec(startLine)?.[1] ?? NaN);
}
