/** What the supervisor and the worker with the agent say to each other. Everything here structured-clones. */
import type { Code } from "../core/codes.ts";
import type { StreamAddress } from "../core/ports.ts";
import type { Readiness } from "../admin/readiness.ts";
import type { ScopeReport } from "../admin/sync.ts";
import type { LogOptions } from "../net/log.ts";
import type { AgentConfig } from "../settings/types.ts";

/** What the agent is given to hold itself to its rights; the runtime has its own list besides. */
export interface WorkerScope {
  /** Where it may connect to, entries of net_entry.ts. */
  readonly net: readonly string[];
  /** What a path that it reads must lead to, after all links. */
  readonly roots: readonly string[];
  readonly report: ScopeReport;
}

export type ToWorker =
  | {
    readonly type: "start";
    readonly config: AgentConfig;
    readonly log: Pick<LogOptions, "level" | "format">;
    readonly scope: WorkerScope;
  }
  /** SIGHUP. Without settings only the rules are read again. `restart`: rights that only a restart gives or takes. */
  | { readonly type: "reload"; readonly config?: AgentConfig; readonly restart: readonly string[] }
  /** SIGTERM. */
  | { readonly type: "drain" }
  /** SIGUSR1: the status into the log. */
  | { readonly type: "report" }
  | { readonly type: "ping" };

export interface Listening {
  readonly http: StreamAddress;
  readonly grpc: StreamAddress | null;
  readonly admin: StreamAddress | null;
  readonly tcp: readonly StreamAddress[];
  /** Service ports of the settings. */
  readonly inbound: readonly StreamAddress[];
}

export type FromWorker =
  | { readonly type: "started"; readonly listening: Listening }
  /** It could not start, as a MeshError says. */
  | { readonly type: "refused"; readonly code: Code; readonly message: string; readonly hint: string }
  /** It is of no use any more. */
  | { readonly type: "died"; readonly reason: string }
  | { readonly type: "drained" }
  | { readonly type: "readiness"; readonly readiness: Readiness }
  /** What `reload` asked for is done. */
  | { readonly type: "reloaded" }
  /** It was asked to end the process (POST /quitquitquit). */
  | { readonly type: "quit" }
  | { readonly type: "pong" };
