/**
 * The access log: one line per request, text or JSON, formatted as the request ends and written in batches.
 *
 * In: {@link RequestRecord}s. Out: bytes to an injected sink, at the latest 64 KiB or 250 ms after the first waiting line.
 * A sink that is slow never holds a request up: beyond 4 MiB waiting, lines are dropped and counted.
 *
 * Text, fields in the order of Envoy's default format, then four of ours (details, cluster, route, every attempt):
 *
 * ```text
 * [start] "METHOD path protocol" status flags received sent duration upstream-time "x-forwarded-for" "user-agent"
 *   "x-request-id" "authority" "upstream-host" details "cluster" "route" attempts
 * [2026-01-02T03:04:05.678Z] "GET /hello HTTP/1.1" 200 - 0 78 3 2 "-" "curl/8.5" "7f3c…" "istioserver:8084"
 *   "127.0.0.1:8083" via_upstream "outbound|8084|v3|istioserver" "default" 127.0.0.1:8083=ok/2
 * ```
 *
 * Source: envoyproxy.io, "Access logging", default format string.
 *
 * @example
 * ```ts ignore
 * const log = createAccessLog({ format: "text", sink: (bytes) => writeAll(Deno.stdout, bytes), clock });
 * log.record(record);
 * await log.close();
 * ```
 */
import type { Clock } from "../core/ports.ts";
import type { AttemptRecord, RequestRecord } from "./types.ts";

export type AccessLogFormat = "text" | "json";

export interface AccessLogOptions {
  readonly format: AccessLogFormat;
  /** Writes all bytes, in order. A rejection loses that batch; it is counted as dropped lines. */
  readonly sink: (bytes: Uint8Array) => Promise<void>;
  readonly clock: Clock;
}

export interface AccessLog {
  record(record: RequestRecord): void;
  /** Lines lost to a slow or broken sink. */
  readonly dropped: number;
  /** Resolves when everything recorded so far is written (or lost). */
  flush(): Promise<void>;
  /** Flushes; later records are dropped. */
  close(): Promise<void>;
}

const BATCH_CHARS = 64 * 1024;
const BATCH_MS = 250;
const MAX_WAITING_CHARS = 4 * 1024 * 1024;

export function createAccessLog({ format, sink, clock }: AccessLogOptions): AccessLog {
  const formatLine = format === "json" ? jsonLine : textLine;
  const encoder = new TextEncoder();
  let waiting = "";
  let lines = 0;
  let dropped = 0;
  let cancelTimer: (() => void) | undefined;
  let writing: Promise<void> | undefined;
  let closed = false;

  const write = (): Promise<void> => {
    cancelTimer?.();
    cancelTimer = undefined;
    if (writing !== undefined || lines === 0) return writing ?? Promise.resolve();
    const batch = encoder.encode(waiting);
    const count = lines;
    waiting = "";
    lines = 0;
    writing = sink(batch).catch(() => {
      dropped += count;
    }).then(() => {
      writing = undefined;
      // What came while the sink was busy waits for its own timer or, when it is a full batch, goes at once.
      if (waiting.length >= BATCH_CHARS) return write();
      if (lines > 0 && cancelTimer === undefined && !closed) cancelTimer = clock.after(BATCH_MS, write);
    });
    return writing;
  };

  const flush = async (): Promise<void> => {
    while (writing !== undefined || lines > 0) await write();
  };

  return {
    record(record) {
      if (closed || waiting.length > MAX_WAITING_CHARS) {
        dropped++;
        return;
      }
      waiting += formatLine(record);
      lines++;
      if (waiting.length >= BATCH_CHARS) write();
      else if (cancelTimer === undefined && writing === undefined) cancelTimer = clock.after(BATCH_MS, write);
    },
    get dropped() {
      return dropped;
    },
    flush,
    close() {
      closed = true;
      return flush();
    },
  };
}

/** One line with its newline. Bytes that could forge a field or a line are written as `\xNN`. */
export function textLine(r: RequestRecord): string {
  return `[${timestamp(r.startMs)}] "${escaped(r.method)} ${escaped(r.path)} ${r.protocol}" ${r.status} ${
    orDash(r.flags)
  } ${r.bytesReceived} ${r.bytesSent} ${Math.round(r.durationMs)} ${
    r.upstreamServiceTimeMs < 0 ? "-" : Math.round(r.upstreamServiceTimeMs)
  } "${orDash(escaped(r.forwardedFor))}" "${orDash(escaped(r.userAgent))}" "${
    orDash(escaped(r.requestId))
  }" "${orDash(escaped(r.authority))}" "${orDash(r.upstreamHost)}" ${orDash(r.details)} "${
    orDash(escaped(r.upstreamCluster))
  }" "${orDash(escaped(r.routeName))}" ${attemptsText(r.attempts)}\n`;
}

/** One JSON object with its newline, keys named as Istio's JSON access log names them. */
export function jsonLine(r: RequestRecord): string {
  return JSON.stringify({
    start_time: timestamp(r.startMs),
    method: unicode(r.method),
    path: unicode(r.path),
    protocol: r.protocol,
    response_code: r.status,
    response_flags: orDash(r.flags),
    bytes_received: r.bytesReceived,
    bytes_sent: r.bytesSent,
    duration: Math.round(r.durationMs),
    upstream_service_time: r.upstreamServiceTimeMs < 0 ? null : Math.round(r.upstreamServiceTimeMs),
    x_forwarded_for: orNull(r.forwardedFor),
    user_agent: orNull(r.userAgent),
    request_id: orNull(r.requestId),
    authority: orNull(r.authority),
    upstream_host: orNull(r.upstreamHost),
    response_code_details: orNull(r.details),
    upstream_cluster: orNull(r.upstreamCluster),
    route_name: orNull(r.routeName),
    virtual_host: orNull(r.virtualHost),
    downstream_remote_address: orNull(r.downstreamRemote),
    attempts: r.attempts.map((a) => ({
      endpoint: a.endpoint,
      outcome: a.outcome,
      duration: Math.round(a.durationMs),
    })),
  }) + "\n";
}

function attemptsText(attempts: readonly AttemptRecord[]): string {
  if (attempts.length === 0) return "-";
  let text = "";
  for (const a of attempts) {
    text += `${text === "" ? "" : ","}${a.endpoint}=${a.outcome}/${Math.round(a.durationMs)}`;
  }
  return text;
}

const orDash = (text: string): string => text === "" ? "-" : text;
const orNull = (text: string): string | null => text === "" ? null : unicode(text);

// deno-lint-ignore no-control-regex
const UNSAFE = /["\\\x00-\x1f\x7f-\uffff]/;
// deno-lint-ignore no-control-regex
const EVERY_UNSAFE = /["\\\x00-\x1f\x7f-\uffff]/g;

function escaped(text: string): string {
  if (!UNSAFE.test(text)) return text;
  return text.replace(EVERY_UNSAFE, (char) => {
    if (char === '"' || char === "\\") return `\\${char}`;
    const code = char.charCodeAt(0);
    return code < 256
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

const utf8 = new TextDecoder();

/** Texts are one char per received byte; JSON wants what the bytes mean. */
function unicode(text: string): string {
  if (!/[\x80-\xff]/.test(text) || /[\u0100-\uffff]/.test(text)) return text;
  return utf8.decode(Uint8Array.from(text, (char) => char.charCodeAt(0)));
}

let second = -1;
let secondText = "";

/** ISO 8601 with ms. Lines of one second share all but the last digits, which saves half of the line's cost. */
function timestamp(ms: number): string {
  const whole = Math.floor(ms / 1000);
  if (whole !== second) {
    second = whole;
    secondText = new Date(whole * 1000).toISOString().slice(0, 20);
  }
  const rest = Math.floor(ms) - whole * 1000;
  return `${secondText}${rest < 10 ? "00" : rest < 100 ? "0" : ""}${rest}Z`;
}
