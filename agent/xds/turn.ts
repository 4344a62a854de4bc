/**
 * What both protocols of ADS share: types of their own each, one verdict a response, requests and events that a step gathers.
 *
 * In: a state, and what happened. Out: a {@link Step}. delta.ts and sotw.ts say when a type is asked for, and in which words.
 */
import { present, type Refusals, refuseAgain } from "./response.ts";
import type { Held, SessionEvent, SessionReducer, Step, Verdict } from "./session.ts";
import {
  type Envelope,
  type Generation,
  type Request,
  RESOURCE_TYPES,
  type ResourceType,
  typeOfUrl,
  typeUrlOf,
} from "./types.ts";

export interface PendingResponse {
  readonly nonce: string;
  readonly version: string;
}

export interface TypeState {
  /** Names wanted; empty for CDS and LDS, which are always whole. */
  readonly wanted: readonly string[];
  /** Whether this stream asked for the type. */
  readonly asked: boolean;
  /** Responses without a verdict, oldest first. */
  readonly pending: readonly PendingResponse[];
  readonly refusals: Refusals | undefined;
}

export const FRESH: TypeState = { wanted: [], asked: false, pending: [], refusals: undefined };

export interface SessionState<T extends TypeState> {
  readonly generation: Generation;
  readonly open: boolean;
  readonly nodeSent: boolean;
  readonly types: Readonly<Record<ResourceType, T>>;
}

/** One step being worked out. */
export abstract class Turn<T extends TypeState, S extends SessionState<T>> {
  protected state: S;
  protected readonly send: Request[] = [];
  protected readonly events: SessionEvent[] = [];

  constructor(state: S) {
    this.state = state;
  }

  step(): Step<S> {
    return { state: this.state, send: this.send, events: this.events };
  }

  /** The first request of a type on this stream, or what its names have changed to. */
  abstract ask(type: ResourceType, held?: Held): void;

  want(type: ResourceType, names: readonly string[]): void {
    this.change(type, { wanted: names });
    this.ask(type);
  }

  receive({ version, nonce, typeUrl, resources, removed }: Envelope): void {
    const type = typeOfUrl(typeUrl);
    if (type === undefined || typeUrlOf(this.state.generation, type) !== typeUrl) {
      return this.#ignore(typeUrl, "this agent knows no such type");
    }
    const { asked, pending } = this.state.types[type];
    if (!asked) return this.#ignore(typeUrl, "it was not asked for on this stream");
    this.change(type, { pending: [...pending, { nonce, version }] });
    const complete = this.received(type, { nonce, version });
    this.events.push({
      kind: "apply",
      type,
      version,
      nonce,
      resources: present(resources),
      removed,
      complete,
    });
  }

  judge(type: ResourceType, nonce: string, verdict: Verdict): void {
    const { pending, refusals } = this.state.types[type];
    const response = pending.find((candidate) => candidate.nonce === nonce);
    // Of an earlier stream: that server waits for nothing any more.
    if (response === undefined) return;
    this.change(type, { pending: pending.filter((candidate) => candidate !== response) });
    if (verdict.ok) {
      this.change(type, { refusals: undefined });
      return this.accepted(type, response);
    }
    const again = refuseAgain(refusals, response.version, verdict.error);
    this.change(type, { refusals: again });
    if (again.silent) this.#ignore(typeUrlOf(this.state.generation, type), again.reason);
    this.refused(type, response, verdict.error, again.silent);
  }

  /** Gives whether resources that the response does not hold are gone. */
  protected abstract received(type: ResourceType, response: PendingResponse): boolean;
  protected abstract accepted(type: ResourceType, response: PendingResponse): void;
  /** `silent`: the same was refused just now, and is not said again. */
  protected abstract refused(
    type: ResourceType,
    response: PendingResponse,
    error: string,
    silent: boolean,
  ): void;

  protected change(type: ResourceType, change: Partial<T> | Partial<TypeState>): void {
    const { types } = this.state;
    this.state = { ...this.state, types: { ...types, [type]: { ...types[type], ...change } } };
  }

  #ignore(typeUrl: string, reason: string): void {
    this.events.push({ kind: "ignored", typeUrl, reason });
  }
}

export interface Protocol<T extends TypeState, S extends SessionState<T>> {
  begin(generation: Generation): S;
  /** The state of a new stream: what outlives the one before. */
  reopen(state: S): S;
  turn(state: S): Turn<T, S>;
}

export function reducerOf<T extends TypeState, S extends SessionState<T>>(
  { begin, reopen, turn: turnOf }: Protocol<T, S>,
): SessionReducer<S> {
  const stepOf = (state: S, take: (turn: Turn<T, S>) => void): Step<S> => {
    const turn = turnOf(state);
    take(turn);
    return turn.step();
  };
  return {
    begin: ({ generation }) => begin(generation),
    open: (state, held) =>
      stepOf(reopen(state), (turn) => {
        for (const type of RESOURCE_TYPES) turn.ask(type, held[type]);
      }),
    receive: (state, envelope) => stepOf(state, (turn) => turn.receive(envelope)),
    judge: (state, type, nonce, verdict) => stepOf(state, (turn) => turn.judge(type, nonce, verdict)),
    watch: (state, type, names) => stepOf(state, (turn) => turn.want(type, names)),
  };
}

/** The same for each type. */
export function eachType<T>(of: (type: ResourceType) => T): Readonly<Record<ResourceType, T>> {
  return { CDS: of("CDS"), EDS: of("EDS"), LDS: of("LDS"), RDS: of("RDS") };
}
