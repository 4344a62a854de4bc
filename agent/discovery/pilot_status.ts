/** The status board of a v1 source: what each kind of path was asked and answered. Written by the poll, read by status. */
import type { Clock } from "../core/ports.ts";
import type { ControlPlaneAddress } from "../settings/types.ts";
import type { SourceStatus, TypeStatus } from "./types.ts";

/** Kinds of paths of xDS v1. `endpoints`: /v1/registration/KEY. */
export const V1_KINDS = ["registration", "endpoints", "listeners", "clusters", "routes"] as const;
export type V1Kind = typeof V1_KINDS[number];

interface Counts {
  version: string;
  receivedMs: number | undefined;
  resources: number;
  subscribed: number | "*";
  sent: number;
  received: number;
  bytes: number;
  nacks: number;
  lastNack: TypeStatus["lastNack"];
}

export class V1Board {
  /** Polls begun, and those that no address answered. */
  connects = 0;
  failures = 0;
  /** In use, or asked now. */
  address: ControlPlaneAddress;
  reason: string | undefined;
  nextTryMs: number | undefined;
  /** What this Pilot cannot give. */
  note: string | undefined;
  #step: SourceStatus["step"] = "waiting";
  #sinceMs: number;
  readonly #kinds: Readonly<Record<V1Kind, Counts>>;

  constructor(
    readonly name: string,
    readonly addresses: readonly ControlPlaneAddress[],
    readonly node: string,
    readonly clock: Pick<Clock, "now">,
  ) {
    this.address = addresses[0] as ControlPlaneAddress;
    this.#sinceMs = clock.now();
    const none = (subscribed: number | "*"): Counts => ({
      version: "",
      receivedMs: undefined,
      resources: 0,
      subscribed,
      sent: 0,
      received: 0,
      bytes: 0,
      nacks: 0,
      lastNack: undefined,
    });
    this.#kinds = {
      registration: none("*"),
      endpoints: none(0),
      listeners: none(0),
      clusters: none(0),
      routes: none(0),
    };
  }

  get step(): SourceStatus["step"] {
    return this.#step;
  }

  at(step: SourceStatus["step"]): void {
    if (this.#step === step) return;
    this.#step = step;
    this.#sinceMs = this.clock.now();
  }

  sent(kind: V1Kind): void {
    this.#kinds[kind].sent++;
  }

  received(kind: V1Kind, bytes: number): void {
    const counts = this.#kinds[kind];
    counts.received++;
    counts.bytes += bytes;
    counts.receivedMs = this.clock.now();
  }

  accepted(kind: V1Kind, version: string): void {
    this.#kinds[kind].version = version;
  }

  refused(kind: V1Kind, version: string, text: string): void {
    const counts = this.#kinds[kind];
    counts.nacks++;
    counts.lastNack = { version, text, atMs: this.clock.now() };
  }

  holds(kind: V1Kind, resources: number, subscribed: number | "*"): void {
    this.#kinds[kind].resources = resources;
    this.#kinds[kind].subscribed = subscribed;
  }

  status(): SourceStatus {
    return {
      name: this.name,
      addresses: this.addresses.map((address) => ({
        address: address.text,
        inUse: address === this.address && this.#step !== "waiting" && this.#step !== "closed",
      })),
      step: this.#step,
      sinceMs: this.#sinceMs,
      mode: "polling",
      ...(this.note === undefined ? {} : { note: this.note }),
      node: this.node,
      connects: this.connects,
      failures: this.failures,
      ...(this.reason === undefined ? {} : { reason: this.reason }),
      ...(this.nextTryMs === undefined ? {} : { nextTryMs: this.nextTryMs }),
      types: V1_KINDS.map((type): TypeStatus => {
        const { receivedMs, lastNack, ...counts } = this.#kinds[type];
        return {
          type,
          nonce: "",
          ...counts,
          ...(receivedMs === undefined ? {} : { receivedMs }),
          ...(lastNack === undefined ? {} : { lastNack }),
        };
      }),
    };
  }
}
