/** Header lines on their way from one side to the other: surviving ones are copied byte for byte, operations add and remove. */
import { applyHeaderOps, type FormatContext } from "../route/headers.ts";
import type { HeaderOps } from "../route/types.ts";
import { type ByteWriter, latin1OfUtf8 } from "../wire/http1/byte_writer.ts";
import { CONTENT_LENGTH, HOP_BY_HOP, type MessageHead, REMOVED } from "../wire/http1/head.ts";

export interface Field {
  readonly name: string;
  readonly key: string;
  readonly value: string;
}

/** These frame or address the message: no rule may change them as headers. */
const FIXED: ReadonlySet<string> = new Set(["host", "content-length", "transfer-encoding", "connection"]);

/** For `copyLines`, of answers without a body. */
export const HOP_BY_HOP_AND_LENGTH: Uint8Array = (() => {
  const drop = HOP_BY_HOP.slice();
  drop[CONTENT_LENGTH] = 1;
  return drop;
})();

/** Runs header operations over the lines of `head` (removed ones are marked) and the fields added so far. */
export function runOps(
  ops: HeaderOps,
  head: MessageHead | null,
  fields: Field[],
  context: FormatContext,
): void {
  const has = (name: string): boolean => {
    for (let i = 0; head !== null && i < head.count; i++) {
      if (head.kinds[i] !== REMOVED && head.nameAt(i).toLowerCase() === name) return true;
    }
    return fields.some((field) => field.name === name);
  };
  const remove = (name: string): void => {
    if (FIXED.has(name)) return;
    head?.mark(name, REMOVED);
    for (let i = fields.length - 1; i >= 0; i--) if (fields[i]!.name === name) fields.splice(i, 1);
  };
  const add = (name: string, key: string, value: string): void => {
    if (FIXED.has(name) || /[\r\n\0]/.test(value)) return;
    // Heads are written a byte per character: a wider one would lose its high bits and could become a line end.
    fields.push({ name, key, value: /[^\0-\xff]/.test(value) ? latin1OfUtf8(value) : value });
  };
  applyHeaderOps(ops, {
    has,
    remove,
    set(name, key, value) {
      remove(name);
      add(name, key, value);
    },
    add,
  }, context);
}

/** Copies the lines whose kind is not in `drop`, runs of neighbours in one go. Line `skip` is left out (-1: none). */
export function copyLines(head: MessageHead, out: ByteWriter, drop: Uint8Array, skip: number): void {
  const { buf, kinds, spans, count } = head;
  let runStart = -1;
  for (let i = 0; i < count; i++) {
    if (drop[kinds[i]!] === 1 || i === skip) {
      if (runStart >= 0) out.span(buf, runStart, spans[4 * i]!);
      runStart = -1;
    } else if (runStart < 0) {
      runStart = spans[4 * i]!;
    }
  }
  if (runStart >= 0) out.span(buf, runStart, head.end - 2);
}

export function writeFields(out: ByteWriter, fields: readonly Field[]): void {
  for (const { key, value } of fields) out.line(key, value);
}
