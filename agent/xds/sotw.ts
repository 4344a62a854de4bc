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
import type { NamedType } from "./session.ts";
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

interface SotwTypeState extends TypeState {
  /** Last accepted version; outlives the stream. */
  readonly version: string;
  /** Names in the last request of this stream that was no NACK. */
  readonly sent: readonly string[];
  /** Of the newest response on this stream. */
  readonly nonce: string;
  /**
   * Names changed on this stream. Whether the server took a change is never known for sure: a push of its may have crossed
   * the request and made its nonce stale. Each ACK says the names again, and a NACK is followed by a request that does.
   */
  readonly changed: boolean;
}

export interface SotwState extends SessionState<SotwTypeState> {
  readonly temper: Temper;
}

const FRESH_SOTW: SotwTypeState = { ...FRESH, version: "", sent: [], nonce: "", changed: false };

class SotwTurn extends Turn<SotwTypeState, SotwState> {
  /** Learns from a version which server this is; names that had to wait for that are asked for now. */
  #learn(version: string): void {
    const temper = temperOf(version);
    if (temper === "unknown" || temper === this.state.temper) return;
    this.state = { ...this.state, temper };
    this.ask("RDS");
  }

  ask(type: ResourceType): void {
    if (!this.state.open) return;
    const { asked, pending, sent } = this.state.types[type];
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

  protected received(type: ResourceType, { nonce, version }: PendingResponse): boolean {
    this.change(type, { nonce });
    this.#learn(version);
    return type === "CDS" || type === "LDS";
  }

  protected accepted(type: ResourceType, { nonce, version }: PendingResponse): void {
    this.change(type, { version });
    if (nonce !== "") this.#acknowledge(type, nonce);
  }

  protected refused(type: ResourceType, { nonce }: PendingResponse, error: string, silent: boolean): void {
    const { version, changed, nonce: newest, sent } = this.state.types[type];
    if (!silent && nonce !== "") this.#put(type, sent, { version, nonce, error });
    // The verdict on a newer response will say them.
    if (type === "CDS" || type === "LDS" || nonce !== newest) return;
    const names = this.#names(type);
    // Names that the server may have are no reason to answer what keeps coming.
    const mayLack = !equal(names, sent) || (changed && !silent);
    if (names.length > 0 && mayLack) this.#requestNames(type, names);
  }

  #acknowledge(type: ResourceType, nonce: string): void {
    if (type === "CDS" || type === "LDS") return this.#request(type, [], nonce);
    const names = this.#names(type);
    this.#requestNames(type, names.length === 0 ? this.state.types[type].sent : names, nonce);
  }

  /** The names that may be asked of this server. */
  #names(type: NamedType): readonly string[] {
    const { generation, temper, types } = this.state;
    return safeNames(generation, temper, type, types[type].wanted);
  }

  /** A request for these names, with a detour before it where the server would not see the change. */
  #requestNames(type: NamedType, names: readonly string[], nonce = this.state.types[type].nonce): void {
    const { generation, temper } = this.state;
    const { asked, sent } = this.state.types[type];
    if (
      asked && sent.length === names.length && !equal(sent, names) &&
      comparesNamesByCount(generation, temper, type)
    ) {
      this.#request(type, detour(sent, names), nonce);
    }
    this.#request(type, names, nonce);
  }

  #request(type: ResourceType, names: readonly string[], nonce = this.state.types[type].nonce): void {
    const { version, asked, changed, sent } = this.state.types[type];
    this.#put(type, names, { version, nonce });
    this.change(type, { asked: true, sent: names, changed: changed || (asked && !equal(names, sent)) });
  }

  #put(
    type: ResourceType,
    names: readonly string[],
    rest: { version: string; nonce: string; error?: string },
  ): void {
    const withNode = !this.state.nodeSent || nodeInEveryRequest(this.state.generation);
    this.send.push({ kind: "sotw", type, withNode, names, ...rest });
    this.state = { ...this.state, nodeSent: true };
  }
}

export const sotw = reducerOf<SotwTypeState, SotwState>({
  begin: (generation) => ({
    generation,
    open: false,
    nodeSent: false,
    temper: "unknown",
    types: eachType(() => FRESH_SOTW),
  }),
  reopen: (state) => ({
    ...state,
    open: true,
    nodeSent: false,
    temper: "unknown",
    types: eachType((type) => {
      const { version, wanted } = state.types[type];
      return { ...FRESH_SOTW, version, wanted };
    }),
  }),
  turn: (state) => new SotwTurn(state),
});

function equal(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((name, i) => name === b[i]));
}
