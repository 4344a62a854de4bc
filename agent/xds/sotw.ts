/**
 * State-of-the-world ADS as a pure reducer, for v2 (Pilot 0.8 to istiod 1.10) and v3.
 *
 * stream opened, responses, verdicts, names wanted -> requests to send, events for the driver (see session.ts).
 *
 * Rules kept here: one ACK or NACK a response, with its nonce; nonces by type and stream; every ACK carries the names
 * wanted now, so a change that the server ignored because its nonce had become stale is said again; names in a NACK are
 * taken over by nobody, so a change follows it as a request of its own; no EDS or RDS request without names, ever (old
 * Pilots answer it for ever): when nothing is wanted any more, the last names stay subscribed.
 *
 * @example
 * ```ts ignore
 * let { state, send } = sotw.open(sotw.begin({ generation: "v2" }), {});
 * ({ state, send } = sotw.watch(state, "EDS", ["outbound|80||a"]));
 * ```
 */
import {
  comparesNamesByCount,
  detour,
  nodeInEveryRequest,
  safeNames,
  type Temper,
  temperOf,
} from "./quirks.ts";
import { present, type Refusals, refuseAgain } from "./response.ts";
import type { NamedType, SessionEvent, SessionReducer, Step } from "./session.ts";
import {
  type Generation,
  type Request,
  RESOURCE_TYPES,
  type ResourceType,
  typeOfUrl,
  typeUrlOf,
} from "./types.ts";

interface Pending {
  readonly nonce: string;
  readonly version: string;
}

interface TypeState {
  /** Last accepted version; outlives the stream. */
  readonly version: string;
  /** Names wanted; empty for CDS and LDS, which are always whole. */
  readonly wanted: readonly string[];
  /** Whether this stream asked for the type. */
  readonly asked: boolean;
  /** Names in the last request of this stream that was no NACK. */
  readonly sent: readonly string[];
  /** Of the newest response on this stream. */
  readonly nonce: string;
  /** Responses without a verdict, oldest first. */
  readonly pending: readonly Pending[];
  /**
   * Names changed on this stream. Whether the server took a change is never known for sure: a push of its may have crossed
   * the request and made its nonce stale. Each ACK says the names again, and a NACK is followed by a request that does.
   */
  readonly changed: boolean;
  readonly refusals: Refusals | undefined;
}

export interface SotwState {
  readonly generation: Generation;
  readonly open: boolean;
  readonly nodeSent: boolean;
  readonly temper: Temper;
  readonly types: Readonly<Record<ResourceType, TypeState>>;
}

const FRESH: TypeState = {
  version: "",
  wanted: [],
  asked: false,
  sent: [],
  nonce: "",
  pending: [],
  changed: false,
  refusals: undefined,
};

export const sotw: SessionReducer<SotwState> = {
  begin({ generation }) {
    return {
      generation,
      open: false,
      nodeSent: false,
      temper: "unknown",
      types: { CDS: FRESH, EDS: FRESH, LDS: FRESH, RDS: FRESH },
    };
  },

  open(state) {
    const reset = (type: ResourceType): TypeState => {
      const { version, wanted } = state.types[type];
      return { ...FRESH, version, wanted };
    };
    const turn = new Turn({
      ...state,
      open: true,
      nodeSent: false,
      temper: "unknown",
      types: { CDS: reset("CDS"), EDS: reset("EDS"), LDS: reset("LDS"), RDS: reset("RDS") },
    });
    for (const type of RESOURCE_TYPES) turn.ask(type);
    return turn.step();
  },

  receive(state, envelope) {
    const { version, nonce, typeUrl } = envelope;
    const type = typeOfUrl(typeUrl);
    const ignored = (reason: string): Step<SotwState> => ({
      state,
      send: [],
      events: [{ kind: "ignored", typeUrl, reason }],
    });
    if (type === undefined || typeUrlOf(state.generation, type) !== typeUrl) {
      return ignored("this agent knows no such type");
    }
    if (!state.types[type].asked) return ignored("it was not asked for on this stream");
    const turn = new Turn(state);
    turn.change(type, { nonce, pending: [...state.types[type].pending, { nonce, version }] });
    turn.learn(version);
    const resources = present(envelope.resources);
    turn.events.push({
      kind: "apply",
      type,
      version,
      nonce,
      resources,
      removed: [],
      complete: type === "CDS" || type === "LDS",
    });
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
  #state: SotwState;
  readonly send: Request[] = [];
  readonly events: SessionEvent[] = [];

  constructor(state: SotwState) {
    this.#state = state;
  }

  step(): Step<SotwState> {
    return { state: this.#state, send: this.send, events: this.events };
  }

  change(type: ResourceType, change: Partial<TypeState>): void {
    const { types } = this.#state;
    this.#state = { ...this.#state, types: { ...types, [type]: { ...types[type], ...change } } };
  }

  /** Learns from a version which server this is; names that had to wait for that are asked for now. */
  learn(version: string): void {
    const temper = temperOf(version);
    if (temper === "unknown" || temper === this.#state.temper) return;
    this.#state = { ...this.#state, temper };
    this.ask("RDS");
  }

  /** The first request of a type on this stream, or one for changed names. */
  ask(type: ResourceType): void {
    if (!this.#state.open) return;
    const { asked, pending, sent } = this.#state.types[type];
    if (type === "CDS" || type === "LDS") {
      if (!asked) this.#request(type, []);
      return;
    }
    const names = this.#names(type);
    if (names.length === 0 || (asked && equal(names, sent))) return;
    // A response waits for its verdict: the ACK will carry the names. A request before it would count as its ACK.
    if (pending.length > 0) return;
    this.#requestNames(type, names);
  }

  judge(type: ResourceType, nonce: string, error: string | undefined): void {
    const { pending, version, refusals } = this.#state.types[type];
    const at = pending.findIndex((response) => response.nonce === nonce);
    // Of an earlier stream: that server waits for nothing any more.
    if (at < 0) return;
    const response = pending[at] as Pending;
    this.change(type, { pending: pending.filter((_, i) => i !== at) });
    if (error === undefined) {
      this.change(type, { version: response.version, refusals: undefined });
      if (nonce !== "") this.#acknowledge(type, nonce);
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
      this.#put(type, this.#state.types[type].sent, { version, nonce, error });
    }
    const { changed, nonce: newest, sent } = this.#state.types[type];
    // The verdict on a newer response will say them.
    if (type === "CDS" || type === "LDS" || nonce !== newest) return;
    const names = this.#names(type);
    // Names that the server may have are no reason to answer what keeps coming.
    const mayLack = !equal(names, sent) || (changed && !again.silent);
    if (names.length > 0 && mayLack) this.#requestNames(type, names);
  }

  #acknowledge(type: ResourceType, nonce: string): void {
    if (type === "CDS" || type === "LDS") return this.#request(type, [], nonce);
    const names = this.#names(type);
    this.#requestNames(type, names.length === 0 ? this.#state.types[type].sent : names, nonce);
  }

  /** The names that may be asked of this server. */
  #names(type: NamedType): readonly string[] {
    const { generation, temper, types } = this.#state;
    return safeNames(generation, temper, type, types[type].wanted);
  }

  /** A request for these names, with a detour before it where the server would not see the change. */
  #requestNames(type: NamedType, names: readonly string[], nonce = this.#state.types[type].nonce): void {
    const { generation, temper } = this.#state;
    const { asked, sent } = this.#state.types[type];
    if (
      asked && sent.length === names.length && !equal(sent, names) &&
      comparesNamesByCount(generation, temper, type)
    ) {
      this.#request(type, detour(sent, names), nonce);
    }
    this.#request(type, names, nonce);
  }

  #request(type: ResourceType, names: readonly string[], nonce = this.#state.types[type].nonce): void {
    const { version, asked, changed, sent } = this.#state.types[type];
    this.#put(type, names, { version, nonce });
    this.change(type, { asked: true, sent: names, changed: changed || (asked && !equal(names, sent)) });
  }

  #put(
    type: ResourceType,
    names: readonly string[],
    rest: { version: string; nonce: string; error?: string },
  ): void {
    const withNode = !this.#state.nodeSent || nodeInEveryRequest(this.#state.generation);
    this.send.push({ kind: "sotw", type, withNode, names, ...rest });
    this.#state = { ...this.#state, nodeSent: true };
  }
}

function equal(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((name, i) => name === b[i]));
}
