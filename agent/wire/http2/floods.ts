/**
 * Bounds on frames that cost the receiver work and the sender nothing (RFC 9113 section 10.5; CVE-2019-9511 to 9518, CVE-2023-44487
 * rapid reset, CVE-2024-27316 CONTINUATION, CVE-2025-8671 resets made by us). Each kind has a budget that fills up with time and with honest
 * work; a peer that overdraws it is told ENHANCE_YOUR_CALM.
 */
import * as problem from "./problems.ts";

/** Streams that end before their answer, by the peer's RST_STREAM or by an error of the peer's. */
export const RESET = 0;
export const PING = 1;
export const SETTINGS = 2;
/** Frames without content that end nothing. */
export const EMPTY = 3;
export const WINDOW_UPDATE = 4;
/** PRIORITY, PRIORITY_UPDATE and unknown types. */
export const IGNORED = 5;
/** Frames of streams that are over. */
export const CLOSED = 6;

interface Budget {
  readonly most: number;
  readonly perSecond: number;
  readonly problem: number;
}

const BUDGETS: readonly Budget[] = [
  { most: 1000, perSecond: 33, problem: problem.RESET_FLOOD },
  { most: 300, perSecond: 30, problem: problem.PING_FLOOD },
  { most: 100, perSecond: 10, problem: problem.SETTINGS_FLOOD },
  { most: 100, perSecond: 10, problem: problem.EMPTY_FLOOD },
  { most: 1000, perSecond: 100, problem: problem.WINDOW_FLOOD },
  { most: 1000, perSecond: 100, problem: problem.PRIORITY_FLOOD },
  { most: 2000, perSecond: 200, problem: problem.CLOSED_FLOOD },
];

const REFILL_MS = 100;

export class Floods {
  /** What is left of each budget; null while none was touched. */
  #left: Float64Array | null = null;
  #at = 0;

  /** Monotonic ms. */
  passTime(nowMs: number): void {
    if (this.#left === null) {
      this.#at = nowMs;
      return;
    }
    const elapsed = nowMs - this.#at;
    if (elapsed < REFILL_MS) return;
    this.#at = nowMs;
    for (let kind = 0; kind < BUDGETS.length; kind++) {
      this.earn(kind, BUDGETS[kind]!.perSecond * elapsed / 1000);
    }
  }

  /** Honest work of the peer's. */
  earn(kind: number, amount: number): void {
    const left = this.#left;
    if (left === null) return;
    const most = BUDGETS[kind]!.most;
    const sum = left[kind]! + amount;
    left[kind] = sum > most ? most : sum;
  }

  /** One more of that kind; 0, or the problem when there were too many. */
  spend(kind: number): number {
    const left = this.#left ??= Float64Array.from(BUDGETS, (b) => b.most);
    return --left[kind]! < 0 ? BUDGETS[kind]!.problem : 0;
  }

  /** Forgets a past that makes no difference any more. */
  fold(): void {
    if (this.#left?.every((left, kind) => left === BUDGETS[kind]!.most)) this.#left = null;
  }
}
