/** A raw HTTP/1.1 client and recording upstreams: nothing between the test and the bytes. */
import { textOf } from "../harness/bytes.ts";

export interface RawRequest {
  readonly method: string;
  /** Absolute form, as a client of a proxy sends it. */
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

export interface RawResponse {
  readonly status: number;
  /** Names lower-case, in order of arrival. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
  /** Of HTTP/2. */
  readonly trailers?: readonly (readonly [string, string])[];
  /** The stream was reset with this code (RFC 9113 section 7) before its end. */
  readonly reset?: string;
}

/** What an upstream saw, sent back in a header of its answer. */
export interface SeenRequest {
  readonly version: 1 | 2;
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

export const SEEN_HEADER = "x-seen";
export const UPSTREAM_HEADER = "x-upstream";

export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (c) => c.charCodeAt(0) & 0xff);
}

/** Reads messages off a connection; texts are byte strings. */
class Reader {
  #buffer = "";
  readonly #chunk = new Uint8Array(65536);
  constructor(readonly connection: Deno.Conn) {}

  /** The first bytes of the connection, which stay. */
  async peek(): Promise<string> {
    if (this.#buffer === "") await this.#more();
    return this.#buffer;
  }

  async #more(): Promise<boolean> {
    const n = await this.connection.read(this.#chunk);
    if (n === null) return false;
    this.#buffer += textOf(this.#chunk.subarray(0, n));
    return true;
  }

  /** Text before the mark, which is consumed; undefined at a clean end. */
  async until(mark: string): Promise<string | undefined> {
    for (;;) {
      const at = this.#buffer.indexOf(mark);
      if (at >= 0) {
        const out = this.#buffer.slice(0, at);
        this.#buffer = this.#buffer.slice(at + mark.length);
        return out;
      }
      if (!await this.#more()) {
        if (this.#buffer === "") return undefined;
        throw new Error(`connection ended inside a message: ${JSON.stringify(this.#buffer.slice(0, 200))}`);
      }
    }
  }

  async take(length: number): Promise<string> {
    while (this.#buffer.length < length) {
      if (!await this.#more()) throw new Error("connection ended inside a body");
    }
    const out = this.#buffer.slice(0, length);
    this.#buffer = this.#buffer.slice(length);
    return out;
  }

  async rest(): Promise<string> {
    while (await this.#more());
    const out = this.#buffer;
    this.#buffer = "";
    return out;
  }

  async body(headers: readonly (readonly [string, string])[], untilEnd: boolean): Promise<string> {
    const get = (name: string) => headers.find(([k]) => k === name)?.[1];
    if (get("transfer-encoding")?.toLowerCase() === "chunked") {
      let out = "";
      for (;;) {
        const size = parseInt(await this.until("\r\n") ?? "0", 16);
        if (size === 0) {
          while ((await this.until("\r\n") ?? "") !== "");
          return out;
        }
        out += await this.take(size);
        await this.take(2);
      }
    }
    const length = get("content-length");
    if (length !== undefined) return await this.take(Number(length));
    return untilEnd ? await this.rest() : "";
  }
}

export function parseHead(head: string): { first: string; headers: [string, string][] } {
  const [first = "", ...lines] = head.split("\r\n");
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return { first, headers };
}

export async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** Sends requests one after the other over one connection, reopened when the proxy closes it. */
export class RawClient {
  #connection: Deno.Conn | undefined;
  #reader: Reader | undefined;
  constructor(readonly port: number) {}

  async send(request: RawRequest): Promise<RawResponse> {
    const { host } = /^\w+:\/\/(?<host>[^/?#]*)/.exec(request.url)?.groups as { host: string };
    const lines = [`${request.method} ${request.url} HTTP/1.1`, `Host: ${host}`];
    for (const [k, v] of request.headers) lines.push(`${k}: ${v}`);
    if (request.body !== "") lines.push(`Content-Length: ${request.body.length}`);
    await this.#write(bytesOf(`${lines.join("\r\n")}\r\n\r\n${request.body}`));
    for (;;) {
      const head = await this.#reader?.until("\r\n\r\n");
      if (head === undefined) throw new Error(`no answer to ${request.method} ${request.url}`);
      const { first, headers } = parseHead(head);
      const status = Number(first.split(" ")[1]);
      if (status < 200) continue;
      const none = request.method === "HEAD" || status === 204 || status === 304;
      const body = none ? "" : await (this.#reader as Reader).body(headers, true);
      const closes = headers.some(([k, v]) => k === "connection" && v.toLowerCase() === "close");
      if (closes) this.close();
      return { status, headers, body };
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (this.#connection === undefined) {
      this.#connection = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
      this.#reader = new Reader(this.#connection);
    }
    await writeAll(this.#connection, bytes);
  }

  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
    this.#reader = undefined;
  }
}

/** What an upstream tells in its answer about itself and the request. */
export function tellSeen(name: string, seen: SeenRequest): readonly (readonly [string, string])[] {
  const json = JSON.stringify(seen, (_, v) => typeof v === "string" ? encodeURIComponent(v) : v);
  return [[UPSTREAM_HEADER, name], [SEEN_HEADER, btoa(json)]];
}

/** Takes a connection that begins with the preface of HTTP/2; `first` has come already. Resolves at its end. */
export type ServeHttp2 = (upstream: Upstream, connection: Deno.Conn, first: Uint8Array) => Promise<void>;

/** An upstream that answers 200 and tells, in headers, who it is and what it saw. */
export class Upstream {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #running: Promise<unknown>;

  constructor(
    readonly name: string,
    readonly answerHeaders: readonly (readonly [string, string])[] = [],
    readonly serveHttp2?: ServeHttp2,
  ) {
    this.#running = this.#accept();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async #accept(): Promise<void> {
    const serving: Promise<void>[] = [];
    for await (const connection of this.#listener) serving.push(this.#serve(connection));
    await Promise.all(serving);
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    this.#open.add(connection);
    const reader = new Reader(connection);
    try {
      const first = this.serveHttp2 === undefined ? "" : await reader.peek();
      if (this.serveHttp2 !== undefined && first.startsWith("PRI ")) {
        await this.serveHttp2(this, connection, bytesOf(first));
        return;
      }
      for (;;) {
        const head = await reader.until("\r\n\r\n");
        if (head === undefined) break;
        const { first, headers } = parseHead(head);
        const [method = "", target = ""] = first.split(" ");
        const body = await reader.body(headers, false);
        const seen: SeenRequest = { version: 1, method, target, headers, body };
        const lines = ["HTTP/1.1 200 OK"];
        for (const [k, v] of [...tellSeen(this.name, seen), ...this.answerHeaders]) lines.push(`${k}: ${v}`);
        const answer = method === "HEAD" ? "" : "ok";
        lines.push("Content-Length: 2");
        await writeAll(connection, bytesOf(`${lines.join("\r\n")}\r\n\r\n${answer}`));
      }
    } catch {
      // The proxy went away: nothing to tell anyone.
    } finally {
      this.#open.delete(connection);
      closeQuietly(connection);
    }
  }

  async stop(): Promise<void> {
    this.#listener.close();
    for (const connection of this.#open) closeQuietly(connection);
    await this.#running;
  }
}

export function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // Closed already.
  }
}

/** The request that the upstream reported in its answer. */
export function seenOf(response: RawResponse): SeenRequest | undefined {
  const text = response.headers.find(([k]) => k === SEEN_HEADER)?.[1];
  if (text === undefined) return undefined;
  return JSON.parse(atob(text), (_, v) => typeof v === "string" ? decodeURIComponent(v) : v) as SeenRequest;
}
