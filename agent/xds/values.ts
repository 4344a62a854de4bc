/** Values of xDS messages in the spelling of the model. */
import { type Diagnostic, diagnostic, type Origin, type Severity } from "../core/diagnostics.ts";
import { oneLine } from "../core/one_line.ts";
import type { Messages } from "../../protos/schema.ts";
import type { Duration, FractionalPercent } from "../model/model.ts";

/** Seconds and nanos as proto-JSON text: `0s`, `0.025s`, 1.5 s as `1.500s`. Undefined when absent. */
export function durationText(duration: Messages["Duration"] | null): Duration | undefined {
  if (duration === null) return undefined;
  let seconds = duration.seconds + Math.trunc(duration.nanos / NANOS);
  let nanos = duration.nanos % NANOS;
  // Both have one sign in a valid one.
  if (seconds > 0 && nanos < 0) [seconds, nanos] = [seconds - 1, nanos + NANOS];
  else if (seconds < 0 && nanos > 0) [seconds, nanos] = [seconds + 1, nanos - NANOS];
  if (nanos === 0) return `${seconds}s`;
  const sign = seconds < 0 || nanos < 0 ? "-" : "";
  const fraction = String(Math.abs(nanos)).padStart(9, "0");
  const digits = fraction.endsWith("000000") ? 3 : fraction.endsWith("000") ? 6 : 9;
  return `${sign}${Math.abs(seconds)}.${fraction.slice(0, digits)}s`;
}

const NANOS = 1_000_000_000;

/** False for an absent one. */
export function isPositive(duration: Messages["Duration"] | null): boolean {
  return duration !== null && duration.seconds + duration.nanos / NANOS > 0;
}

/** Bare value of a wrapper, or undefined. */
export function unwrap<T>(wrapper: { readonly value: T } | null): T | undefined {
  return wrapper === null ? undefined : wrapper.value;
}

const DENOMINATORS = ["HUNDRED", "TEN_THOUSAND", "MILLION"] as const;

/** Undefined for a denominator that does not exist. */
export function fractionalPercent(value: Messages["FractionalPercent"]): FractionalPercent | undefined {
  const denominator = DENOMINATORS[value.denominator];
  return denominator === undefined ? undefined : { numerator: value.numerator, denominator };
}

/** envoy.type.Percent; undefined when absent, a problem outside of 0 to 100. */
export function percentage(
  value: Messages["Percent"] | null,
  field: string,
  found: Findings,
): number | undefined {
  if (value !== null && !(value.value >= 0 && value.value <= 100)) {
    found.problem(field, `Cannot use ${value.value} percent; 0 to 100 is wanted`);
  }
  return unwrap(value);
}

const KINDS: ReadonlyMap<string, string> = new Map([
  ["virtual-service", "VirtualService"],
  ["destination-rule", "DestinationRule"],
]);

/**
 * The rule that a resource was made from, `DestinationRule default/reviews`, as istiod names it in
 * `filter_metadata.istio.config`: `/apis/networking.istio.io/v1/namespaces/NS/KIND/NAME`.
 */
export function ruleOf(metadata: Messages["Metadata"] | null): string | undefined {
  const path = metadata?.filter_metadata["istio"]?.fields["config"]?.string_value;
  const parts = /\/namespaces\/([^/]+)\/([^/]+)\/([^/]+)$/.exec(path ?? "");
  if (parts === null) return undefined;
  const kind = parts[2] as string;
  return `${KINDS.get(kind) ?? kind} ${parts[1]}/${parts[3]}`;
}

/** Characters of a message: names in it come off the wire. */
export const MAX_MESSAGE = 600;

/** What a decoder finds: problems refuse the resource, notes do not. */
export interface Findings {
  readonly problems: Diagnostic[];
  readonly notes: Diagnostic[];
  /** D212 at a field path in proto names. */
  problem(field: string, message: string): void;
  /** D223: left out, and the agent works without it, or with the consequence that `more` warns of. */
  note(field: string, message: string, more?: NoteKind): void;
}

/** What a note says about weight and next step; the default is D223's: an info, nothing to do. */
export interface NoteKind {
  readonly severity: Severity;
  readonly hint: string;
}

/** Of routes and listeners: requests meet something else than the control plane wanted. */
export const NOT_EXECUTED: NoteKind = {
  severity: "warning",
  hint: "Change the rule or EnvoyFilter that asks for it, if these requests need it.",
};

/** `kind` is that of notes that do not say their own. */
export function findings(origin: Origin, kind?: NoteKind): Findings {
  const problems: Diagnostic[] = [];
  const notes: Diagnostic[] = [];
  return {
    problems,
    notes,
    problem: (field, message) =>
      void problems.push(diagnostic("D212", oneLine(message, MAX_MESSAGE), { ...origin, field })),
    note: (field, message, more = kind) =>
      void notes.push(diagnostic("D223", oneLine(message, MAX_MESSAGE), { ...origin, field }, more)),
  };
}

/** Whether a text may stand in the head of a message; Envoy refuses the others too. One that may not is a problem. */
export function isLine(text: string, field: string, found: Pick<Findings, "problem">): boolean {
  if (!/[\0\r\n]/.test(text)) return true;
  found.problem(
    field,
    `Cannot write ${JSON.stringify(text)}: it holds a line end or NUL; wanted is one line`,
  );
  return false;
}
