/**
 * The check of the local application: a GET with a wanted status and body, or a TCP connection, over and over.
 *
 * In: Mesher's `localHealthCheck`. Out: `failing`, which gates the service ports that lead to the application, and nothing else. Until
 * the first check is over nothing is held back.
 */
import type { Clock, Dialer, Log } from "../core/ports.ts";
import { MeshError } from "../core/errors.ts";
import { writeAll } from "../core/write_all.ts";
import { compileRegex } from "../route/regex.ts";
import type { LocalHealthCheck } from "../settings/types.ts";
import { latin1, MessageHead, parseResponseHead } from "../wire/http1/head.ts";
import { problemOf } from "../wire/http1/problems.ts";
import { bodyLength } from "./answer.ts";
import { BodyReader } from "./body_reader.ts";
import type { BufferPool } from "./buffers.ts";
import { APPLICATION_ADDRESS } from "./inbound_port.ts";
import { Input } from "./input.ts";

const BASE_BUFFER_BYTES = 4 * 1024;
/** Of a body that is to be matched; what comes behind is not looked at. */
const MAX_BODY_BYTES = 64 * 1024;
const LIMITS = { maxHeadBytes: 16 * 1024, maxTargetBytes: 16 * 1024 };
const MAX_HEADERS = 100;

export interface CheckPorts {
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly log: Log;
  readonly buffers: BufferPool;
}

export class ApplicationCheck {
  /** Why the last check failed; null = it passed, or none is over yet. */
  failing: string | null = null;
  /** Checks that are over. */
  checks = 0;
  #cancel: (() => void) | null = null;
  #closed = false;
  readonly #matches: ((body: string) => boolean) | null;

  /** Throws MeshError S103 for a body pattern that is none. */
  constructor(readonly check: LocalHealthCheck, readonly ports: CheckPorts) {
    const { body } = check;
    if (body === undefined) {
      this.#matches = null;
      return;
    }
    // The pattern may match anywhere, as in Mesher.
    const regex = compileRegex(`(?s:.*)(?:${body})(?s:.*)`);
    if ("error" in regex) {
      throw new MeshError(
        "S103",
        `Cannot read localHealthCheck of port ${check.port}: match.body "${body}" is no regular expression: ${regex.error}`,
      );
    }
    this.#matches = (text) => regex.test(text);
  }

  start(): void {
    void this.#run();
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  async #run(): Promise<void> {
    const { check, ports: { clock } } = this;
    let why: string | null;
    try {
      why = check.protocol === "tcp" ? await this.#connect() : await this.#get();
    } catch (error) {
      why = error instanceof Error ? error.message : String(error);
    }
    if (this.#closed) return;
    this.checks++;
    this.#tell(why);
    this.failing = why;
    this.#cancel = clock.after(check.intervalMs, () => void this.#run());
  }

  #tell(why: string | null): void {
    const { failing, checks, check: { port }, ports: { log } } = this;
    const what = `check of the application on ${APPLICATION_ADDRESS}:${port}`;
    if (why !== null && failing === null) {
      log.log("warn", `the ${what} fails: ${why}; its service ports answer 503`);
    } else if (why === null && (failing !== null || checks === 1)) log.log("info", `the ${what} passes`);
  }

  async #dial() {
    const { port, timeoutMs } = this.check;
    try {
      return await this.ports.dialer.dial({ hostname: APPLICATION_ADDRESS, port }, timeoutMs);
    } catch (error) {
      const late = error instanceof MeshError && error.code === "P304";
      throw new Error(late ? `no connection within ${timeoutMs} ms` : "nothing listens there", {
        cause: error,
      });
    }
  }

  async #connect(): Promise<null> {
    (await this.#dial()).close();
    return null;
  }

  async #get(): Promise<string | null> {
    const { check, ports: { clock, buffers } } = this;
    const { uri, timeoutMs, port } = check;
    const endMs = clock.monotonic() + timeoutMs;
    const stream = await this.#dial();
    if (this.#closed) {
      stream.close();
      return null;
    }
    let late = false;
    const stop = clock.after(Math.max(1, endMs - clock.monotonic()), () => {
      late = true;
      stream.close();
    });
    this.#cancel = () => {
      stop();
      stream.close();
    };
    try {
      const request = `GET ${uri} HTTP/1.1\r\nHost: ${APPLICATION_ADDRESS}:${port}\r\n` +
        "User-Agent: mesh-agent-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n";
      await writeAll(stream, new TextEncoder().encode(request));
      return await this.#judge(new Input(stream, buffers, BASE_BUFFER_BYTES));
    } catch (error) {
      if (late) return `GET ${uri} was not answered within ${timeoutMs} ms`;
      throw error instanceof MeshError
        ? error
        : new Error(`GET ${uri}: the connection broke off`, { cause: error });
    } finally {
      stop();
      stream.close();
    }
  }

  async #judge(input: Input): Promise<string | null> {
    const { uri, status, body: pattern } = this.check;
    const head = await readHead(input);
    if (typeof head === "string") return `GET ${uri}: ${head}`;
    const good = status === undefined ? head.status >= 200 && head.status < 400 : head.status === status;
    if (!good) {
      return `GET ${uri} was answered ${head.status}; want ${status ?? "200 to 399"}`;
    }
    if (this.#matches === null) return null;
    const reader = new BodyReader(input, "upstream");
    reader.begin(bodyLength("GET", head));
    let text = "";
    while (!reader.done && text.length < MAX_BODY_BYTES) {
      const piece = await reader.read();
      if (piece === null) break;
      text += latin1(piece, 0, piece.length);
    }
    return this.#matches(text) ? null : `GET ${uri}: the body does not match "${pattern}"`;
  }
}

/** The final head, or what is wrong with it. */
async function readHead(input: Input): Promise<MessageHead | string> {
  const head = new MessageHead(MAX_HEADERS);
  for (;;) {
    const next = parseResponseHead(head, input.buf, input.start, input.end, LIMITS);
    if (next < 0) return problemOf(next).what;
    if (next > 0) {
      input.start = next;
      if (head.status >= 200) {
        // Keeps the text: the buffer is written again.
        head.text;
        return head;
      }
      continue;
    }
    if (!(await input.fill())) return "the connection ended without an answer";
  }
}
