/**
 * "Did you mean": the nearest known word to an unknown one.
 *
 * @example
 * ```ts
 * import { didYouMean, nearest } from "./suggest.ts";
 * nearest("wieght", ["weight", "headers"]); // "weight"
 * didYouMean("wieght", ["weight", "headers"]); // 'did you mean "weight"?'
 * ```
 */

/** The candidate with the fewest edits (insert, delete, change, swap of neighbours), or undefined when none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase();
  // A third of the letters may differ: more is another word.
  let best = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  let found: string | undefined;
  for (const candidate of candidates) {
    const text = candidate.toLowerCase();
    if (text === wanted) return candidate;
    if (Math.abs(text.length - wanted.length) >= best) continue;
    const distance = editDistance(wanted, text);
    if (distance < best) [best, found] = [distance, candidate];
  }
  return found;
}

/** `did you mean "weight"?`, or an empty text. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const found = nearest(word, candidates);
  return found === undefined ? "" : `did you mean "${found}"?`;
}

/** Optimal string alignment distance. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(
        (previous[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (previous[j - 1] as number) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (before[j - 2] as number) + 1);
      }
      row.push(cost);
    }
    [before, previous] = [previous, row];
  }
  return previous[b.length] as number;
}
