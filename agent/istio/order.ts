/** The order in which Istio reads objects of one kind, and who may see them (istio-semantics 0.3). */
import type { RuleDocument } from "./resources.ts";

/** By name, then namespace: rule files carry no creation time. */
export function compareDocuments(a: RuleDocument, b: RuleDocument): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.namespace === b.namespace ? 0 : a.namespace < b.namespace ? -1 : 1;
}

/** Whether `exportTo` of an object in `from` lets `viewer` see it; empty means everyone. */
export function exportedTo(
  exportTo: readonly string[] | null | undefined,
  from: string,
  viewer: string,
): boolean {
  if (exportTo === undefined || exportTo === null || exportTo.length === 0) return true;
  return exportTo.some((to) => to === "*" || (to === "." ? from === viewer : to === viewer));
}

/** Position of a VirtualService among those a proxy sees: private ones of its namespace, ones meant for it, public ones. */
export function visibilityRank(
  exportTo: readonly string[] | null | undefined,
  from: string,
  viewer: string,
): 0 | 1 | 2 {
  if (exportTo === undefined || exportTo === null || exportTo.length === 0 || exportTo.includes("*")) {
    return 2;
  }
  if (from === viewer && exportTo.every((to) => to === "." || to === viewer)) return 0;
  return from === viewer ? 2 : 1;
}
