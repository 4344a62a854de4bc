/** The signals that an agent knows. */

export interface SignalHandlers {
  /** SIGTERM and SIGINT. */
  end(): void;
  /** SIGHUP. */
  hangUp(): void;
  /** SIGUSR1. */
  report(): void;
}

/** Listens; returns what ends it. */
export function onSignals({ end, hangUp, report }: SignalHandlers): () => void {
  const pairs = [["SIGTERM", end], ["SIGINT", end], ["SIGHUP", hangUp], ["SIGUSR1", report]] as const;
  for (const [signal, handler] of pairs) Deno.addSignalListener(signal, handler);
  return () => {
    for (const [signal, handler] of pairs) Deno.removeSignalListener(signal, handler);
  };
}
