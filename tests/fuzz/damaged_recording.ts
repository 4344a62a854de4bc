/**
 * Recorded answers, damaged: which messages arrive, in which order and with which bytes, and where the stream ends.
 *
 * A {@link Recording} and hurts in; events out.
 */
import fc from "fast-check";
import { MeshError } from "../../agent/core/errors.ts";
import { RESOURCE_TYPES, type ResourceType, typeOfUrl, typeUrlOf } from "../../agent/xds/types.ts";
import type { Messages, Schema } from "../../protos/schema.ts";
import type { RecordedAnswer, Recording } from "../harness/recorded_plane.ts";

/** One hurt of a recorded stream; `at`, `inner`, `byte`: fractions of what there is to choose from. */
export interface Hurt {
  readonly kind:
    | "flip"
    | "flip in resource"
    | "cut"
    | "cut resource"
    | "twice"
    | "swap"
    | "drop"
    | "burst"
    | "lost stream"
    | "closed stream"
    | "unknown type"
    | "other type"
    | "wrong type inside"
    | "empty resource"
    | "bad value"
    | "wrong wrapper"
    | "same name twice";
  readonly at: number;
  readonly inner: number;
  readonly byte: number;
  readonly bit: number;
}

const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
export const hurt: fc.Arbitrary<Hurt> = fc.record({
  kind: fc.constantFrom<Hurt["kind"]>(
    "flip",
    "flip in resource",
    "flip in resource",
    "flip in resource",
    "cut",
    "cut resource",
    "twice",
    "swap",
    "drop",
    "burst",
    "lost stream",
    "closed stream",
    "unknown type",
    "other type",
    "wrong type inside",
    "empty resource",
    "bad value",
    "bad value",
    "wrong wrapper",
    "same name twice",
  ),
  at: fraction,
  inner: fraction,
  byte: fraction,
  bit: fc.nat(7),
});

/** What goes over the wire, or what becomes of the stream. */
export type Event =
  | {
    readonly kind: "message";
    bytes: Uint8Array;
    readonly original: RecordedAnswer;
    hurt: boolean;
    burst: boolean;
  }
  /** It never arrives, and the server believes that it did. */
  | { readonly kind: "dropped"; readonly original: RecordedAnswer }
  | { readonly kind: "end"; readonly error?: MeshError };

export function eventsOf(recording: Recording, hurts: readonly Hurt[]): Event[] {
  const { answers, steps } = recording;
  // Where there is one push, it is sent again: then there is a world to lose.
  const twice = steps.length > 1
    ? answers
    : [...answers, ...answers.map((answer) => again(recording, answer))];
  const events: Event[] = twice.map((original) => ({
    kind: "message",
    bytes: original.bytes,
    original,
    hurt: false,
    burst: false,
  }));
  for (const h of hurts) {
    const i = Math.floor(h.at * events.length);
    const event = events[i];
    if (event?.kind !== "message") continue;
    switch (h.kind) {
      case "twice":
        events.splice(i, 0, { ...event });
        break;
      case "drop":
        events.splice(i, 1, { kind: "dropped", original: event.original });
        break;
      case "swap":
        events.splice(i, 2, ...events.slice(i, i + 2).reverse());
        break;
      case "burst":
        event.burst = true;
        break;
      case "lost stream":
        events.splice(i, 0, { kind: "end", error: new MeshError("D209", "Cannot go on: connection reset") });
        break;
      case "closed stream":
        events.splice(i, 0, { kind: "end" });
        break;
      default:
        event.bytes = hurtMessage(recording, event.bytes, h);
        event.hurt = true;
    }
  }
  return events;
}

/** The same answer with another nonce. */
function again({ schema, delta }: Recording, answer: RecordedAnswer): RecordedAnswer {
  const name = delta ? "DeltaDiscoveryResponse" : "DiscoveryResponse";
  const nonce = `${answer.nonce} again`;
  return {
    ...answer,
    nonce,
    bytes: schema.encode(name, { ...schema.decode(name, answer.bytes), nonce } as never),
  };
}

const SOCKET = { socket_address: { address: "not an address", port_value: 99_999 } };
/** Fields that decode and cannot be used; appended to a resource they replace what it had, or stand beside it. */
const BAD_VALUES: Readonly<Record<ResourceType, (schema: Schema) => Uint8Array>> = {
  CDS: (schema) => schema.encode("Cluster", { connect_timeout: { seconds: -1 } }),
  EDS: (schema) =>
    schema.encode("ClusterLoadAssignment", {
      endpoints: [{ lb_endpoints: [{ endpoint: { address: SOCKET } }] }],
    }),
  LDS: (schema) => schema.encode("Listener", { address: SOCKET }),
  RDS: (schema) => schema.encode("RouteConfiguration", { vhost_header: "x-host" }),
};

/** A copy of the bytes with one bit flipped, or cut. */
function hurtBytes(bytes: Uint8Array, { kind, byte, bit }: Hurt): Uint8Array {
  const at = Math.floor(byte * bytes.length);
  if (kind.startsWith("cut")) return bytes.slice(0, at);
  const copy = Uint8Array.from(bytes);
  if (at < copy.length) copy[at]! ^= 1 << bit;
  return copy;
}

function hurtMessage({ schema, generation, delta }: Recording, bytes: Uint8Array, h: Hurt): Uint8Array {
  if (h.kind === "flip" || h.kind === "cut") return hurtBytes(bytes, h);
  const name = delta ? "DeltaDiscoveryResponse" : "DiscoveryResponse";
  let response: Messages["DiscoveryResponse"] | Messages["DeltaDiscoveryResponse"];
  try {
    response = schema.decode(name, bytes);
  } catch {
    // Hurt beyond that already.
    return hurtBytes(bytes, h);
  }
  const others = RESOURCE_TYPES.map((type) => typeUrlOf(generation, type)).filter((url) =>
    url !== response.type_url
  );
  const other = others[Math.floor(h.byte * others.length)] as string;
  if (h.kind === "unknown type" || h.kind === "other type") {
    const typeUrl = h.kind === "other type"
      ? other
      : "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
    return schema.encode(name, { ...response, type_url: typeUrl } as never);
  }
  const items = [...response.resources];
  const i = Math.floor(h.inner * items.length);
  const item = items[i];
  const any = item === undefined ? null : "resource" in item ? item.resource : item;
  if (item === undefined || any === null) return hurtBytes(bytes, h);
  const type = typeOfUrl(any.type_url);
  const changed = h.kind === "wrong type inside"
    ? { ...any, type_url: other }
    : h.kind === "empty resource"
    ? { ...any, value: new Uint8Array() }
    : h.kind === "bad value" && type !== undefined
    ? { ...any, value: Uint8Array.from([...any.value, ...BAD_VALUES[type](schema)]) }
    : h.kind === "wrong wrapper" && "resource" in item
    ? any
    : { ...any, value: hurtBytes(any.value, h) };
  if (h.kind === "same name twice") items.push(item);
  else if (!("resource" in item)) items[i] = changed;
  else {items[i] = {
      ...item,
      resource: changed,
      ...(h.kind === "wrong wrapper" ? { name: `${item.name}.other` } : {}),
    };}
  return schema.encode(name, { ...response, resources: items } as never);
}
