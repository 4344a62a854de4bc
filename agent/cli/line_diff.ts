/**
 * What changed between two short texts, by lines: the longest common subsequence, without context.
 *
 * @example
 * ```ts
 * import { lineDiff } from "./line_diff.ts";
 * lineDiff("a\nb\n", "a\nc\n"); // ["- b", "+ c"]
 * ```
 */

/** `- ` lines of the old text, `+ ` lines of the new one, in order. Takes time and memory by the product of their lengths. */
export function lineDiff(before: string, after: string): string[] {
  const [old, fresh] = [before, after].map((text) => text.replace(/\n$/, "").split("\n")) as [
    string[],
    string[],
  ];
  // common[i][j]: of old[i..] and fresh[j..].
  const common = Array.from({ length: old.length + 1 }, () => new Uint32Array(fresh.length + 1));
  const at = (i: number, j: number) => common[i]?.[j] ?? 0;
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = fresh.length - 1; j >= 0; j--) {
      (common[i] as Uint32Array)[j] = old[i] === fresh[j]
        ? at(i + 1, j + 1) + 1
        : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: string[] = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < fresh.length) {
    if (i < old.length && j < fresh.length && old[i] === fresh[j]) [i, j] = [i + 1, j + 1];
    else if (i < old.length && (j === fresh.length || at(i + 1, j) >= at(i, j + 1))) {
      lines.push(`- ${old[i++]}`);
    } else lines.push(`+ ${fresh[j++]}`);
  }
  return lines;
}
