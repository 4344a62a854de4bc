/** The messages against protobufjs, the reference in these tests: the same bytes, whole and damaged, mean the same. */
import assert from "node:assert/strict";
import fc from "fast-check";
import protobuf from "protobufjs";
import { createMessages, type Descriptor, type MessageType } from "./messages.ts";
import descriptor from "./xds_descriptor.json" with { type: "json" };

protobuf.util.Long = null as never;
protobuf.configure();
const root = protobuf.Root.fromJSON(descriptor as never);
root.resolveAll();
const nested = descriptor.nested.xds.nested as unknown as Record<string, Descriptor>;
const messages = createMessages(nested);

const names: string[] = [];
const walk = (children: Record<string, Descriptor>, prefix: string): void => {
  for (const [name, child] of Object.entries(children)) {
    if (child.values === undefined) names.push(prefix + name);
    walk(child.nested as Record<string, Descriptor> ?? {}, `${prefix}${name}.`);
  }
};
walk(nested, "");

/** A value of a type: some of its fields, of a oneof one. */
function valueOf(type: MessageType, depth: number): fc.Arbitrary<Record<string, unknown>> {
  const fields = type.fields.filter(({ scalar }) => depth > 0 || scalar !== undefined);
  return fc.subarray([...fields]).chain((chosen) => {
    const seen = new Set<string>();
    const values: Record<string, fc.Arbitrary<unknown>> = {};
    for (const field of chosen) {
      if (field.oneof !== undefined && seen.has(field.oneof.name)) continue;
      if (field.oneof !== undefined) seen.add(field.oneof.name);
      const one: fc.Arbitrary<unknown> = field.scalar === undefined
        ? valueOf(field.message as MessageType, depth - 1)
        : SCALARS[field.scalar];
      const key = fc.oneof(fc.string({ unit: "binary", maxLength: 5 }), fc.constant("__proto__"));
      values[field.name] = field.map
        ? fc.array(fc.tuple(key, one), { maxLength: 3 }).map((entries) => Object.fromEntries(entries))
        : field.repeated
        ? fc.array(one, { maxLength: 3 })
        : one;
    }
    return fc.record(values);
  });
}

const int64 = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });
const SCALARS = {
  string: fc.string({ unit: "binary", maxLength: 90 }),
  bytes: fc.uint8Array({ maxLength: 200 }),
  bool: fc.boolean(),
  int32: fc.integer(),
  uint32: fc.nat(0xffff_ffff),
  int64,
  uint64: fc.nat(Number.MAX_SAFE_INTEGER),
  double: fc.double({ noNaN: true }),
};

/** What both say of a message, field by field; thrown = "error". */
function told(type: MessageType, value: Record<string, unknown>): unknown {
  const said: Record<string, unknown> = {};
  const nestedOf = (field: MessageType["fields"][number], value: unknown) =>
    field.scalar === undefined && value !== null
      ? told(field.message as MessageType, value as Record<string, unknown>)
      : value instanceof Uint8Array
      ? [...value]
      : value;
  for (const field of type.fields) {
    const value_ = value[field.name];
    said[field.name] = field.map
      ? Object.entries(value_ as object).map(([key, each]) => [key, nestedOf(field, each)])
      : field.repeated
      ? (value_ as unknown[]).map((each) => nestedOf(field, each))
      : nestedOf(field, field.oneof !== undefined ? value_ ?? null : value_);
    if (field.oneof !== undefined) said[field.oneof.name] = value[field.oneof.name];
  }
  return said;
}

for (const name of names) {
  const peer = root.lookupType(`xds.${name}`);
  for (const field of peer.oneofsArray.flatMap(({ fieldsArray }) => fieldsArray)) {
    (peer.ctor.prototype as Record<string, unknown>)[field.name] = null;
  }
}

function both(name: string, bytes: Uint8Array): [unknown, unknown] {
  const type = messages.type(name);
  const peer = root.lookupType(`xds.${name}`);
  const attempt = (decode: () => unknown): unknown => {
    try {
      return told(type, decode() as Record<string, unknown>);
    } catch {
      return "error";
    }
  };
  return [attempt(() => messages.decode(type, bytes)), attempt(() => peer.decode(bytes))];
}

Deno.test("messages: written as the peer writes them, and read as it reads them", () => {
  for (const name of names) {
    const type = messages.type(name);
    const peer = root.lookupType(`xds.${name}`);
    fc.assert(
      fc.property(valueOf(type, 2), (value) => {
        const bytes = messages.encode(type, value);
        const [own, theirs] = both(name, bytes);
        assert.notEqual(own, "error");
        assert.deepEqual(own, theirs);
        assert.deepEqual(both(name, peer.encode(value).finish())[0], own);
      }),
      { numRuns: 20, seed: 1 },
    );
  }
});

Deno.test("messages: what comes twice is one message, as for the peer", () => {
  for (const name of names) {
    const type = messages.type(name);
    fc.assert(
      fc.property(valueOf(type, 2), valueOf(type, 2), (first, second) => {
        const bytes = Uint8Array.of(...messages.encode(type, first), ...messages.encode(type, second));
        const [own, theirs] = both(name, bytes);
        assert.notEqual(own, "error");
        assert.deepEqual(own, theirs);
      }),
      { numRuns: 20, seed: 4 },
    );
  }
});

Deno.test("messages: a length of any size finds room", () => {
  const type = messages.type("Resource");
  const peer = root.lookupType("xds.Resource");
  for (let length = 0; length < 1200; length++) {
    const value = { version: "1", resource: { type_url: "a", value: new Uint8Array(length).fill(1) } };
    const [own, theirs] = [messages.encode(type, value), peer.encode(value).finish()];
    // The peer writes by number, this one as the schema lists.
    assert.equal(own.length, theirs.length);
    assert.deepEqual(...both("Resource", own));
    assert.deepEqual(both("Resource", own)[0], both("Resource", theirs)[0]);
  }
});

Deno.test("messages: damaged bytes are read, or refused, as by the peer", () => {
  for (const name of names) {
    const type = messages.type(name);
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 });
    fc.assert(
      fc.property(valueOf(type, 2), damage, fc.nat(), (value, changes, cut) => {
        const whole = messages.encode(type, value);
        const bytes = whole.slice(0, cut % 4 === 0 ? cut % (whole.length + 1) : whole.length);
        for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        assert.deepEqual(...both(name, bytes));
      }),
      { numRuns: 60, seed: 2 },
    );
  }
});

Deno.test("messages: any bytes are read, or refused, as by the peer", () => {
  for (const name of ["Value", "RouteMatch", "Cluster", "Int64Range", "RetryPolicy", "Metadata"]) {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => assert.deepEqual(...both(name, bytes))),
      { numRuns: 2000, seed: 3 },
    );
  }
});
