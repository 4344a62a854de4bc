/**
 * Pilot's v1 REST API as it was recorded, over raw TCP on a free loopback port: answers by path, chunked where the recorded
 * answer was, and every kind of trouble on demand.
 *
 * In: recorded `.http` files, or answers set by a test. Out: what was asked, over how many connections.
 *
 * @example
 * ```ts
 * import { startRestPilot } from "./rest_pilot.ts";
 * await using pilot = startRestPilot();
 * await pilot.play("pilot-0.8.0/v1/istioserver");
 * // ... poll pilot.port ...
 * pilot.asked(); // ["/v1/registration", …]
 * ```
 */
import { bytesOf, closeQuietly, writeAll } from "./bytes.ts";
import { WireReader } from "./wire_reader.ts";

export interface RestAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array;
  readonly chunked: boolean;
}

/**
 * `serve`: answers; a number: that status for everything; `close`: the connection ends instead of an answer; `half`: in the
 * middle of the body; `silent`: never an answer; `garbage`: bytes that are no HTTP.
 */
export type Temper = "serve" | "close" | "half" | "silent" | "garbage" | number;

export interface RestPilot extends AsyncDisposable {
  readonly port: number;
  temper: Temper;
  /** Changes every body on its way out. */
  mangle: (body: Uint8Array, path: string) => Uint8Array;
  /** Told before each answer. */
  onRequest: (path: string) => void | Promise<void>;
  /** Answers of a folder of tests/recordings; a file's name may be filtered. Later ones replace earlier ones. */
  play(folder: string, wanted?: (file: string) => boolean): Promise<void>;
  /** A JSON text as answer. Paths are unescaped; the service-cluster part is `*`. */
  set(path: string, body: string, status?: number): void;
  /** Takes an answer back: 404 as of an unknown path, or an empty one for a service key. */
  forget(path: string): void;
  forgetAll(): void;
  /** Paths asked since the last call, unescaped. */
  asked(): string[];
  /** As they stood in the request line. */
  readonly raw: readonly string[];
  readonly connections: number;
  /** Serves nothing but /v1/registration, as Pilot 1.0. */
  registrationOnly: boolean;
  close(): Promise<void>;
}

const RECORDINGS = new URL("../recordings/", import.meta.url);

/** The recorded answer of a `.http` file, and the path it answers. */
export function parseRecording(bytes: Uint8Array): { readonly path: string; readonly answer: RestAnswer } {
  const text = new TextDecoder("latin1").decode(bytes);
  const request = text.indexOf("\n\n");
  const head = text.indexOf("\n\n", request + 2);
  const path = text.split(" ")[1] as string;
  const lines = text.slice(request + 2, head);
  return {
    path: normalPath(path),
    answer: {
      status: Number(/^HTTP\/1\.1 (\d+)/.exec(lines)?.[1]),
      contentType: /^Content-Type: (.*)$/m.exec(lines)?.[1] ?? "",
      chunked: /^Transfer-Encoding: chunked$/m.test(lines),
      body: bytes.slice(head + 2),
    },
  };
}

/** Unescaped, and without the service-cluster, which Pilot does not look at. */
export function normalPath(path: string): string {
  return decodeURIComponent(path)
    .replace(/^(\/v1\/(?:clusters|listeners|routes\/[^/]+)\/)[^/]+(\/[^/]+)$/, "$1*$2");
}

export function startRestPilot(port = 0): RestPilot {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  const answers = new Map<string, RestAnswer>();
  const running = new Set<Promise<void>>();
  const open = new Set<Deno.Conn>();
  const raw: string[] = [];
  let seen = 0;
  let connections = 0;

  const answerTo = (path: string): RestAnswer => {
    const text = (status: number, body: string): RestAnswer => ({
      status,
      contentType: "text/plain; charset=utf-8",
      chunked: false,
      body: bytesOf(body),
    });
    if (typeof pilot.temper === "number") return text(pilot.temper, `CDS trouble ${pilot.temper}`);
    if (pilot.registrationOnly && path !== "/v1/registration") return text(404, "404: Page Not Found");
    return answers.get(path) ??
      (path.startsWith("/v1/registration/")
        ? text(200, '{\n  "hosts": []\n }')
        : text(404, "404: Page Not Found"));
  };

  const serve = async (conn: Deno.Conn): Promise<void> => {
    const reader = new WireReader(conn);
    for (;;) {
      const message = await reader.request().catch(() => undefined);
      if (message === undefined) return;
      const target = message.startLine.split(" ")[1] ?? "";
      raw.push(target);
      const path = normalPath(target);
      await pilot.onRequest(path);
      if (pilot.temper === "close") return;
      if (pilot.temper === "silent") {
        while (await reader.fill());
        return;
      }
      if (pilot.temper === "garbage") {
        await writeAll(conn, new Uint8Array([0, 0, 18, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100]));
        return;
      }
      const answer = answerTo(path);
      const body = pilot.mangle(answer.body, path);
      const head = `HTTP/1.1 ${answer.status} OK\r\nDate: Tue, 24 Nov 2026 07:44:57 GMT\r\n` +
        `Content-Type: ${answer.contentType}\r\n` +
        (answer.chunked ? "Transfer-Encoding: chunked" : `Content-Length: ${body.length}`) + "\r\n\r\n";
      const framed = answer.chunked ? chunks(body) : [body];
      await writeAll(conn, bytesOf(head));
      if (pilot.temper === "half") {
        await writeAll(conn, (framed[0] as Uint8Array).subarray(0, Math.floor(body.length / 2)));
        return;
      }
      for (const piece of framed) await writeAll(conn, piece);
    }
  };

  const accepting = (async () => {
    for await (const conn of listener) {
      conn.setNoDelay(true);
      connections++;
      open.add(conn);
      const work = serve(conn).finally(() => {
        closeQuietly(conn);
        open.delete(conn);
        running.delete(work);
      });
      running.add(work);
    }
  })().catch(() => {});

  const pilot: RestPilot = {
    port: listener.addr.port,
    temper: "serve",
    mangle: (body) => body,
    onRequest: () => {},
    raw,
    registrationOnly: false,
    get connections() {
      return connections;
    },
    async play(folder, wanted = () => true) {
      const names: string[] = [];
      for await (const { name } of Deno.readDir(new URL(`${folder}/`, RECORDINGS))) {
        if (name.endsWith(".http") && wanted(name)) names.push(name);
      }
      for (const name of names.sort()) {
        const { path, answer } = parseRecording(
          await Deno.readFile(new URL(`${folder}/${name}`, RECORDINGS)),
        );
        answers.set(path, answer);
      }
    },
    set(path, body, status = 200) {
      answers.set(path, {
        status,
        contentType: "text/plain; charset=utf-8",
        chunked: false,
        body: bytesOf(body),
      });
    },
    forget: (path) => void answers.delete(path),
    forgetAll: () => answers.clear(),
    asked() {
      const paths = raw.slice(seen).map(normalPath);
      seen = raw.length;
      return paths;
    },
    async close() {
      closeQuietly(listener);
      for (const conn of open) closeQuietly(conn);
      await accepting;
      await Promise.all(running);
    },
    [Symbol.asyncDispose]: () => pilot.close(),
  };
  return pilot;
}

/** Go's chunks are of 2048 bytes and less. */
function chunks(body: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += 2048) {
    const piece = body.subarray(at, at + 2048);
    pieces.push(bytesOf(`${piece.length.toString(16)}\r\n`), piece, bytesOf("\r\n"));
  }
  pieces.push(bytesOf("0\r\n\r\n"));
  return pieces;
}
