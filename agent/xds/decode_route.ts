/** RouteConfiguration of every generation -> the model. */
import type { Origin } from "../core/diagnostics.ts";
import type { RouteConfiguration } from "../model/model.ts";
import type { Schema } from "../../protos/schema.ts";
import type { RawResource, RouteDecoding } from "./types.ts";

export function decodeRouteConfiguration(
  schema: Schema,
  raw: RawResource,
  _origin: Origin,
  _previous?: RouteConfiguration,
): RouteDecoding {
  const message = schema.decode("RouteConfiguration", raw.bytes);
  return {
    step: () => false,
    result: () => ({ value: { name: message.name, virtualHosts: [] }, notes: [] }),
  };
}
