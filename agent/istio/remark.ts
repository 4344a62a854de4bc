/**
 * Remarks: what parse, validate and findings note while they walk a document, with the path instead of the place.
 * Places cost a second, slow parse of the document, so they are looked up only when a remark leaves as a Diagnostic.
 */
import type { Code } from "../core/codes.ts";
import { type Diagnostic, diagnostic, type Origin, type Severity } from "../core/diagnostics.ts";
import { locateYaml, type PathPart, type YamlDocument } from "../core/yaml.ts";
import type { RuleDocument } from "./resources.ts";
import { preciseOrigin } from "./origin.ts";
import { lowerCamel } from "./schema.ts";

export interface Remark {
  readonly code: Code;
  readonly message: string;
  /** Path inside the object: `["spec", "http", 0]`. */
  readonly path: readonly PathPart[];
  /** Place the key instead of its value. */
  readonly key?: boolean;
  readonly severity?: Severity;
  readonly hint?: string;
}

export type RemarkOptions = Pick<Remark, "key" | "severity" | "hint">;

/** A step on the way from the document's root to a field; paths are built only when asked for. */
export class At {
  readonly #parent: At | undefined;
  readonly #part: PathPart;

  constructor(part: PathPart, parent?: At) {
    this.#part = part;
    this.#parent = parent;
  }

  to(part: PathPart): At {
    return new At(part, this);
  }

  path(): PathPart[] {
    const path = this.#parent?.path() ?? [];
    path.push(this.#part);
    return path;
  }
}

/** Collects the remarks of one object. */
export class Remarks {
  readonly list: Remark[] = [];

  add(code: Code, at: At, message: string, options: RemarkOptions = {}): void {
    this.list.push({ code, message, path: at.path(), ...options });
  }

  /** In the house grammar: `Cannot accept <thing> "<value>": <state now>; <what is wanted>`. */
  refuse(
    code: Code,
    at: At,
    thing: string,
    value: unknown,
    reason: string,
    options: RemarkOptions = {},
  ): void {
    this.add(code, at, cannotAccept(thing, value, reason), options);
  }
}

/** `Cannot accept weight "-1": it is negative; give 0 or more`. Long values are cut. */
export function cannotAccept(thing: string, value: unknown, reason: string): string {
  return `Cannot accept ${thing}${value === undefined ? "" : ` ${quote(value)}`}: ${reason}`;
}

/** The value in double quotes on one line, at most 80 characters of it. */
export function quote(value: unknown): string {
  const text = typeof value === "string" ? value : value === null ? "null" : JSON.stringify(value) ?? "";
  const short = text.length > 80 ? text.slice(0, 77) + "..." : text;
  return `"${short.replace(/[\n\r\t]/g, " ")}"`;
}

/** `spec.http[0].headers["x-user"]`, as people write paths. */
export function pathText(path: readonly PathPart[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(part)) text += text === "" ? part : `.${part}`;
    else text += `["${part}"]`;
  }
  return text;
}

/** Enough of an object to say where it is. */
export type Placed = Pick<RuleDocument, "kind" | "name" | "namespace" | "origin" | "source">;

/** How a remark gets its place; checks of huge directories hand in a cheaper one. */
export type Place = (document: Placed, remark: Remark) => Diagnostic;

/**
 * Turns a remark into a diagnostic at line and column. `exact: false` is far cheaper and places what is written
 * in flow style at its nearest parent: for the many remarks of a huge directory.
 */
export function placeRemark(document: Placed, remark: Remark, exact = true): Diagnostic {
  const field = pathText(remark.path);
  const spot = exact
    ? placeOf(document.source, remark.path, remark.key === true)
    : preciseOrigin(document, remark.path);
  const where: Origin = {
    ...document.origin,
    kind: document.kind,
    resource: `${document.namespace}/${document.name}`,
    ...(field === "" ? {} : { field }),
    ...(spot.line === undefined ? {} : { line: spot.line }),
    ...(spot.column === undefined ? {} : { column: spot.column }),
  };
  return diagnostic(remark.code, remark.message, where, {
    ...(remark.severity === undefined ? {} : { severity: remark.severity }),
    ...(remark.hint === undefined ? {} : { hint: remark.hint }),
  });
}

/** Line and column of a path inside an object; keys may be written in snake_case. */
export function placeOf(
  source: { readonly document: YamlDocument; readonly prefix: readonly PathPart[] },
  path: readonly PathPart[],
  key = false,
): { line: number; column: number } {
  return locateYaml(source.document, [...source.prefix, ...path], {
    key,
    sameKey: (written, wanted) => lowerCamel(written) === wanted,
  });
}

/** By file, line and column, errors before warnings at one place; for reading from top to bottom. */
export function sortDiagnostics(list: Diagnostic[]): Diagnostic[] {
  const rank = { error: 0, warning: 1, info: 2 };
  return list.sort((a, b) =>
    compareText(a.where.file ?? "", b.where.file ?? "") ||
    (a.where.line ?? 0) - (b.where.line ?? 0) ||
    (a.where.column ?? 0) - (b.where.column ?? 0) ||
    rank[a.severity] - rank[b.severity] ||
    compareText(a.code, b.code) ||
    compareText(a.message, b.message)
  );
}

// Not localeCompare: the order must not depend on the machine, and this is many times faster.
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
