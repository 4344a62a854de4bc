/**
 * The whole judgement of a set of rule files: parse, validate, findings across documents.
 *
 * In: file names and texts, and who asks. Out: every known object, those that are sound, and diagnostics in reading order.
 *
 * @example
 * ```ts
 * import { checkRules } from "./check.ts";
 * const { valid, diagnostics } = checkRules(new Map([["vs.yaml", text]]), context);
 * ```
 */
import { type Diagnostic, hasErrors } from "../core/diagnostics.ts";
import { crossFindings } from "./findings.ts";
import { parseRules } from "./parse.ts";
import { compareText, pathText, type Place, placeRemark, type Remark, sortDiagnostics } from "./remark.ts";
import type { ProxyContext, RuleDocument } from "./resources.ts";
import { judgeDocument } from "./validate.ts";

export interface CheckedRules {
  /** Every object that could be told apart, damaged ones too. */
  readonly documents: RuleDocument[];
  /** Those without an error; of several definitions of one object the first, by file name and place. */
  readonly valid: RuleDocument[];
  /** By file, line and column. */
  readonly diagnostics: Diagnostic[];
}

/** So many documents get exact places (about 1 ms each); the others get near ones (see {@link placeRemark}). */
export const MAX_EXACT_DOCUMENTS = 500;

/** Exact places for the first documents that need one. */
export function limitedPlace(limit = MAX_EXACT_DOCUMENTS): Place {
  const exact = new Set<unknown>();
  return (document, remark) => {
    const key = document.source.document;
    if (!exact.has(key) && exact.size >= limit) return placeRemark(document, remark, false);
    exact.add(key);
    return placeRemark(document, remark);
  };
}

/** `files`: name to text; a name is only shown and sorted by. Never throws. */
export function checkRules(files: ReadonlyMap<string, string>, ctx: ProxyContext): CheckedRules {
  const place = limitedPlace();
  const documents: RuleDocument[] = [];
  const valid: RuleDocument[] = [];
  const diagnostics: Diagnostic[] = [];
  // With second definitions of an object, for the finding that names both places.
  const sound: RuleDocument[] = [];
  const names = new Set<string>();
  for (const [file, text] of [...files].sort((a, b) => compareText(a[0], b[0]))) {
    const parsed = parseRules(file, text, ctx, place);
    diagnostics.push(...parsed.diagnostics);
    documents.push(...parsed.documents, ...parsed.damaged);
    for (const document of parsed.documents) {
      const judged = judgeDocument(document).map((remark) => place(document, remark));
      diagnostics.push(...judged);
      if (hasErrors(judged)) continue;
      sound.push(document);
      const name = `${document.kind} ${document.namespace}/${document.name}`;
      if (!names.has(name)) valid.push(document);
      names.add(name);
    }
    for (const document of parsed.damaged) {
      diagnostics.push(...judgeDamaged(document, parsed.diagnostics, place));
    }
  }
  diagnostics.push(...crossFindings(sound, ctx, place));
  return { documents, valid, diagnostics: sortDiagnostics(diagnostics) };
}

/** The rest of a damaged object is judged too, but not what follows from the damage itself. */
export function judgeDamaged(
  document: RuleDocument,
  known: readonly Diagnostic[],
  place: Place,
): Diagnostic[] {
  const resource = `${document.namespace}/${document.name}`;
  const damaged = known
    .filter((d) => d.where.kind === document.kind && d.where.resource === resource)
    .map((d) => d.where.field ?? "");
  const follows = (remark: Remark) => {
    const field = pathText(remark.path);
    return damaged.some((place) =>
      place === field || place.startsWith(field + ".") || place.startsWith(field + "[")
    );
  };
  return judgeDocument(document).filter((remark) => !follows(remark)).map((remark) =>
    place(document, remark)
  );
}
