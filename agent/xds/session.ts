/**
 * What a session of either protocol is: a pure reducer, state x input -> state, requests to send, events for the driver. The
 * driver owns the stream, decodes what an `apply` event carries, and reports its verdict; nothing here knows time or bytes.
 *
 * stream opened -> open(); message in -> receive(); verdict reached -> judge(); names changed -> watch().
 *
 * @example
 * ```ts ignore
 * let step = sotw.open(sotw.begin({ generation: "v3" }), {});
 * step.send; // the first requests, in order
 * ```
 */
import type { Envelope, Generation, RawResource, Request, ResourceType } from "./types.ts";

/** Types whose names are subscribed to; of CDS and LDS we always want all. */
export type NamedType = "EDS" | "RDS";

export interface SessionOptions {
  readonly generation: Generation;
}

/** What is held of a type from an earlier stream. */
export interface Held {
  /** Delta: version by resource name; sent as initial_resource_versions. */
  readonly versions?: Readonly<Record<string, string>>;
}

export type SessionEvent =
  /** Decode and apply this; then call `judge` exactly once with its nonce. */
  | {
    readonly kind: "apply";
    readonly type: ResourceType;
    readonly version: string;
    readonly nonce: string;
    readonly resources: readonly RawResource[];
    readonly removed: readonly string[];
    /** Resources that are absent are deleted (CDS and LDS in state-of-the-world). */
    readonly complete: boolean;
  }
  /** An answer that is not used, with the reason in plain words (unknown type, never asked for). */
  | { readonly kind: "ignored"; readonly typeUrl: string; readonly reason: string };

export interface Step<S> {
  readonly state: S;
  readonly send: readonly Request[];
  readonly events: readonly SessionEvent[];
}

export type Verdict = { readonly ok: true } | { readonly ok: false; readonly error: string };

export interface SessionReducer<S> {
  begin(options: SessionOptions): S;
  /** A new stream: nonces start empty, subscriptions go on. Sends the first requests in the order CDS, (EDS), LDS, (RDS). */
  open(state: S, held: Readonly<Partial<Record<ResourceType, Held>>>): Step<S>;
  receive(state: S, envelope: Envelope): Step<S>;
  /** ACK or NACK of the response with this nonce. */
  judge(state: S, type: ResourceType, nonce: string, verdict: Verdict): Step<S>;
  /** The names wanted from now on (sorted, without duplicates). Nothing is sent before the stream is open. */
  watch(state: S, type: NamedType, names: readonly string[]): Step<S>;
}
