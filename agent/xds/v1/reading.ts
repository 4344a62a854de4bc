/** Reading JSON of which nothing is certain: what has the wrong form is noted with its path, and read as absent. */
import { type Diagnostic, diagnostic, type Origin } from "../../core/diagnostics.ts";
import type { Code } from "../../core/codes.ts";
import { oneLine } from "../../core/one_line.ts";
import { type Findings, isLine, MAX_MESSAGE } from "../values.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

const SHOWN = 60;

export class Reading {
  readonly #problems: Diagnostic[] = [];
  readonly #notes: Diagnostic[] = [];
  readonly #origin: Origin;

  /** `origin`: kind, resource and version; the path of a problem becomes its field. */
  constructor(origin: Origin) {
    this.#origin = origin;
  }

  get problems(): readonly Diagnostic[] {
    return this.#problems;
  }

  get notes(): readonly Diagnostic[] {
    return this.#notes;
  }

  originOf(field: string): Origin {
    return field === "" ? this.#origin : { ...this.#origin, field };
  }

  /** The object that is being read cannot be used. */
  fail(path: string, message: string, code: Code = "D212"): undefined {
    this.#problems.push(diagnostic(code, oneLine(message, MAX_MESSAGE), this.originOf(path)));
    return undefined;
  }

  /** A part is left out; the rest can be used. */
  note(path: string, message: string, code: Code = "D223"): void {
    this.#notes.push(diagnostic(code, oneLine(message, MAX_MESSAGE), this.originOf(path)));
  }

  object(value: unknown, path: string): JsonObject | undefined {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
    return this.#wrong(path, value, "an object");
  }

  /** A member that is an object; undefined when absent or null. */
  part(from: JsonObject, name: string, path: string): JsonObject | undefined {
    const value = from[name];
    return value === undefined || value === null ? undefined : this.object(value, join(path, name));
  }

  /** A member that is a list; absent and null count as empty. */
  list(from: JsonObject, name: string, path: string): readonly unknown[] {
    const value = from[name];
    if (value === undefined || value === null) return [];
    if (Array.isArray(value)) return value;
    this.#wrong(join(path, name), value, "a list");
    return [];
  }

  text(from: JsonObject, name: string, path: string): string | undefined {
    const value = from[name];
    if (value === undefined || value === null) return undefined;
    return typeof value === "string" ? value : this.#wrong(join(path, name), value, "a text");
  }

  /** As {@link text}, but missing and empty are wrong. */
  needText(from: JsonObject, name: string, path: string): string | undefined {
    const value = from[name];
    return typeof value === "string" && value !== ""
      ? value
      : this.#wrong(join(path, name), value, "a text that is not empty");
  }

  /** As {@link text}; it goes into heads of messages, where a line end would begin a line of its own. */
  line(from: JsonObject, name: string, path: string): string | undefined {
    const value = this.text(from, name, path);
    return value === undefined || isLine(value, join(path, name), this.findings) ? value : undefined;
  }

  /** For the judges that all generations share. */
  readonly findings: Pick<Findings, "problem" | "note"> = {
    problem: (field, message) => void this.fail(field, message),
    note: (field, message) => this.note(field, message),
  };

  /** A whole number from `min` to `max`. */
  count(from: JsonObject, name: string, path: string, min = 0, max = 0xffffffff): number | undefined {
    const value = from[name];
    if (value === undefined || value === null) return undefined;
    if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) {
      return value as number;
    }
    return this.#wrong(join(path, name), value, `a whole number from ${min} to ${max}`);
  }

  flag(from: JsonObject, name: string, path: string): boolean | undefined {
    const value = from[name];
    if (value === undefined || value === null) return undefined;
    return typeof value === "boolean" ? value : this.#wrong(join(path, name), value, "true or false");
  }

  #wrong(path: string, value: unknown, wanted: string): undefined {
    const shown = value === undefined ? "nothing" : JSON.stringify(value);
    const short = shown.length > SHOWN ? `${shown.slice(0, SHOWN)}…` : shown;
    return this.fail(path, `Cannot use ${path === "" ? "the answer" : path}: it is ${short}; want ${wanted}`);
  }
}

export function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
