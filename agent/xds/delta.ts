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
import { present, type Refusals, refuseAgain } from "./response.ts";
import type { Held, SessionEvent, SessionReducer, Step } from "./session.ts";
import {
  type Generation,
  type Request,
  RESOURCE_TYPES,
  type ResourceType,
  typeOfUrl,
  typeUrlOf,
} from "./types.ts";

interface TypeState {
  readonly wanted: readonly string[];
  /** Whether this stream asked for the type. */
  readonly asked: boolean;
  /** Names subscribed on this stream. */
  readonly subscribed: readonly string[];
  /** Responses without a verdict. */
  readonly pending: readonly { readonly nonce: string; readonly version: string }[];
  readonly refusals: Refusals | undefined;
}

export interface DeltaState {
  readonly generation: Generation;
  readonly open: boolean;
  readonly nodeSent: boolean;
  readonly types: Readonly<Record<ResourceType, TypeState>>;
}

const FRESH: TypeState = { wanted: [], asked: false, subscribed: [], pending: [], refusals: undefined };

export const delta: SessionReducer<DeltaState> = {
  begin({ generation }) {
    return {
      generation,
      open: false,
      nodeSent: false,
      types: { CDS: FRESH, EDS: FRESH, LDS: FRESH, RDS: FRESH },
    };
  },

  open(state, held) {
    const reset = (type: ResourceType): TypeState => ({ ...FRESH, wanted: state.types[type].wanted });
    const turn = new Turn({
      ...state,
      open: true,
      nodeSent: false,
      types: { CDS: reset("CDS"), EDS: reset("EDS"), LDS: reset("LDS"), RDS: reset("RDS") },
    });
    for (const type of RESOURCE_TYPES) turn.ask(type, held[type]);
    return turn.step();
  },

  receive(state, envelope) {
    const { version, nonce, typeUrl, removed } = envelope;
    const type = typeOfUrl(typeUrl);
    const ignored = (reason: string): Step<DeltaState> => ({
      state,
      send: [],
      events: [{ kind: "ignored", typeUrl, reason }],
    });
    if (type === undefined || typeUrlOf(state.generation, type) !== typeUrl) {
      return ignored("this agent knows no such type");
    }
    if (!state.types[type].asked) return ignored("it was not asked for on this stream");
    const turn = new Turn(state);
    turn.change(type, { pending: [...state.types[type].pending, { nonce, version }] });
    const resources = present(envelope.resources);
    turn.events.push({ kind: "apply", type, version, nonce, resources, removed, complete: false });
    return turn.step();
  },

  judge(state, type, nonce, verdict) {
    const turn = new Turn(state);
    turn.judge(type, nonce, verdict.ok ? undefined : verdict.error);
    return turn.step();
  },

  watch(state, type, names) {
    const turn = new Turn(state);
    turn.change(type, { wanted: names });
    turn.ask(type);
    return turn.step();
  },
};

/** One step being worked out. */
class Turn {
  #state: DeltaState;
  readonly send: Request[] = [];
  readonly events: SessionEvent[] = [];

  constructor(state: DeltaState) {
    this.#state = state;
  }

  step(): Step<DeltaState> {
    return { state: this.#state, send: this.send, events: this.events };
  }

  change(type: ResourceType, change: Partial<TypeState>): void {
    const { types } = this.#state;
    this.#state = { ...this.#state, types: { ...types, [type]: { ...types[type], ...change } } };
  }

  /** The first request of a type on this stream, or a change of its names. */
  ask(type: ResourceType, held?: Held): void {
    if (!this.#state.open) return;
    const { asked, wanted, subscribed } = this.#state.types[type];
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

  judge(type: ResourceType, nonce: string, error: string | undefined): void {
    const { pending, refusals } = this.#state.types[type];
    const response = pending.find((candidate) => candidate.nonce === nonce);
    // Of an earlier stream: that server waits for nothing any more.
    if (response === undefined) return;
    this.change(type, { pending: pending.filter((candidate) => candidate !== response) });
    if (error === undefined) {
      this.change(type, { refusals: undefined });
      // With an empty nonce it would be a request of its own.
      if (nonce !== "") this.#put(type, { nonce });
      return;
    }
    const again = refuseAgain(refusals, response.version, error);
    this.change(type, { refusals: again });
    if (again.silent) {
      this.events.push({
        kind: "ignored",
        typeUrl: typeUrlOf(this.#state.generation, type),
        reason: again.reason,
      });
    } else if (nonce !== "") {
      this.#put(type, { nonce, error });
    }
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
    const withNode = !this.#state.nodeSent;
    const empty = { nonce: "", subscribe: [], unsubscribe: [], initialVersions: {} };
    this.send.push({ kind: "delta", type, withNode, ...empty, ...rest });
    this.#state = { ...this.#state, nodeSent: true };
  }
}

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
