/**
 * The status board of an xDS source: what its stream is at, what was sent, received and refused by type. Written by the
 * stream as it goes, read by `mesh-agent status`, /sync and metrics.
 */
import { type Diagnostic, diagnostic } from "../core/diagnostics.ts";
import { MeshError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import type { ControlPlaneAddress } from "../settings/types.ts";
import { RESOURCE_TYPES, type ResourceType } from "../xds/types.ts";
import type { SourceStatus, TypeStatus } from "./types.ts";

type Step = SourceStatus["step"];

/** Counts go on over all streams; version and nonce are those of the last answer. */
interface TypeCounts {
  version: string;
  nonce: string;
  receivedMs: number | undefined;
  sent: number;
  received: number;
  bytes: number;
  nacks: number;
  lastNack: TypeStatus["lastNack"];
}

/** What only others know. */
export interface Holdings {
  readonly resources: (type: ResourceType) => number;
  readonly subscribed: (type: ResourceType) => number | "*";
}

export class StatusBoard {
  connects = 0;
  failures = 0;
  /** Address in use or tried now. */
  address: ControlPlaneAddress;
  mode = "";
  reason: string | undefined;
  nextTryMs: number | undefined;
  #step: Step = "waiting";
  #sinceMs: number;
  #sinceMonotonicMs: number;
  readonly #types: Readonly<Record<ResourceType, TypeCounts>>;

  constructor(
    readonly name: string,
    readonly addresses: readonly ControlPlaneAddress[],
    readonly node: string,
    readonly clock: Pick<Clock, "now" | "monotonic">,
  ) {
    this.address = addresses[0] as ControlPlaneAddress;
    this.#sinceMs = clock.now();
    this.#sinceMonotonicMs = clock.monotonic();
    const none = (): TypeCounts => ({
      version: "",
      nonce: "",
      receivedMs: undefined,
      sent: 0,
      received: 0,
      bytes: 0,
      nacks: 0,
      lastNack: undefined,
    });
    this.#types = { CDS: none(), EDS: none(), LDS: none(), RDS: none() };
  }

  get step(): Step {
    return this.#step;
  }

  /** How long it has been at this step, ms. */
  get atStepMs(): number {
    return this.clock.monotonic() - this.#sinceMonotonicMs;
  }

  at(step: Step): void {
    if (this.#step === step) return;
    this.#step = step;
    this.#sinceMs = this.clock.now();
    this.#sinceMonotonicMs = this.clock.monotonic();
    if (step !== "waiting") this.nextTryMs = undefined;
  }

  sent(type: ResourceType): void {
    this.#types[type].sent++;
  }

  received(type: ResourceType, nonce: string, bytes: number): void {
    const counts = this.#types[type];
    counts.received++;
    counts.bytes += bytes;
    counts.nonce = nonce;
    counts.receivedMs = this.clock.now();
  }

  accepted(type: ResourceType, version: string): void {
    this.#types[type].version = version;
  }

  refused(type: ResourceType, version: string, text: string): void {
    const counts = this.#types[type];
    counts.nacks++;
    counts.lastNack = { version, text, atMs: this.clock.now() };
  }

  status(holdings: Holdings): SourceStatus {
    return {
      name: this.name,
      addresses: this.addresses.map((address) => ({
        address: address.text,
        inUse: address === this.address && this.#step !== "waiting" && this.#step !== "closed",
      })),
      step: this.#step,
      sinceMs: this.#sinceMs,
      mode: this.mode,
      node: this.node,
      connects: this.connects,
      failures: this.failures,
      ...(this.reason === undefined ? {} : { reason: this.reason }),
      ...(this.nextTryMs === undefined ? {} : { nextTryMs: this.nextTryMs }),
      types: RESOURCE_TYPES.map((type): TypeStatus => {
        const { receivedMs, lastNack, ...counts } = this.#types[type];
        return {
          type,
          ...counts,
          ...(receivedMs === undefined ? {} : { receivedMs }),
          ...(lastNack === undefined ? {} : { lastNack }),
          resources: holdings.resources(type),
          subscribed: holdings.subscribed(type),
        };
      }),
    };
  }
}

/** Message and hint in one line, with the code. */
export function failureText(error: MeshError): string {
  return `[${error.code}] ${error.message}${error.hint === "" ? "" : ` - ${error.hint}`}`;
}

/** The same for status: the hint on a line of its own. */
export function failureReason(error: MeshError): string {
  return `[${error.code}] ${error.message}${error.hint === "" ? "" : `\n    ${error.hint}`}`;
}

/** Whatever was thrown, as a MeshError. */
export function asMeshError(error: unknown, address: string): MeshError {
  if (error instanceof MeshError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new MeshError("D209", `Cannot keep a stream from "${address}": ${reason}; want an open one`, {
    cause: error,
  });
}

/** As a standing finding about an address. */
export function failureDiagnostic(
  error: MeshError,
  address: string,
  severity: Diagnostic["severity"],
): Diagnostic {
  return diagnostic(error.code, error.message, { kind: "control plane", resource: address }, {
    severity,
    hint: error.hint,
  });
}
