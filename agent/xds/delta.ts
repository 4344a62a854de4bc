/**
 * Incremental ADS (v3) as a pure reducer.
 *
 * stream opened, responses, verdicts, names wanted -> requests to send, events for the driver (see session.ts).
 *
 * Rules kept here: one ACK or NACK a response, carrying its nonce and nothing else (istiod drops what else is in a NACK or a
 * late ACK); names change in requests of their own, with an empty nonce; CDS and LDS are asked for without names, which means
 * all; a new stream names what is held in initial_resource_versions and repeats the names, because istiod takes a first
 * request without names for "all", in EDS and RDS too.
 *
 * @example
 * ```ts ignore
 * let { state, send } = delta.open(delta.begin({ generation: "v3" }), {});
 * ({ state, send } = delta.watch(state, "RDS", ["8084", "http_proxy"]));
 * ```
 */
import type { Held } from "./session.ts";
import {
  eachType,
  FRESH,
  type PendingResponse,
  reducerOf,
  type SessionState,
  Turn,
  type TypeState,
} from "./turn.ts";
import type { ResourceType } from "./types.ts";

interface DeltaTypeState extends TypeState {
  /** Names subscribed on this stream. */
  readonly subscribed: readonly string[];
}

export type DeltaState = SessionState<DeltaTypeState>;

class DeltaTurn extends Turn<DeltaTypeState, DeltaState> {
  ask(type: ResourceType, held?: Held): void {
    if (!this.state.open) return;
    const { asked, wanted, subscribed } = this.state.types[type];
    const whole = type === "CDS" || type === "LDS";
    if (!asked) {
      if (!whole && wanted.length === 0) return;
      this.change(type, { asked: true, subscribed: wanted });
      this.#put(type, { subscribe: wanted, initialVersions: versionsOf(held, whole ? undefined : wanted) });
      return;
    }
    const [before, now] = [new Set(subscribed), new Set(wanted)];
    const subscribe = wanted.filter((name) => !before.has(name));
    const unsubscribe = subscribed.filter((name) => !now.has(name));
    if (subscribe.length + unsubscribe.length === 0) return;
    this.change(type, { subscribed: wanted });
    this.#put(type, { subscribe, unsubscribe });
  }

  protected received(): boolean {
    return false;
  }

  protected accepted(type: ResourceType, { nonce }: PendingResponse): void {
    // With an empty nonce it would be a request of its own.
    if (nonce !== "") this.#put(type, { nonce });
  }

  protected refused(type: ResourceType, { nonce }: PendingResponse, error: string, silent: boolean): void {
    if (!silent && nonce !== "") this.#put(type, { nonce, error });
  }

  #put(
    type: ResourceType,
    rest: {
      nonce?: string;
      error?: string;
      subscribe?: readonly string[];
      unsubscribe?: readonly string[];
      initialVersions?: Readonly<Record<string, string>>;
    },
  ): void {
    const withNode = !this.state.nodeSent;
    const empty = { nonce: "", subscribe: [], unsubscribe: [], initialVersions: {} };
    this.send.push({ kind: "delta", type, withNode, ...empty, ...rest });
    this.state = { ...this.state, nodeSent: true };
  }
}

export const delta = reducerOf<DeltaTypeState, DeltaState>({
  begin: (generation) => ({
    generation,
    open: false,
    nodeSent: false,
    types: eachType(() => ({ ...FRESH, subscribed: [] })),
  }),
  reopen: (state) => ({
    ...state,
    open: true,
    nodeSent: false,
    types: eachType((type) => ({ ...FRESH, subscribed: [], wanted: state.types[type].wanted })),
  }),
  turn: (state) => new DeltaTurn(state),
});

/** Of the names given only: names in initial_resource_versions count as subscribed. */
function versionsOf(
  held: Held | undefined,
  only: readonly string[] | undefined,
): Readonly<Record<string, string>> {
  const versions = held?.versions ?? {};
  if (only === undefined) return versions;
  const wanted = new Set(only);
  return Object.fromEntries(Object.entries(versions).filter(([name]) => wanted.has(name)));
}
