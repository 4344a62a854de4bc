/**
 * Recording upstreams: real TCP servers on a free loopback port that keep every byte received, and behave as a script
 * says: answer, be slow, end in the middle of a head or body, send garbage.
 *
 * In: a script per connection. Out: what the agent really sent, which is the proof of every forwarding test.
 *
 * @example
 * ```ts
 * import { answering, startUpstream } from "./upstream.ts";
 * await using upstream = startUpstream(answering("HTTP/1.1 204 No Content\r\n\r\n"));
 * // ... drive the agent ...
 * upstream.requests[0]?.header("host");
 * ```
 */
import { bytesOf, closeQuietly, writeAll } from "./bytes.ts";
import { type WireMessage, WireReader } from "./wire_reader.ts";

/** One accepted connection, as the script sees it. */
export interface UpstreamLink {
  readonly reader: WireReader;
  /** The next request, recorded; undefined when the agent closed. */
  request(): Promise<WireMessage | undefined>;
  /** Latin1 text; false when the agent is gone. */
  write(text: string): Promise<boolean>;
  /** Ends our direction only. */
  end(): Promise<void>;
  close(): void;
  /** Resolves when the agent ended or reset its direction (bytes before that are recorded). */
  peerGone(): Promise<void>;
}

/** What a connection does. When it returns, the connection is closed. */
export type Script = (link: UpstreamLink, index: number) => Promise<void>;

export interface RecordingUpstream extends AsyncDisposable {
  readonly port: number;
  /** In order of completion, over all connections. */
  readonly requests: readonly WireMessage[];
  /** Connections accepted so far, each with all its bytes. */
  readonly links: readonly UpstreamLink[];
  /** Every byte of every connection. */
  received(): string;
  /** Resolves with the nth request (from 0). */
  nth(index: number): Promise<WireMessage>;
  close(): Promise<void>;
}

/** Starts one on 127.0.0.1, port 0 unless given. */
export function startUpstream(script: Script, port = 0): RecordingUpstream {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  const requests: WireMessage[] = [];
  const links: (UpstreamLink & { readonly conn: Deno.Conn })[] = [];
  const running = new Set<Promise<void>>();
  const waiting: { index: number; resolve: (m: WireMessage) => void }[] = [];

  const serve = async (conn: Deno.Conn): Promise<void> => {
    const reader = new WireReader(conn);
    const link = {
      conn,
      reader,
      async request() {
        const message = await reader.request();
        if (message === undefined) return undefined;
        requests.push(message);
        for (const w of waiting) if (w.index === requests.length - 1) w.resolve(message);
        return message;
      },
      write: (text: string) => writeAll(conn, bytesOf(text)),
      async end() {
        await conn.closeWrite().catch(() => {});
      },
      close: () => closeQuietly(conn),
      async peerGone() {
        while (await reader.fill());
      },
    };
    links.push(link);
    try {
      await script(link, links.length - 1);
    } finally {
      closeQuietly(conn);
    }
  };

  const accepting = (async () => {
    for (;;) {
      let conn: Deno.Conn;
      try {
        conn = await listener.accept();
      } catch {
        return;
      }
      const task = serve(conn).finally(() => running.delete(task));
      running.add(task);
    }
  })();

  const close = async (): Promise<void> => {
    closeQuietly(listener);
    await accepting;
    for (const link of links) link.close();
    await Promise.all(running);
  };
  return {
    port: (listener.addr as Deno.NetAddr).port,
    requests,
    links,
    received: () => links.map((link) => link.reader.all).join(""),
    nth(index) {
      const there = requests[index];
      if (there !== undefined) return Promise.resolve(there);
      return new Promise((resolve) => waiting.push({ index, resolve }));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

export const OK_ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok";

/** Answers every request; a function may look at the request. With `then: "close"` one request per connection. */
export function answering(
  answer: string | ((request: WireMessage) => string) = OK_ANSWER,
  then: "keep" | "close" = "keep",
): Script {
  return async (link) => {
    for (;;) {
      const request = await link.request();
      if (request === undefined) return;
      if (!(await link.write(typeof answer === "string" ? answer : answer(request)))) return;
      if (then === "close") return;
    }
  };
}

/** Answers with a JSON of what it saw, and its own name: the agent's view from behind. */
export function echoing(instance: string): Script {
  return answering((request) => {
    const [method, target] = request.startLine.split(" ");
    const body = JSON.stringify({ instance, method, target, headers: request.headers, body: request.body });
    return `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n` +
      `X-Instance: ${instance}\r\n\r\n${method === "HEAD" ? "" : body}`;
  });
}

/** A port of 127.0.0.1 on which nobody listens (it was free a moment ago). */
export function deadPort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}
