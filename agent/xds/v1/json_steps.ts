/**
 * Long work in steps: a generator yields wherever it may be interrupted. The caller decides when to let waiting requests in
 * (discovery/sliced.ts); {@link finish} runs one to its end at once.
 *
 * {@link jsonSteps} parses JSON so. The answers of v1 are lists of thousands of small objects: each is parsed by itself, and
 * what is left of the text, with the objects' places marked, as a whole; so the outcome, and what counts as JSON, are those
 * of JSON.parse.
 *
 * @example
 * ```ts
 * import { finish, jsonSteps } from "./json_steps.ts";
 * const body = new TextEncoder().encode('{"hosts": [{"port": 80}]}');
 * finish(jsonSteps(body)); // { value: { hosts: [{ port: 80 }] } }
 * ```
 */

/** Yields where it may be interrupted. */
export type Steps<T> = Generator<void, T>;

export type ParsedJson = { readonly value: unknown } | undefined;

export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** Bodies up to this are parsed in one piece (about 0.2 ms), bytes. */
const SMALL_BYTES = 32 << 10;
/** A list longer than this without an object is no answer of v1: it is looked at in steps all the same, bytes. */
const STEP_BYTES = 32 << 10;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** The value, or undefined when the bytes are no JSON in UTF-8. */
export function* jsonSteps(body: Uint8Array): Steps<ParsedJson> {
  if (body.length <= SMALL_BYTES) return parse(body);
  const first = body.findIndex((byte) => byte > 0x20);
  if (body[first] !== OPEN_LIST && body[first] !== OPEN_OBJECT) return parse(body);
  // Elements stand in the outermost list, or in the lists that are members of the outermost object.
  const listDepth = body[first] === OPEN_LIST ? 1 : 2;
  const opened: number[] = [];
  const elements: unknown[] = [];
  const rest: Uint8Array[] = [];
  const encoder = new TextEncoder();
  let from = 0;
  let start = -1;
  let lookedAt = 0;
  for (let i = first; i < body.length; i++) {
    const byte = body[i];
    if (byte === QUOTE) {
      for (i++; i < body.length && body[i] !== QUOTE; i++) if (body[i] === BACKSLASH) i++;
    } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
      if (byte === OPEN_OBJECT && opened.length === listDepth && opened[listDepth - 1] === OPEN_LIST) {
        start = i;
      }
      opened.push(byte);
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
      opened.pop();
      if (start >= 0 && opened.length === listDepth) {
        const element = parse(body.subarray(start, i + 1));
        if (element === undefined) return undefined;
        // Only marked places are objects of these lists from now on.
        rest.push(body.subarray(from, start), encoder.encode(`{"":${elements.length}}`));
        elements.push(element.value);
        from = i + 1;
        start = -1;
        lookedAt = i;
        yield;
      }
    }
    if (i - lookedAt > STEP_BYTES) {
      lookedAt = i;
      yield;
    }
  }
  rest.push(body.subarray(from));
  const skeleton = parse(joined(rest));
  if (skeleton === undefined) return undefined;
  const { value } = skeleton;
  const lists = listDepth === 1 ? [value] : Object.values(value as Record<string, unknown>);
  for (const list of lists) {
    if (!Array.isArray(list)) continue;
    for (const [i, mark] of list.entries()) {
      if (typeof mark === "object" && mark !== null && !Array.isArray(mark)) list[i] = elements[mark[""]];
    }
  }
  return { value };
}

function parse(bytes: Uint8Array): ParsedJson {
  try {
    return { value: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) };
  } catch {
    return undefined;
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
