/**
 * MeshError: the only class thrown on purpose. It carries everything that `rescue` needs to answer the client and that
 * the attempt loop needs to decide about a retry; nobody looks at message texts.
 */
import { type Code, type CodeEntry, CODES } from "./codes.ts";

/** Which side failed. */
export type Side = "downstream" | "upstream" | "agent";

/** Classes of failed attempts, in the words of Envoy's retry policy. */
export type RetryClass = "connect-failure" | "refused-stream" | "reset-before-request" | "reset" | "never";

export class MeshError extends Error {
  override readonly name = "MeshError";
  readonly code: Code;
  readonly side: Side;
  readonly retry: RetryClass;
  /** HTTP status of our answer. */
  readonly status: number;
  /** Envoy response flag, e.g. `UF`; empty when none. */
  readonly flag: string;
  readonly hint: string;

  constructor(
    code: Code,
    message: string,
    more: {
      side?: Side;
      retry?: RetryClass;
      status?: number;
      flag?: string;
      hint?: string;
      cause?: unknown;
    } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    const entry: CodeEntry = CODES[code];
    this.code = code;
    this.side = more.side ?? "agent";
    this.retry = more.retry ?? "never";
    this.status = more.status ?? entry.status ?? 500;
    this.flag = more.flag ?? entry.flag ?? "";
    this.hint = more.hint ?? entry.hint;
  }
}
