/** Listener of every generation -> the model. */
import type { Origin } from "../core/diagnostics.ts";
import type { Listener } from "../model/model.ts";
import type { Schema } from "../../protos/schema.ts";
import type { DecodeResult, RawResource } from "./types.ts";

export function decodeListener(schema: Schema, raw: RawResource, origin: Origin): DecodeResult<Listener> {
  const message = schema.decode("Listener", raw.bytes);
  return { value: { name: message.name, address: "", port: 0, filterChains: [], origin }, notes: [] };
}
