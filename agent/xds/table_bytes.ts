/** The bytes of a large table, looked at without decoding them: where its members lie. */
import { MeshError } from "../core/errors.ts";
import type { Schema } from "../../protos/schema.ts";
import { skip } from "./wire_fields.ts";

/** Members of one repeated field of a message, and the message without them. */
export interface SplitMessage {
  /** Begin and end of each member, in pairs. */
  readonly spans: readonly number[];
  /** Bytes of all other fields. */
  readonly rest: Uint8Array;
}

/** Throws MeshError D211 when the bytes are no message. */
export function splitMessage(schema: Schema, bytes: Uint8Array, field: number): SplitMessage {
  const spans: number[] = [];
  const others: Uint8Array[] = [];
  try {
    const reader = schema.reader(bytes);
    while (reader.pos < reader.len) {
      const start = reader.pos;
      const tag = reader.tag();
      if (tag >>> 3 !== field) {
        skip(reader, tag);
        others.push(bytes.subarray(start, reader.pos));
        continue;
      }
      const outer = reader.enter();
      spans.push(reader.pos, reader.len);
      reader.pos = reader.len;
      reader.leave(outer);
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MeshError("D211", `Cannot decode RouteConfiguration: ${reason}`, { side: "upstream", cause });
  }
  return { spans, rest: joined(others) };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
