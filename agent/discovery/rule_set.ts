/**
 * What the file source remembers of its files: which objects are in force, and the last good version of each.
 *
 * In: the text of changed files. Out: the objects in force and every standing diagnostic. Only documents whose text or place
 * changed are parsed and judged. An object with an error keeps its last good version; a document that cannot be read keeps
 * every object that its file gave before and no longer gives. Of two definitions of one object the older stays in force,
 * also by its last good version.
 *
 * @example
 * ```ts ignore
 * const rules = createRuleSet(context);
 * rules.update(new Map([["a.yaml", text]])); // { documents, diagnostics, parsed: 3 }
 * ```
 */
import { type Diagnostic, diagnostic, formatOrigin, hasErrors } from "../core/diagnostics.ts";
import { splitDocuments, type YamlDocument } from "../core/yaml.ts";
import { judgeDamaged, limitedPlace } from "../istio/check.ts";
import { notExecuted } from "../istio/not_executed.ts";
import { parseRuleDocument } from "../istio/parse.ts";
import type { Place } from "../istio/remark.ts";
import type { ProxyContext, RuleDocument } from "../istio/resources.ts";
import { judgeDocument } from "../istio/validate.ts";

export interface RuleSetState {
  /** In force, by file and place. */
  readonly documents: readonly RuleDocument[];
  /** Those and the second definitions of an object, for the finding that names both places. */
  readonly defined: readonly RuleDocument[];
  readonly diagnostics: readonly Diagnostic[];
  /** Whether any file's text changed. */
  readonly changed: boolean;
  /** YAML documents parsed by this update. */
  readonly parsed: number;
  /** Objects that stay in force although their file no longer gives them soundly. */
  readonly kept: number;
}

export interface RuleSet {
  /** `null` = the file is gone. Files that are not named are unchanged. */
  update(changes: ReadonlyMap<string, string | null>): RuleSetState;
  /** Names of the files known. */
  files(): Iterable<string>;
}

interface KnownDocument {
  readonly line: number;
  readonly text: string;
  readonly sound: readonly RuleDocument[];
  readonly broken: readonly RuleDocument[];
  /** Something in it could not be read so far as to know what it is. */
  readonly unreadable: boolean;
  readonly diagnostics: readonly Diagnostic[];
}

interface KnownFile {
  readonly text: string;
  readonly documents: readonly KnownDocument[];
}

export function createRuleSet(context: Pick<ProxyContext, "namespace">): RuleSet {
  const files = new Map<string, KnownFile>();
  let settled = settle(files, new Map());

  const readFile = (
    name: string,
    text: string,
    before: KnownFile | undefined,
    place: Place,
  ): [KnownFile, number] => {
    const known = new Map<string, KnownDocument>();
    for (const d of before?.documents ?? []) known.set(`${d.line}\n${d.text}`, d);
    let parsed = 0;
    const documents = splitDocuments(text).map((document) => {
      const same = known.get(`${document.line}\n${document.text}`);
      if (same !== undefined) return same;
      parsed++;
      return readDocument(name, document, context, place);
    });
    return [{ text, documents }, parsed];
  };

  return {
    files: () => files.keys(),
    update(changes) {
      let parsed = 0;
      let changed = false;
      const place = limitedPlace();
      for (const [name, text] of changes) {
        const before = files.get(name);
        if (before?.text === (text ?? undefined)) continue;
        changed = true;
        if (text === null) files.delete(name);
        else {
          const [file, count] = readFile(name, text, before, place);
          files.set(name, file);
          parsed += count;
        }
      }
      if (changed) settled = settle(files, settled.inForce);
      const { documents, defined, diagnostics, kept } = settled;
      return { documents, defined, diagnostics, changed, parsed, kept };
    },
  };
}

/** `Kind namespace/name`: what makes two documents one object. */
export function objectKey(document: RuleDocument): string {
  return `${document.kind} ${document.namespace}/${document.name}`;
}

function readDocument(
  file: string,
  document: YamlDocument,
  context: Pick<ProxyContext, "namespace">,
  place: Place,
): KnownDocument {
  const read = parseRuleDocument(file, document, context, place);
  const sound: RuleDocument[] = [];
  const broken = read.damaged.filter((d) => d.name !== "");
  const diagnostics: Diagnostic[] = [...read.diagnostics];
  for (const object of read.documents) {
    const findings = judgeDocument(object).map((remark) => place(object, remark));
    diagnostics.push(...findings);
    (hasErrors(findings) ? broken : sound).push(object);
  }
  diagnostics.push(...notExecuted(sound, place));
  for (const object of read.damaged) diagnostics.push(...judgeDamaged(object, read.diagnostics, place));
  // An object without a name and text that is no YAML both leave open what was meant.
  const nameless = read.damaged.some((d) => d.name === "");
  const unplaced = read.diagnostics.some((d) => d.severity === "error" && d.where.resource === undefined);
  return {
    line: document.line,
    text: document.text,
    sound: exact(sound),
    broken: exact(broken),
    unreadable: nameless || unplaced,
    diagnostics: exact(diagnostics),
  };
}

const NOTHING: readonly never[] = [];

/** Without the room that `push` reserves: there are tens of thousands of these. */
function exact<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NOTHING : list.slice();
}

interface Settled {
  readonly inForce: ReadonlyMap<string, RuleDocument>;
  readonly documents: readonly RuleDocument[];
  readonly defined: readonly RuleDocument[];
  readonly diagnostics: readonly Diagnostic[];
  readonly kept: number;
}

function settle(files: ReadonlyMap<string, KnownFile>, before: ReadonlyMap<string, RuleDocument>): Settled {
  const inForce = new Map<string, RuleDocument>();
  const broken = new Map<string, RuleDocument>();
  const unreadable = new Set<string>();
  const second: RuleDocument[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const name of [...files.keys()].sort()) {
    for (const document of (files.get(name) as KnownFile).documents) {
      diagnostics.push(...document.diagnostics);
      if (document.unreadable) unreadable.add(name);
      for (const object of document.broken) broken.set(objectKey(object), object);
      for (const object of document.sound) {
        const key = objectKey(object);
        const other = inForce.get(key);
        if (other === undefined) {
          inForce.set(key, object);
          continue;
        }
        const stays = before.get(key);
        const newcomer = stays !== undefined && sameFile(stays, object) && !sameFile(stays, other);
        const [used, refused] = newcomer ? [object, other] : [other, object];
        inForce.set(key, used);
        second.push(refused);
      }
    }
  }
  let kept = 0;
  for (const [key, last] of before) {
    const other = inForce.get(key);
    const bad = broken.get(key);
    const unread = unreadable.has(last.origin.file ?? "");
    if (other === undefined) {
      if (bad === undefined && !unread) continue;
    } else {
      // Damage to the definition in force does not put another file's second one in its place.
      const damaged = unread || (bad !== undefined && sameFile(bad, last));
      if (sameFile(other, last) || !damaged) continue;
      second.push(other);
    }
    inForce.set(key, last);
    kept++;
    diagnostics.push(
      diagnostic(
        "D104",
        `${last.kind} "${last.namespace}/${last.name}" keeps its last good version, read from ${
          formatOrigin(last.origin)
        }`,
        bad?.origin ?? last.origin,
      ),
    );
  }
  const documents = [...inForce.values()];
  return { inForce, documents, defined: [...documents, ...second], diagnostics, kept };
}

function sameFile(a: RuleDocument, b: RuleDocument): boolean {
  return a.origin.file === b.origin.file;
}
