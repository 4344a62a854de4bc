/**
 * Messages by their descriptor: a table of fields for each, made when it is first used; a push of Pilot uses a third of them.
 * (protobufjs makes all of them, and machine code of each, in the first 40 ms of a start.)
 *
 * In: the descriptor in the JSON form of protobufjs, names in package `xds`. Out: plain objects, absent fields by their prototype.
 *
 * @example
 * ```ts
 * import { createMessages } from "./messages.ts";
 * const messages = createMessages({ A: { fields: { b: { type: "string", id: 1 } } } });
 * messages.encode(messages.type("A"), { b: "text" }); // 0a 04 74 65 78 74
 * ```
 */
import { DOUBLE_WIRE, LENGTH_DELIMITED, MAX_DEPTH, VARINT, WireReader, WireWriter } from "./wire.ts";

export interface FieldDescriptor {
  readonly type: string;
  readonly id: number;
  readonly rule?: "repeated" | string;
  readonly keyType?: "string" | string;
  readonly options?: Readonly<Record<string, unknown>>;
}

export interface Descriptor {
  readonly fields?: Readonly<Record<string, FieldDescriptor>>;
  readonly oneofs?: Readonly<Record<string, { readonly oneof: readonly string[] }>>;
  /** Of an enum. */
  readonly values?: Readonly<Record<string, number>>;
  readonly nested?: Readonly<Record<string, Descriptor>>;
}

/** How one value is read and written. */
type Scalar = "string" | "bytes" | "bool" | "int32" | "uint32" | "int64" | "uint64" | "double";

const WIRE_TYPES: Readonly<Record<Scalar, number>> = {
  string: LENGTH_DELIMITED,
  bytes: LENGTH_DELIMITED,
  bool: VARINT,
  int32: VARINT,
  uint32: VARINT,
  int64: VARINT,
  uint64: VARINT,
  double: DOUBLE_WIRE,
};

export interface EnumType {
  readonly values: Readonly<Record<string, number>>;
  readonly names: ReadonlyMap<number, string>;
}

export interface Oneof {
  readonly name: string;
  readonly members: readonly string[];
}

export interface Field {
  readonly name: string;
  readonly id: number;
  /** Undefined = a message. Enums are int32. */
  readonly scalar: Scalar | undefined;
  readonly wireType: number;
  readonly message: MessageType | undefined;
  readonly enum: EnumType | undefined;
  readonly repeated: boolean;
  /** Keys are strings. */
  readonly map: boolean;
  readonly oneof: Oneof | undefined;
  /** Another name in the JSON of v2. */
  readonly v2Name: string | undefined;
}

type Values = Record<string, unknown>;

export interface MessageType {
  readonly name: string;
  readonly fields: readonly Field[];
  /** One in which nothing is set. */
  create(): Values;
  readonly byNumber: readonly (Field | undefined)[];
}

export interface MessageSet {
  /** Throws for a name that is not in the descriptor. */
  type(name: string): MessageType;
  enum(name: string): EnumType;
  decode(type: MessageType, bytes: Uint8Array): Values;
  encode(type: MessageType, value: Readonly<Values>): Uint8Array;
}

const NO_LIST: readonly never[] = Object.freeze([]);
const NO_MAP: Readonly<Record<string, never>> = Object.freeze({});
const NO_BYTES = new Uint8Array(0);

/** `nested`: what is in the package. */
export function createMessages(nested: Readonly<Record<string, Descriptor>>): MessageSet {
  const descriptors = new Map<string, Descriptor>();
  const walk = (children: Readonly<Record<string, Descriptor>>, prefix: string): void => {
    for (const [name, child] of Object.entries(children)) {
      descriptors.set(prefix + name, child);
      if (child.nested !== undefined) walk(child.nested, `${prefix}${name}.`);
    }
  };
  walk(nested, "");

  const types = new Map<string, MessageType>();
  const enums = new Map<string, EnumType>();
  const descriptorOf = (name: string): Descriptor => {
    const descriptor = descriptors.get(name);
    if (descriptor === undefined) throw new Error(`no such type: ${name}`);
    return descriptor;
  };
  /** A name as `scope` sees it: its own, that of an outer one, a global one. */
  const fullName = (name: string, scope: string): string => {
    for (let outer = scope; outer !== ""; outer = outer.slice(0, Math.max(0, outer.lastIndexOf(".")))) {
      if (descriptors.has(`${outer}.${name}`)) return `${outer}.${name}`;
    }
    return name;
  };
  const type = (name: string): MessageType => {
    let known = types.get(name);
    if (known === undefined) types.set(name, known = messageType(name, descriptorOf(name)));
    return known;
  };
  const enumOf = (name: string): EnumType => {
    let known = enums.get(name);
    if (known === undefined) {
      const { values = {} } = descriptorOf(name);
      known = { values, names: new Map(Object.entries(values).map(([text, n]) => [n, text])) };
      enums.set(name, known);
    }
    return known;
  };
  const fieldOf = (scope: string, name: string, field: FieldDescriptor, oneof: Oneof | undefined): Field => {
    const isScalar = Object.hasOwn(WIRE_TYPES, field.type);
    const target = isScalar ? "" : fullName(field.type, scope);
    const isEnum = !isScalar && descriptorOf(target).values !== undefined;
    const scalar = isScalar ? field.type as Scalar : isEnum ? "int32" : undefined;
    const v2Name = field.options?.["(v2_name)"];
    let message: MessageType | undefined;
    return {
      name,
      id: field.id,
      scalar,
      wireType: scalar === undefined ? LENGTH_DELIMITED : WIRE_TYPES[scalar],
      // Made with the first message of it.
      get message() {
        return scalar === undefined ? message ??= type(target) : undefined;
      },
      enum: isEnum ? enumOf(target) : undefined,
      repeated: field.rule === "repeated",
      map: field.keyType !== undefined,
      oneof,
      v2Name: typeof v2Name === "string" ? v2Name : undefined,
    };
  };
  const messageType = (name: string, { fields = {}, oneofs = {} }: Descriptor): MessageType => {
    const oneofOf = new Map<string, Oneof>();
    for (const [name, { oneof: members }] of Object.entries(oneofs)) {
      for (const member of members) oneofOf.set(member, { name, members });
    }
    const list = Object.entries(fields).map(([field, descriptor]) =>
      fieldOf(name, field, descriptor, oneofOf.get(field))
    );
    const byNumber: (Field | undefined)[] = [];
    for (const field of list) byNumber[field.id] = field;
    const Message = class {};
    const defaults = Message.prototype as Values;
    for (const field of list) defaults[field.name] = defaultOf(field);
    return { name, fields: list, byNumber, create: () => new Message() as Values };
  };

  return {
    type,
    enum: enumOf,
    decode(type, bytes) {
      const reader = new WireReader(bytes);
      return readMessage(type, reader, 0, type.create());
    },
    encode(type, value) {
      const writer = new WireWriter();
      writeMessage(type, writer, value, 0);
      return writer.finish();
    },
  };
}

/** Members of a oneof read as null when absent, so that `prefix: ""` and no prefix differ. */
function defaultOf({ scalar, repeated, map, oneof }: Field): unknown {
  if (map) return NO_MAP;
  if (repeated) return NO_LIST;
  if (oneof !== undefined || scalar === undefined) return null;
  return scalar === "string" ? "" : scalar === "bytes" ? NO_BYTES : scalar === "bool" ? false : 0;
}

function readScalar(scalar: Scalar, r: WireReader): unknown {
  switch (scalar) {
    case "string":
      return r.string();
    case "bytes":
      return r.bytes();
    case "bool":
      return r.bool();
    case "uint32":
      return r.uint32();
    case "int32":
      return r.int32();
    case "int64":
      return r.int64();
    case "uint64":
      return r.uint64();
    case "double":
      return r.double();
  }
}

/** Until the end of the reader. */
function readMessage(type: MessageType, r: WireReader, depth: number, into: Values): Values {
  if (depth > MAX_DEPTH) throw new Error("max depth exceeded");
  const { byNumber } = type;
  while (r.pos < r.len) {
    const tag = r.tag();
    const wireType = tag & 7;
    const field = byNumber[tag >>> 3];
    if (field === undefined) r.skipType(wireType, depth, tag >>> 3);
    else if (wireType !== field.wireType) readOddly(field, wireType, r, depth, into);
    else if (field.map) readEntry(field, r, depth, into);
    else if (field.repeated) {
      listOf(field, into).push(
        field.scalar === undefined ? readNested(field, r, depth, undefined) : readScalar(field.scalar, r),
      );
    } else {
      const { name, oneof } = field;
      into[name] = field.scalar === undefined
        ? readNested(field, r, depth, into[name] as Values | null)
        : readScalar(field.scalar, r);
      if (oneof !== undefined) choose(oneof, name, into);
    }
  }
  return into;
}

/** Numbers in one piece; anything else is as good as an unknown field. */
function readOddly(field: Field, wireType: number, r: WireReader, depth: number, into: Values): void {
  if (!field.repeated || field.scalar === undefined || wireType !== LENGTH_DELIMITED) {
    return r.skipType(wireType, depth, field.id);
  }
  const outer = r.enter();
  const list = listOf(field, into);
  while (r.pos < r.len) list.push(readScalar(field.scalar, r));
  r.leave(outer);
}

function listOf({ name }: Field, into: Values): unknown[] {
  if (into[name] === NO_LIST) into[name] = [];
  return into[name] as unknown[];
}

/** `known`: what came before of the same field; they are one message. */
function readNested(field: Field, r: WireReader, depth: number, known: Values | null | undefined): Values {
  const type = field.message as MessageType;
  const outer = r.enter();
  const value = readMessage(type, r, depth + 1, known ?? type.create());
  r.leave(outer);
  return value;
}

function readEntry(field: Field, r: WireReader, depth: number, into: Values): void {
  const { name, scalar } = field;
  const outer = r.enter();
  let key = "";
  let value: unknown = scalar === undefined ? undefined : defaultOf({ ...field, map: false });
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag === (1 << 3 | LENGTH_DELIMITED)) key = r.string();
    else if (tag === (2 << 3 | WIRE_TYPES[scalar ?? "bytes"])) {
      value = scalar === undefined
        ? readNested(field, r, depth, value as Values | undefined)
        : readScalar(scalar, r);
    } else r.skipType(tag & 7, depth, tag >>> 3);
  }
  r.leave(outer);
  if (into[name] === NO_MAP) into[name] = {};
  value ??= field.message?.create();
  const map = into[name] as Values;
  if (key !== "__proto__") map[key] = value;
  else Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true });
}

/** The last member that comes is the one that is set. */
function choose({ name, members }: Oneof, member: string, into: Values): void {
  const before = into[name];
  if (before !== undefined && before !== member) {
    for (const other of members) if (other !== member) delete into[other];
  }
  into[name] = member;
}

function writeScalar(scalar: Scalar, w: WireWriter, value: unknown): void {
  switch (scalar) {
    case "string":
      return w.string(value as string);
    case "bytes":
      return w.bytes(value as Uint8Array);
    case "bool":
      return w.uint32(value === true ? 1 : 0);
    case "double":
      return w.double(value as number);
    case "uint32":
      return w.uint32(value as number);
    case "int32":
    case "int64":
    case "uint64":
      return w.int64(value as number);
  }
}

function writeMessage(type: MessageType, w: WireWriter, message: Readonly<Values>, depth: number): void {
  if (depth > MAX_DEPTH) throw new Error("max depth exceeded");
  for (const field of type.fields) {
    const value = Object.hasOwn(message, field.name) ? message[field.name] : undefined;
    if (value === undefined || value === null) continue;
    if (field.map) writeMap(field, w, value as Values, depth);
    else if (field.repeated) writeList(field, w, value as readonly unknown[], depth);
    else if (field.oneof !== undefined || field.scalar === undefined || !isDefault(value)) {
      writeValue(field, field.id, w, value, depth);
    }
  }
}

function isDefault(value: unknown): boolean {
  return value === "" || value === false || Object.is(value, 0) ||
    (value instanceof Uint8Array && value.length === 0);
}

function writeValue(field: Field, id: number, w: WireWriter, value: unknown, depth: number): void {
  w.uint32(id << 3 | field.wireType);
  if (field.scalar !== undefined) return writeScalar(field.scalar, w, value);
  w.delimited(() => writeMessage(field.message as MessageType, w, value as Values, depth + 1));
}

function writeList(field: Field, w: WireWriter, list: readonly unknown[], depth: number): void {
  const { scalar, wireType, id } = field;
  if (list.length === 0) return;
  if (scalar === undefined || wireType === LENGTH_DELIMITED) {
    for (const each of list) writeValue(field, id, w, each, depth);
    return;
  }
  w.uint32(id << 3 | LENGTH_DELIMITED);
  w.delimited(() => {
    for (const each of list) writeScalar(scalar, w, each);
  });
}

function writeMap(field: Field, w: WireWriter, map: Readonly<Values>, depth: number): void {
  for (const [key, value] of Object.entries(map)) {
    w.uint32(field.id << 3 | LENGTH_DELIMITED);
    w.delimited(() => {
      w.uint32(1 << 3 | LENGTH_DELIMITED);
      w.string(key);
      writeValue(field, 2, w, value, depth);
    });
  }
}
