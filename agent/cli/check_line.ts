/** What `doctor` says of one thing. */
import { type Code, CODES } from "../core/codes.ts";
import type { Diagnostic } from "../core/diagnostics.ts";
import { MeshError } from "../core/errors.ts";

export interface Check {
  /** What was looked at: `settings`, `dns`, `token`, … */
  readonly name: string;
  readonly state: "ok" | "warn" | "fail";
  /** One line. */
  readonly text: string;
  /** What to do; with every state but ok. */
  readonly next?: string;
}

export const ok = (name: string, text: string): Check => ({ name, state: "ok", text });
export const warn = (name: string, text: string, next: string): Check => ({
  name,
  state: "warn",
  text,
  next,
});
export const fail = (name: string, text: string, next: string): Check => ({
  name,
  state: "fail",
  text,
  next,
});

/** Errors as failures, warnings as warnings; infos are none. */
export function ofDiagnostics(name: string, list: readonly Diagnostic[]): Check[] {
  return list.flatMap((d) => {
    if (d.severity === "info") return [];
    const { file, line } = d.where;
    const place = file === undefined ? "" : `${file}${line === undefined ? "" : `:${line}`}: `;
    const next = d.hint ?? CODES[d.code].hint;
    return [(d.severity === "error" ? fail : warn)(name, `${place}[${d.code}] ${d.message}`, next)];
  });
}

/** What was thrown, as a failure. */
export function ofError(name: string, error: unknown, next: string, state: typeof warn = fail): Check {
  if (!(error instanceof MeshError)) {
    return state(name, error instanceof Error ? error.message : String(error), next);
  }
  const hint = error.hint === "" ? CODES[error.code as Code].hint : error.hint;
  return state(name, `[${error.code}] ${error.message}`, hint === "" ? next : hint);
}

/** `1 file`, `3 files`. */
export function counted(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

/** `in 3 days`, `2 hours ago`. */
export function fromNow(ms: number, nowMs: number): string {
  const away = Math.abs(ms - nowMs);
  const [count, unit] = away < 120_000
    ? [away / 1000, "second"]
    : away < 7_200_000
    ? [away / 60_000, "minute"]
    : away < 172_800_000
    ? [away / 3_600_000, "hour"]
    : [away / 86_400_000, "day"];
  const text = counted(Math.floor(count), unit);
  return ms >= nowMs ? `in ${text}` : `${text} ago`;
}
