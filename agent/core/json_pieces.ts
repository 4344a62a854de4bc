/**
 * JSON text of what is too large to be written in one go: lists inside may be {@link Lazy}, and their items are made and written
 * one by one, so that whoever reads slowly holds nothing up and nothing is whole in memory.
 *
 * In: a value. Out: pieces of the text that `JSON.stringify(value, null, 2)` would give.
 *
 * @example
 * ```ts
 * import { jsonPieces, Lazy } from "./json_pieces.ts";
 * [...jsonPieces({ clusters: new Lazy(clusters.values()) })].join("");
 * ```
 */

/** A list of which each item is made when it is its turn. Read once. */
export class Lazy {
  constructor(readonly items: Iterable<unknown>) {}
}

export function jsonPieces(value: unknown): Generator<string> {
  return pieces(value, "");
}

function* pieces(value: unknown, indent: string): Generator<string> {
  const inner = indent + "  ";
  if (value instanceof Lazy) {
    let separator = "[\n";
    for (const item of value.items) {
      yield separator + inner;
      yield* pieces(item, inner);
      separator = ",\n";
    }
    yield separator === "[\n" ? "[]" : `\n${indent}]`;
  } else if (!holdsLazy(value)) {
    yield (JSON.stringify(value, null, 2) ?? "null").replaceAll("\n", `\n${indent}`);
  } else if (Array.isArray(value)) {
    yield* pieces(new Lazy(value), indent);
  } else {
    let separator = "{\n";
    for (const [key, each] of Object.entries(value as object)) {
      if (each === undefined) continue;
      yield `${separator}${inner}${JSON.stringify(key)}: `;
      yield* pieces(each, inner);
      separator = ",\n";
    }
    yield `\n${indent}}`;
  }
}

function holdsLazy(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (value instanceof Lazy) return true;
  return Object.values(value).some(holdsLazy);
}
