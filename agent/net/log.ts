/**
 * The log of the agent: one line per event on standard error, text or JSON. Requests go to the access log instead.
 *
 * @example
 * ```ts
 * const log = createLog({ level: "info" });
 * log.log("info", "listening", { address: "127.0.0.1:30101" });
 * // 2026-01-02T03:04:05.678Z info listening address=127.0.0.1:30101
 * ```
 */
import type { Log, LogLevel } from "../core/ports.ts";

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export interface LogOptions {
  /** Default info. */
  readonly level?: LogLevel;
  /** Default text. */
  readonly format?: "text" | "json";
  /** Takes whole lines; default standard error. */
  readonly write?: (text: string) => void;
  /** Wall clock, ms. */
  readonly now?: () => number;
}

export function createLog(options: LogOptions = {}): Log {
  const { level = "info", format = "text", write = toStandardError, now = Date.now } = options;
  return {
    level,
    log(at, message, fields) {
      if (RANK[at] < RANK[level]) return;
      const time = new Date(now()).toISOString();
      write(
        format === "json"
          ? JSON.stringify({ time, level: at, message, ...fields }) + "\n"
          : `${time} ${at} ${message}${fieldsText(fields)}\n`,
      );
    },
  };
}

function fieldsText(fields: Readonly<Record<string, unknown>> | undefined): string {
  let text = "";
  for (const [key, value] of Object.entries(fields ?? {})) {
    if (value === undefined) continue;
    const plain = typeof value === "string" ? value : JSON.stringify(value);
    text += ` ${key}=${/[\s"=]/.test(plain) ? JSON.stringify(plain) : plain}`;
  }
  return text;
}

const encoder = new TextEncoder();

function toStandardError(text: string): void {
  try {
    Deno.stderr.writeSync(encoder.encode(text));
  } catch {
    // Nobody reads it (closed pipe, full non-blocking pipe); traffic goes on.
  }
}
