/** A mistake in one request must not take the others down. */
import type { Log } from "../core/ports.ts";

/** Tells of promises that nobody handles, and goes on; returns what ends it. */
export function surviveRejections(log: Log): () => void {
  const survive = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    const { reason } = event;
    log.log("error", "a task failed; the agent goes on", {
      error: reason instanceof Error ? reason.stack ?? reason.message : String(reason),
    });
  };
  globalThis.addEventListener("unhandledrejection", survive);
  return () => globalThis.removeEventListener("unhandledrejection", survive);
}
