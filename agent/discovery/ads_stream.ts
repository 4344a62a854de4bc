/**
 * One ADS stream from its first request to its end: messages go to the session, what it wants applied goes to the intake, and
 * what it wants sent goes out. One response is taken in at a time, in the order of arrival; the others wait in the stream,
 * which holds the server back.
 *
 * In: an open {@link MessageStream} and a {@link Session}. Out: how it ended.
 *
 * @example
 * ```ts ignore
 * const end = await followStream(stream, { session, intake, store, codec, ... });
 * if (end.error === undefined) console.log("closed by the control plane");
 * ```
 */
import { MeshError } from "../core/errors.ts";
import type { Clock, MessageStream } from "../core/ports.ts";
import type {
  Held,
  NamedType,
  SessionEvent,
  SessionOptions,
  SessionReducer,
  Step,
  Verdict,
} from "../xds/session.ts";
import type { XdsStore } from "../xds/store.ts";
import {
  type Envelope,
  type Generation,
  type Node,
  RESOURCE_TYPES,
  type ResourceType,
  typeOfUrl,
  type XdsCodec,
} from "../xds/types.ts";
import type { StatusBoard } from "./ads_status.ts";
import type { Intake, Response } from "./intake.ts";
import type { Slices } from "./sliced.ts";

/** Without an answer for this long while types are missing, the source warns, ms. EDS of 500 services takes 0.8.0 7 s. */
export const SLOW_MS = 15_000;
/** Without any answer for this long the stream is given up, ms. */
export const SILENT_MS = 120_000;

/** A reducer with its state. */
export interface Session {
  open(held: Readonly<Partial<Record<ResourceType, Held>>>): Output;
  receive(envelope: Envelope): Output;
  judge(type: ResourceType, nonce: string, verdict: Verdict): Output;
  watch(type: NamedType, names: readonly string[]): Output;
}

type Output = Pick<Step<unknown>, "send" | "events">;

export function createSession<S>(reducer: SessionReducer<S>, options: SessionOptions): Session {
  let state = reducer.begin(options);
  const take = (step: Step<S>): Output => {
    state = step.state;
    return step;
  };
  return {
    open: (held) => take(reducer.open(state, held)),
    receive: (envelope) => take(reducer.receive(state, envelope)),
    judge: (type, nonce, verdict) => take(reducer.judge(state, type, nonce, verdict)),
    watch: (type, names) => take(reducer.watch(state, type, names)),
  };
}

export interface StreamContext {
  readonly generation: Generation;
  readonly delta: boolean;
  /** As written in the settings. */
  readonly address: string;
  readonly session: Session;
  readonly intake: Intake;
  readonly store: XdsStore;
  readonly codec: XdsCodec;
  /** Those of the intake. */
  readonly slices: Slices;
  readonly node: Node;
  readonly board: StatusBoard;
  readonly clock: Clock;
  /** Names are subscribed again after each publication: what was waited for may have come. */
  readonly onPublished: (told: () => void) => () => void;
  /** Every type that is asked for has answered on this stream and the first program is published. */
  readonly onSynced: () => void;
  /** No answer for {@link SLOW_MS} (true); answers again (false). */
  readonly onSlow: (slow: boolean) => void;
  readonly onRefused: (type: ResourceType, version: string, text: string) => void;
  readonly onIgnored: (typeUrl: string, reason: string) => void;
}

export interface StreamEnd {
  readonly synced: boolean;
  /** Absent = the server ended it with OK, or it was closed here. */
  readonly error?: unknown;
}

/** Runs until the stream is over; never rejects. */
export async function followStream(stream: MessageStream, context: StreamContext): Promise<StreamEnd> {
  const { board, clock, codec, intake, session, slices, store } = context;
  const answered = new Set<ResourceType>();
  let synced = false;
  let slow = false;
  let busy = false;
  let cancelWatch: (() => void) | undefined;
  let silent: MeshError | undefined;

  const emit = ({ send }: Output): void => {
    for (const request of send) {
      board.sent(request.type);
      stream.send(codec.encodeRequest(context.generation, request, context.node));
    }
  };
  const watched: { EDS?: readonly string[]; RDS?: readonly string[] } = {};
  const subscribe = (): void => {
    for (const type of ["EDS", "RDS"] as const) {
      const names = store.wanted(type);
      if (names === watched[type]) continue;
      watched[type] = names;
      emit(session.watch(type, names));
    }
  };
  const asked = (type: ResourceType): boolean => {
    if (type === "CDS" || type === "LDS") return true;
    // In delta a control plane that compares versions sends nothing of what is held; what is not keeps the store waiting.
    return !context.delta && store.wanted(type).length > 0;
  };
  const watchSilence = (): void => {
    cancelWatch?.();
    if (synced) return;
    cancelWatch = clock.after(SLOW_MS, () => {
      slow = true;
      context.onSlow(true);
      if (answered.size > 0) return;
      cancelWatch = clock.after(SILENT_MS - SLOW_MS, () => {
        silent = new MeshError(
          "D209",
          `Cannot get rules from "${context.address}": no answer for ${SILENT_MS / 1000} s; want a first one`,
        );
        stream.close();
      });
    });
  };
  const complete = (): boolean => RESOURCE_TYPES.every((type) => answered.has(type) || !asked(type));
  const noteProgress = (): void => {
    if (slow) context.onSlow(false);
    slow = false;
    if (!synced && intake.published && complete()) {
      synced = true;
      cancelWatch?.();
      board.at("synced");
      context.onSynced();
    }
    watchSilence();
  };

  const takeIn = async (event: Response, waiting: () => boolean): Promise<void> => {
    busy = true;
    const verdict = await intake.take(event, waiting);
    busy = false;
    answered.add(event.type);
    if (verdict.ok) board.accepted(event.type, event.version);
    else {
      board.refused(event.type, event.version, verdict.error);
      context.onRefused(event.type, event.version, verdict.error);
    }
    const output = session.judge(event.type, event.nonce, verdict);
    emit(output);
    subscribe();
    await handle(output.events, waiting);
  };
  const handle = async (events: readonly SessionEvent[], waiting: () => boolean): Promise<void> => {
    for (const event of events) {
      if (event.kind === "apply") await takeIn(event, waiting);
      else context.onIgnored(event.typeUrl, event.reason);
    }
  };

  const stopListening = context.onPublished(() => {
    // The response at hand is answered first; what follows from it is subscribed then.
    if (busy) return;
    subscribe();
    noteProgress();
  });
  try {
    board.at("first sync");
    watchSilence();
    emit(session.open(heldBy(intake, context.delta)));
    subscribe();
    const messages = readAhead(stream.messages);
    for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
      const message = next.value;
      slices.begin();
      const reading = codec.readResponse(message, context.delta);
      while (reading.step()) if (slices.spent()) await slices.rest();
      const envelope = reading.result();
      const type = typeOfUrl(envelope.typeUrl);
      if (type !== undefined) board.received(type, envelope.nonce, message.length);
      const output = session.receive(envelope);
      emit(output);
      await handle(output.events, messages.waiting);
      // Synced means in force, too.
      if (!synced && complete()) await intake.publish();
      noteProgress();
    }
    return silent === undefined ? { synced } : { synced, error: silent };
  } catch (error) {
    return { synced, error };
  } finally {
    cancelWatch?.();
    stopListening();
    if (slow) context.onSlow(false);
    stream.close();
    // What was taken in and waited for a next response.
    await intake.publish();
  }
}

function heldBy(intake: Intake, delta: boolean): Partial<Record<ResourceType, Held>> {
  const held: Partial<Record<ResourceType, Held>> = {};
  if (delta) { for (const type of RESOURCE_TYPES) held[type] = { versions: intake.versions(type) }; }
  return held;
}

/** Asks for one message more than is worked on, so that it is known whether there is one. */
function readAhead(messages: AsyncIterable<Uint8Array>): {
  next(): Promise<IteratorResult<Uint8Array>>;
  waiting: () => boolean;
} {
  const iterator = messages[Symbol.asyncIterator]();
  let there = false;
  const pull = (): Promise<IteratorResult<Uint8Array>> => {
    there = false;
    const result = iterator.next();
    result.then(({ done }) => there = done !== true, () => {});
    return result;
  };
  let pending = pull();
  return {
    async next() {
      const result = await pending;
      if (result.done !== true) pending = pull();
      return result;
    },
    waiting: () => there,
  };
}
