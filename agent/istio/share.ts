/** Structural sharing: what a recompilation made anew but equal gives way to the object that was there. */

/** Deep equality of plain data. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!isSame(a[i], b[i])) return false;
    return true;
  }
  if (Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  for (const key of keys) {
    if (!Object.hasOwn(b, key)) return false;
    if (!isSame((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key])) return false;
  }
  return true;
}

/** `before` when both are equal, else `now`. */
export function share<T>(before: T | undefined, now: T): T {
  return before !== undefined && isSame(before, now) ? before : now;
}

/** Members equal to one of `before` with the same key give way to it; the whole list to `before` when all do in order. */
export function shareList<T>(
  before: readonly T[] | undefined,
  now: readonly T[],
  keyOf: (item: T, index: number) => unknown,
): readonly T[] {
  if (before === undefined || before === now) return now;
  const known = new Map<unknown, T>();
  for (const [i, item] of before.entries()) known.set(keyOf(item, i), item);
  const shared = now.map((item, i) => share(known.get(keyOf(item, i)), item));
  return shared.length === before.length && shared.every((item, i) => item === before[i]) ? before : shared;
}
