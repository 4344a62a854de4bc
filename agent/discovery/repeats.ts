/** What was told already: a log says the same thing about the same subject once, and again after a while. */
import type { Clock } from "../core/ports.ts";

/** The same text is told again after this long, ms. */
export const REPEAT_MS = 300_000;
/** Subjects remembered; beyond, all are forgotten. */
const MAX_SUBJECTS = 1_000;

export interface RepeatFilter {
  /** True when this was not told about the subject lately. */
  fresh(subject: string, text: string): boolean;
  forget(): void;
}

export function createRepeatFilter(clock: Pick<Clock, "monotonic">): RepeatFilter {
  const told = new Map<string, { readonly text: string; readonly atMs: number }>();
  return {
    fresh(subject, text) {
      const before = told.get(subject);
      const nowMs = clock.monotonic();
      if (before?.text === text && nowMs - before.atMs < REPEAT_MS) return false;
      if (told.size >= MAX_SUBJECTS) told.clear();
      told.set(subject, { text, atMs: nowMs });
      return true;
    },
    forget: () => told.clear(),
  };
}
