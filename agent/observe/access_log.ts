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
 * A line of inbound traffic ends with ` inbound` (JSON: `"direction":"inbound"`).
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

const BATCH_BYTES = 64 * 1024;
const BATCH_MS = 250;
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

export function createAccessLog({ format, sink, clock }: AccessLogOptions): AccessLog {
  let out = new LineWriter();
  /** The writer whose bytes the sink has, to be used again. */
  let spare = new LineWriter();
  let lines = 0;
  let dropped = 0;
  let cancelTimer: (() => void) | undefined;
  let writing: Promise<void> | undefined;
  let closed = false;

  const write = (): Promise<void> => {
    cancelTimer?.();
    cancelTimer = undefined;
    if (writing !== undefined || lines === 0) return writing ?? Promise.resolve();
    const batch = out;
    const count = lines;
    out = spare;
    lines = 0;
    writing = sink(batch.view()).catch(() => {
      dropped += count;
    }).then(() => {
      batch.clear();
      spare = batch;
      writing = undefined;
      // What came while the sink was busy waits for its own timer or, when it is a full batch, goes at once.
      if (out.length >= BATCH_BYTES) return write();
      if (lines > 0 && cancelTimer === undefined && !closed) cancelTimer = clock.after(BATCH_MS, write);
    });
    return writing;
  };

  const flush = async (): Promise<void> => {
    while (writing !== undefined || lines > 0) await write();
  };

  return {
    record(record) {
      if (closed || out.length > MAX_WAITING_BYTES) {
        dropped++;
        return;
      }
      if (format === "json") out.utf8(jsonLine(record));
      else writeTextLine(out, record);
      lines++;
      if (out.length >= BATCH_BYTES) write();
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
  const out = new LineWriter();
  writeTextLine(out, r);
  return new TextDecoder().decode(out.view());
}

/** Straight to bytes: half the cost of joining texts and encoding them. */
function writeTextLine(out: LineWriter, r: RequestRecord): void {
  out.ascii("[");
  out.ascii(timestamp(r.startMs));
  out.ascii('] "');
  out.escaped(r.method);
  out.ascii(" ");
  out.escaped(r.path);
  out.ascii(" ");
  out.ascii(r.protocol);
  out.ascii('" ');
  out.integer(r.status);
  out.ascii(" ");
  out.orDash(r.flags);
  out.ascii(" ");
  out.integer(r.bytesReceived);
  out.ascii(" ");
  out.integer(r.bytesSent);
  out.ascii(" ");
  out.integer(Math.round(r.durationMs));
  out.ascii(" ");
  if (r.upstreamServiceTimeMs < 0) out.ascii("-");
  else out.integer(Math.round(r.upstreamServiceTimeMs));
  out.ascii(' "');
  out.orDash(r.forwardedFor);
  out.ascii('" "');
  out.orDash(r.userAgent);
  out.ascii('" "');
  out.orDash(r.requestId);
  writeTarget(out, r);
  const { attempts } = r;
  if (attempts.length === 0) out.ascii("-");
  for (let i = 0; i < attempts.length; i++) {
    const attempt = attempts[i] as AttemptRecord;
    if (i > 0) out.ascii(",");
    out.escaped(attempt.endpoint);
    out.ascii("=");
    out.escaped(attempt.outcome);
    out.ascii("/");
    out.integer(Math.round(attempt.durationMs));
  }
  if (r.inbound === true) out.ascii(" inbound");
  out.ascii("\n");
}

/** What requests to the same place have in common of their lines, ready to be copied. */
interface Target {
  readonly authority: string;
  readonly host: string;
  readonly details: string;
  readonly cluster: string;
  readonly route: string;
  readonly bytes: Uint8Array;
}

const MAX_TARGETS = 8;
/** One in so many that are not kept takes the place of another: whoever has more targets than places does not pay for each. */
const MISSES_PER_TARGET = 16;
/** A longer one is not worth keeping. */
const MAX_TARGET_BYTES = 1024;
const targets: Target[] = [];
let misses = 0;

function writeTarget(out: LineWriter, r: RequestRecord): void {
  for (const target of targets) {
    if (
      target.host === r.upstreamHost && target.cluster === r.upstreamCluster &&
      target.route === r.routeName &&
      target.authority === r.authority && target.details === r.details
    ) return out.bytes(target.bytes);
  }
  const start = out.length;
  out.ascii('" "');
  out.orDash(r.authority);
  out.ascii('" "');
  out.orDash(r.upstreamHost);
  out.ascii('" ');
  out.orDash(r.details);
  out.ascii(' "');
  out.orDash(r.upstreamCluster);
  out.ascii('" "');
  out.orDash(r.routeName);
  out.ascii('" ');
  if (misses++ % MISSES_PER_TARGET > 0 || out.length - start > MAX_TARGET_BYTES) return;
  targets[(misses / MISSES_PER_TARGET | 0) % MAX_TARGETS] = {
    authority: r.authority,
    host: r.upstreamHost,
    details: r.details,
    cluster: r.upstreamCluster,
    route: r.routeName,
    bytes: out.view().slice(start),
  };
}

/** One JSON object with its newline, keys named as Istio's JSON access log names them. */
export function jsonLine(r: RequestRecord): string {
  return JSON.stringify({
    start_time: timestamp(r.startMs),
    ...(r.inbound === true ? { direction: "inbound" } : {}),
    method: unicode(r.method),
    path: unicode(r.path),
    protocol: r.protocol,
    response_code: r.status,
    ...(r.grpcStatus === undefined ? {} : { grpc_status: r.grpcStatus }),
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

const orDash = (text: string): string => text === "" ? "-" : text;
const orNull = (text: string): string | null => text === "" ? null : unicode(text);

const utf8 = new TextDecoder();

/** Texts are one char per received byte; JSON wants what the bytes mean. */
function unicode(text: string): string {
  if (!/[\x80-\xff]/.test(text) || /[\u0100-\uffff]/.test(text)) return text;
  return utf8.decode(Uint8Array.from(text, (char) => char.charCodeAt(0)));
}

const encoder = new TextEncoder();
const HEX = "0123456789abcdef";
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Strings have many inner forms: looked up on each of them, the method costs more than the rest of a line. */
const { charCodeAt } = String.prototype;

/** Lines waiting as bytes; grows as needed and keeps its buffer. */
class LineWriter {
  #bytes = new Uint8Array(BATCH_BYTES + 8 * 1024);
  length = 0;

  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  clear(): void {
    this.length = 0;
    if (this.#bytes.length > 4 * BATCH_BYTES) this.#bytes = new Uint8Array(BATCH_BYTES + 8 * 1024);
  }

  /** `text` must be ASCII. */
  ascii(text: string): void {
    const n = text.length;
    this.#reserve(n);
    const bytes = this.#bytes;
    let at = this.length;
    for (let i = 0; i < n; i++) bytes[at++] = charCodeAt.call(text, i);
    this.length = at;
  }

  bytes(from: Uint8Array): void {
    this.#reserve(from.length);
    this.#bytes.set(from, this.length);
    this.length += from.length;
  }

  utf8(text: string): void {
    this.#reserve(text.length * 3);
    this.length += encoder.encodeInto(text, this.#bytes.subarray(this.length)).written;
  }

  orDash(text: string): void {
    this.escaped(text === "" ? "-" : text);
  }

  escaped(text: string): void {
    const n = text.length;
    this.#reserve(n * 6);
    const bytes = this.#bytes;
    let at = this.length;
    for (let i = 0; i < n; i++) {
      const code = charCodeAt.call(text, i);
      if (code >= 0x20 && code < 0x7f) {
        if (code === QUOTE || code === BACKSLASH) bytes[at++] = BACKSLASH;
        bytes[at++] = code;
        continue;
      }
      bytes[at++] = BACKSLASH;
      bytes[at++] = code < 256 ? 0x78 : 0x75; // x, u
      for (let shift = code < 256 ? 4 : 12; shift >= 0; shift -= 4) {
        bytes[at++] = HEX.charCodeAt((code >> shift) & 15);
      }
    }
    this.length = at;
  }

  /** A whole number from 0 on. */
  integer(value: number): void {
    if (value < 10) {
      this.#reserve(1);
      this.#bytes[this.length++] = 0x30 + value;
    } else this.ascii(String(value));
  }

  #reserve(n: number): void {
    if (this.length + n <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + n));
    grown.set(this.#bytes.subarray(0, this.length));
    this.#bytes = grown;
  }
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
