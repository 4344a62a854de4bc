/**
 * What changed between two lists of documents.
 *
 * In: every document in force. Out: pairs of before and after, by kind. Documents count as unchanged while their text, name and
 * place are; the kept object is then the earlier one.
 */
import type { VirtualServiceDocument } from "./delegate.ts";
import type { DestinationRuleDocument } from "./destination_rules.ts";
import type { RuleDocument } from "./resources.ts";
import type { ServiceEntryDocument, WorkloadEntryDocument } from "./services.ts";

/** `undefined` before means new, after means gone. */
export type Change<D> = readonly [before: D | undefined, after: D | undefined];

export interface Changes {
  readonly ServiceEntry: Change<ServiceEntryDocument>[];
  readonly WorkloadEntry: Change<WorkloadEntryDocument>[];
  readonly DestinationRule: Change<DestinationRuleDocument>[];
  readonly VirtualService: Change<VirtualServiceDocument>[];
}

export class Documents {
  #byKey = new Map<string, RuleDocument>();
  #listed: readonly RuleDocument[] | undefined;

  /** What changed since the last documents; undefined when nothing did. */
  update(documents: readonly RuleDocument[]): Changes | undefined {
    const changes: Changes = { ServiceEntry: [], WorkloadEntry: [], DestinationRule: [], VirtualService: [] };
    let changed = false;
    const push = (kind: RuleDocument["kind"], change: Change<RuleDocument>): void => {
      changed = true;
      (changes[kind] as Change<RuleDocument>[]).push(change);
    };
    const before = this.#listed;
    if (before?.length === documents.length) {
      // The usual case: the same list but for a few that are new versions of what stood there.
      let aligned = true;
      const replaced: number[] = [];
      for (let i = 0; i < documents.length && aligned; i++) {
        const [a, b] = [before[i] as RuleDocument, documents[i] as RuleDocument];
        if (a === b) continue;
        if (a.kind !== b.kind || a.name !== b.name || a.namespace !== b.namespace) aligned = false;
        else replaced.push(i);
      }
      if (aligned && this.#byKey.size === documents.length) {
        for (const i of replaced) {
          const after = documents[i] as RuleDocument;
          const key = keyOf(after);
          const known = this.#byKey.get(key);
          if (known !== undefined && isUnchanged(known, after)) continue;
          push(after.kind, [known, after]);
          this.#byKey.set(key, after);
        }
        this.#listed = documents;
        return changed ? changes : undefined;
      }
    }
    const now = new Map<string, RuleDocument>();
    for (const document of documents) {
      const key = keyOf(document);
      // Of two with one name the first counts.
      if (now.has(key)) continue;
      const known = this.#byKey.get(key);
      if (known !== undefined && isUnchanged(known, document)) {
        now.set(key, known);
        continue;
      }
      now.set(key, document);
      push(document.kind, [known, document]);
    }
    for (const [key, known] of this.#byKey) if (!now.has(key)) push(known.kind, [known, undefined]);
    this.#byKey = now;
    this.#listed = documents;
    return changed ? changes : undefined;
  }
}

/** `Kind namespace/name`. */
export function keyOf(document: RuleDocument): string {
  return `${document.kind} ${document.namespace}/${document.name}`;
}

/** The same text at the same place. */
function isUnchanged(a: RuleDocument, b: RuleDocument): boolean {
  return a === b ||
    (a.hash === b.hash && a.origin.file === b.origin.file && a.origin.line === b.origin.line &&
      a.source.document.line === b.source.document.line);
}
