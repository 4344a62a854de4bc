/**
 * Which of several control planes is asked. They are written in the order of preference:
 *
 * - a failed try goes on to the next one; after the last, the round is over and the next one begins with the first;
 * - when a stream that had synced ends, however it ends, the first one is tried first again (istiod ends streams about every
 *   30 minutes, so this alone brings the agents back);
 * - while another than the first is in use, the first is tried by a connection of its own every {@link RETURN_MS}; when it
 *   could be reached twice running, the stream moves there. So a control plane that comes and goes is not returned to.
 */
import type { Clock } from "../core/ports.ts";
import type { ControlPlaneAddress } from "../settings/types.ts";

/** Between two looks at the preferred control plane, ms. */
export const RETURN_MS = 60_000;
/** So many good looks running bring the stream back. */
export const RETURN_AFTER = 2;

export interface AddressOrder {
  readonly current: ControlPlaneAddress;
  /** Undefined when the first is in use. */
  readonly preferred: ControlPlaneAddress | undefined;
  /** After a failure. False when it ended the round. */
  advance(): boolean;
  restart(): void;
}

export function createAddressOrder(addresses: readonly ControlPlaneAddress[]): AddressOrder {
  let at = 0;
  return {
    get current() {
      return addresses[at] as ControlPlaneAddress;
    },
    get preferred() {
      return at === 0 ? undefined : addresses[0];
    },
    advance() {
      at = (at + 1) % addresses.length;
      return at !== 0;
    },
    restart() {
      at = 0;
    },
  };
}

/**
 * Looks at the preferred control plane from time to time until it was good {@link RETURN_AFTER} times running. `look` rejects
 * when it cannot be reached. Returns the function that ends it.
 */
export function watchForReturn(
  clock: Pick<Clock, "after">,
  { look, goBack }: { readonly look: (signal: AbortSignal) => Promise<void>; readonly goBack: () => void },
): () => void {
  const ended = new AbortController();
  let good = 0;
  let cancel: (() => void) | undefined;
  const later = (): void => {
    cancel = clock.after(RETURN_MS, async () => {
      good = await look(ended.signal).then(() => good + 1, () => 0);
      if (ended.signal.aborted) return;
      if (good < RETURN_AFTER) later();
      else goBack();
    });
  };
  later();
  return () => {
    ended.abort();
    cancel?.();
  };
}
