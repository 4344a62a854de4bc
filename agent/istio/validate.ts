/**
 * Judges the values of one rule document: every row of Istio's own validation (istio-semantics 4.1 to 4.4), each with a code of
 * its own, at the field's line and column.
 *
 * In: a document that parse.ts found sound in shape (damaged ones work too). Out: diagnostics; an error keeps the document out.
 *
 * @example
 * ```ts
 * import { validateDocument } from "./validate.ts";
 * for (const d of validateDocument(document)) console.log(formatDiagnostic(d));
 * ```
 */
import type { Diagnostic } from "../core/diagnostics.ts";
import { At, placeRemark, type Remark, Remarks } from "./remark.ts";
import type {
  DestinationRuleSpec,
  RuleDocument,
  ServiceEntrySpec,
  VirtualServiceSpec,
  WorkloadEntrySpec,
} from "./resources.ts";
import { judgeDestinationRule } from "./validate_destination_rule.ts";
import { judgeServiceEntry } from "./validate_service_entry.ts";
import { judgeVirtualService } from "./validate_virtual_service.ts";
import { judgeWorkloadEntry } from "./validate_workload_entry.ts";

/** Never throws; an empty list means sound. */
export function validateDocument(document: RuleDocument): Diagnostic[] {
  return judgeDocument(document).map((remark) => placeRemark(document, remark));
}

/** The same without places, which cost a second parse. */
export function judgeDocument(document: RuleDocument): readonly Remark[] {
  const out = new Remarks();
  judgeAnnotations(document.annotations, out);
  const at = new At("spec");
  switch (document.kind) {
    case "VirtualService":
      judgeVirtualService(document.spec as VirtualServiceSpec, at, out, document.namespace);
      break;
    case "DestinationRule":
      judgeDestinationRule(document.spec as DestinationRuleSpec, at, out, document.namespace);
      break;
    case "ServiceEntry":
      judgeServiceEntry(document.spec as ServiceEntrySpec, at, out, document.namespace);
      break;
    case "WorkloadEntry":
      judgeWorkloadEntry(document.spec as WorkloadEntrySpec, at, out);
      break;
  }
  return out.list;
}

/** Annotations that Istio keeps for itself (VS-E35, all kinds). */
const REFUSED_ANNOTATIONS: Readonly<Record<string, string>> = {
  "istio.io/dry-run": "only an AuthorizationPolicy can be tried out; delete it",
  "internal.istio.io/webhook-always-reject": "Istio refuses every object that has it; delete it",
  "internal.istio.io/parents": "Istio keeps it for itself; delete it",
  "internal.istio.io/parent-namespace": "Istio keeps it for itself; delete it",
  "internal.istio.io/route-semantics": "Istio keeps it for itself; delete it",
};

function judgeAnnotations(annotations: Readonly<Record<string, string>>, out: Remarks): void {
  for (const name in annotations) {
    if (!Object.hasOwn(REFUSED_ANNOTATIONS, name)) continue;
    const at = new At("metadata").to("annotations").to(name);
    out.refuse("R135", at, "annotation", name, REFUSED_ANNOTATIONS[name] as string, { key: true });
  }
}
