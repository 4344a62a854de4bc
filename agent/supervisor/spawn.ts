/** Real workers: the runtime's, with the rights of a scope. */
import { MeshError } from "../core/errors.ts";
import { BOUND_VARIABLE } from "../core/variables.ts";
import { isFair } from "../net/read_gate.ts";
import type { AgentConfig } from "../settings/types.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import type { Scope } from "./scope.ts";
import type { WorkerLink } from "./supervise.ts";

/** Entry point of the worker. A bundle has it elsewhere (scripts/bundle.ts). */
export const WORKER: URL = new URL("./worker.ts", import.meta.url);

/** The same, prepared; only where this script is prepared itself. */
const PREPARED_WORKER = (import.meta as { readonly prepared?: true }).prepared === true
  ? new URL("./prepared_worker.ts", import.meta.url)
  : undefined;

/**
 * A prepared worker has what xDS over the agent's own HTTP/2 needs: each byte of it is held in memory (in the program's, in V8's and as
 * byte code), also by those who need another part.
 */
export function workerFor(
  { discovery, serviceDiscovery, proxy, inbound }: AgentConfig,
): URL {
  const fits = /^pilotv[23]$/.test(serviceDiscovery.type) && discovery.transport === "native" &&
    proxy.engine === "native" && inbound === undefined;
  return fits && PREPARED_WORKER || WORKER;
}

/** I/O events per turn of the worker's runtime; below 128 connections share it fairly (net/read_gate.ts). */
const FAIR_EVENTS = "64";

/**
 * Starts a worker that may do what `scope` says and nothing else. Throws MeshError N112 when this process itself may not do so
 * much, or its runtime has no such workers.
 */
export function spawnWorker(
  scope: Scope,
  start: ToWorker & { type: "start" },
  hear: (message: FromWorker) => void,
  { worker: url = workerFor(start.config), sealed = false }: {
    readonly worker?: URL | undefined;
    readonly sealed?: boolean | undefined;
  } = {},
): WorkerLink {
  boundEvents();
  let worker: Worker;
  try {
    worker = new Worker(url, {
      type: "module",
      name: "mesh-agent",
      deno: {
        permissions: {
          ...scope.runtime,
          // The runtime does not see that a range is within itself.
          ...(sealed ? { net: "inherit" } : {}),
          // An empty list is no right, said as the runtime wants it.
          write: scope.runtime.write.length > 0 && scope.runtime.write,
          import: false,
          run: false,
          ffi: false,
          sys: false,
        },
      },
    } as WorkerOptions);
  } catch (error) {
    const state = error instanceof Error ? error.message : String(error);
    throw new MeshError("N112", `Cannot isolate the agent: ${state}`, { cause: error });
  }
  worker.addEventListener("message", (event) => hear(event.data as FromWorker));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    hear({ type: "died", reason: event.message });
  });
  worker.addEventListener(
    "messageerror",
    () => hear({ type: "died", reason: "it sent what cannot be read" }),
  );
  worker.postMessage(start);
  return { post: (message) => worker.postMessage(message), terminate: () => worker.terminate() };
}

/** A worker's runtime reads the variable when it is made; one from outside that is fair stays. */
function boundEvents(): void {
  try {
    if (!isFair(Number(Deno.env.get(BOUND_VARIABLE) ?? NaN))) Deno.env.set(BOUND_VARIABLE, FAIR_EVENTS);
  } catch {
    // Without the right to it the agent takes its own gate.
  }
}
