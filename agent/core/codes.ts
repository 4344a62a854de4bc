/**
 * The one table of codes. A code is stable for ever; a retired one stays as a comment and is never used again.
 *
 * S = settings, Y = YAML text, R1xx = VirtualService, R2xx = DestinationRule, R3xx = ServiceEntry and WorkloadEntry,
 * R4xx = findings across documents, D = discovery, N = network and start, P = answers to a request (with status and flag).
 */
import { PROXY_CODES } from "./proxy_codes.ts";
import { RULE_CODES } from "./rule_codes.ts";
import { SETTINGS_CODES } from "./settings_codes.ts";
import { START_CODES } from "./start_codes.ts";

/** How bad a finding is: an error keeps the input out, a warning lets it in, an info only tells. */
export type Severity = "error" | "warning" | "info";

export interface CodeEntry {
  readonly severity: Severity;
  /** What to do next. Empty when the message says it. */
  readonly hint: string;
  /** HTTP status of an answer of our own (P codes). */
  readonly status?: number;
  /** Envoy response flag of such an answer (istio-semantics 1.14). */
  readonly flag?: string;
}

export const CODES = {
  ...RULE_CODES,
  ...PROXY_CODES,
  ...SETTINGS_CODES,
  ...START_CODES,
} as const satisfies Record<string, CodeEntry>;

export type Code = keyof typeof CODES;
