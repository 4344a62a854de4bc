/** What every stage of the pipeline has at hand: settings, ports, and the state that outlives requests. */
import type { Clock, Dialer, Log, Rng } from "../core/ports.ts";
import type { World } from "../discovery/types.ts";
import type { Admission } from "./admission.ts";
import type { Observer } from "../observe/types.ts";
import type { AgentConfig } from "../settings/types.ts";
import type { BufferPool } from "./buffers.ts";
import type { Clusters } from "./clusters.ts";
import type { Deadlines } from "./deadlines.ts";
import type { InboundPort } from "./inbound_port.ts";
import type { Names } from "./names.ts";
import type { OwnAddresses } from "./own_addresses.ts";

export interface ProxyContext {
  readonly config: AgentConfig;
  readonly world: { readonly current: World };
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly observer: Observer;
  readonly log: Log;
  readonly deadlines: Deadlines;
  readonly buffers: BufferPool;
  readonly clusters: Clusters;
  readonly names: Names;
  readonly own: OwnAddresses;
  /** The service port that all of it comes to; null = what applications call. */
  readonly inbound: InboundPort | null;
  /** Answers carry `Connection: close`; nothing new is accepted. */
  draining: boolean;
  readonly admission: Admission;
  /** Requests between accept and record. */
  inFlight: number;
  /** Things to cut off when the drain deadline passes: tunnels. */
  readonly tunnels: Set<{ close(): void }>;
}
