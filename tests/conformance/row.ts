/**
 * What a row of the conformance tables says: bytes of a client in, bytes at the upstream and bytes back out. Rows know
 * nothing of engines; play.ts runs them.
 */
import type { ServeLimitId } from "../../agent/proxy/serve_limits.ts";
import type { Script } from "../harness/upstream.ts";
import type { RawClient } from "../harness/client.ts";
import type { RecordingUpstream } from "../harness/upstream.ts";

/** One answer as the client sees it. */
export interface ExpectedAnswer {
  /** One of these. */
  readonly status: number | readonly number[];
  /** Value, pattern, or null for absent. */
  readonly headers?: Readonly<Record<string, string | RegExp | null>>;
  readonly body?: string | RegExp;
  readonly trailers?: readonly (readonly [string, string])[];
  /** Statuses of the interim answers before it. */
  readonly interim?: readonly number[];
  /** True: the client must see that the answer is not whole. */
  readonly cut?: boolean;
}

/** What the upstream received for one request. */
export interface ExpectedForward {
  readonly line?: string;
  /** `Name: value` lines, byte for byte. */
  readonly has?: readonly string[];
  /** Names (lower-case) that must not be there. */
  readonly without?: readonly string[];
  readonly body?: string;
  readonly trailers?: readonly (readonly [string, string])[];
}

export interface Row {
  /** `RFC 9112 3.2.2`: where the rule stands. */
  readonly section: string;
  readonly name: string;
  /** Latin1; `{host}` becomes the authority of the service. */
  readonly send: string;
  /** The client ends its direction after `send`. */
  readonly end?: boolean;
  /** The upstream's answer to every request; default 200 `ok`. */
  readonly answer?: string;
  /** The upstream closes after its answer. */
  readonly answerCloses?: boolean;
  /** Instead of answer. */
  readonly script?: Script;
  /** In order, all on one connection. */
  readonly answers?: readonly ExpectedAnswer[];
  /** The agent closes after the answers (or instead of them). */
  readonly closes?: boolean;
  /** In order; `nothing` = not one byte may reach the upstream; `anything` = not looked at (as when absent). */
  readonly forwarded?: readonly ExpectedForward[] | "nothing" | "anything";
  /** Instead of `answers`: a dialogue. */
  readonly play?: (client: RawClient, upstream: RecordingUpstream, host: string) => Promise<void>;
  /** Access-log flags of the first request (where the runner can see records). */
  readonly flags?: string;
  /** Does not hold on the serve engine, because of this limit. */
  readonly limit?: ServeLimitId;
  /** What the serve engine does instead, where that can be said; the row then runs there with these. */
  readonly onServe?: Partial<Pick<Row, "answers" | "closes" | "forwarded" | "play" | "flags">>;
}

/** `METHOD TARGET HTTP/1.1` with Host and further header lines, each ended by CRLF; `lines` without the ends. */
export function request(method: string, target: string, lines: readonly string[] = [], body = ""): string {
  return `${method} ${target} HTTP/1.1\r\nHost: {host}\r\n${
    lines.map((l) => `${l}\r\n`).join("")
  }\r\n${body}`;
}

/** A response with these header lines and body, Content-Length not added. */
export function answer(status: string, lines: readonly string[] = [], body = ""): string {
  return `HTTP/1.1 ${status}\r\n${lines.map((l) => `${l}\r\n`).join("")}\r\n${body}`;
}
