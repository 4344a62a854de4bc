/**
 * Diagnostics: how pure code reports what is wrong with an input. They are collected and returned, never thrown.
 *
 * In: a code of {@link CODES}, a sentence, a place. Out: one text line (`formatDiagnostic`) or JSON as it is.
 *
 * @example
 * ```ts
 * import { diagnostic, formatDiagnostic } from "./diagnostics.ts";
 * const d = diagnostic("R110", "weight -1: must be 0 or more", { file: "vs.yaml", line: 7, column: 17 });
 * formatDiagnostic(d); // vs.yaml:7:17: error [R110] weight -1: must be 0 or more
 * ```
 */
import { type Code, CODES, type Severity } from "./codes.ts";
import { oneLine } from "./one_line.ts";

export type { Severity } from "./codes.ts";

/** Where a thing came from: a place in a file, or an xDS resource at a version. Lines and columns count from 1. */
export interface Origin {
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  /** `VirtualService`, `DestinationRule`, … */
  readonly kind?: string;
  /** `namespace/name` of the rule. */
  readonly resource?: string;
  /** Field path inside the document, e.g. `spec.http[0].route[1].weight`. */
  readonly field?: string;
  /** xDS version_info of the resource. */
  readonly version?: string;
  /** The rule that the control plane says it made this from: `VirtualService default/reviews`. */
  readonly from?: string;
}

/** One finding in an input: what, where, how bad, and what to do. */
export interface Diagnostic {
  readonly code: Code;
  readonly severity: Severity;
  /** One sentence: what was tried, the value, what is wanted. */
  readonly message: string;
  readonly where: Origin;
  /** What to do next; defaults to the code's own hint. */
  readonly hint?: string;
}

/** Makes a diagnostic; severity and hint default to the code table's. */
export function diagnostic(
  code: Code,
  message: string,
  where: Origin,
  more: { severity?: Severity; hint?: string } = {},
): Diagnostic {
  const entry = CODES[code];
  const hint = more.hint ?? entry.hint;
  return {
    code,
    severity: more.severity ?? entry.severity,
    message,
    where,
    ...(hint === undefined || hint === "" ? {} : { hint }),
  };
}

/** `file:line:column`, or the resource and field when there is no file. */
export function formatOrigin(o: Origin): string {
  if (o.file !== undefined) {
    let s = o.file;
    if (o.line !== undefined) s += `:${o.line}`;
    if (o.line !== undefined && o.column !== undefined) s += `:${o.column}`;
    return s;
  }
  let s = o.kind ?? "";
  if (o.resource !== undefined) s += (s === "" ? "" : " ") + o.resource;
  if (o.version !== undefined && o.version !== "") s += ` version ${o.version}`;
  if (o.field !== undefined) s += (s === "" ? "" : " ") + o.field;
  if (o.from !== undefined) s += ` (${o.from})`;
  return s === "" ? "(unknown place)" : oneLine(s);
}

/** One line, grep-friendly: `place: severity [code] message; hint`. */
export function formatDiagnostic(d: Diagnostic): string {
  const hint = d.hint === undefined ? "" : `\n    ${d.hint}`;
  return `${formatOrigin(d.where)}: ${d.severity} [${d.code}] ${d.message}${hint}`;
}

export function hasErrors(list: readonly Diagnostic[]): boolean {
  return list.some((d) => d.severity === "error");
}
