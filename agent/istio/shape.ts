/**
 * The walker that holds a YAML value against the table of schema.ts: unknown fields, wrong types, wrong enum words.
 *
 * In: a value, a type, the path. Out: the value in proto-JSON form (lowerCamel keys, numbers as numbers, enum names; the same
 * object when nothing had to change), with bad fields left out and a remark for each.
 */
import { parseDuration } from "../core/duration.ts";
import { nearest } from "../core/suggest.ts";
import { looksBoolean, type YamlValue } from "../core/yaml.ts";
import { type At, quote, type Remarks } from "./remark.ts";
import { type FieldType, lowerCamel, type Message, MESSAGES, ONE_OF } from "./schema.ts";

type YamlMap = { readonly [key: string]: YamlValue };

// Maps, because field names come from outside: `constructor` is no field.
const TABLES: ReadonlyMap<string, ReadonlyMap<string, FieldType>> = new Map(
  Object.entries(MESSAGES).map((
    [name, fields]: [string, Message],
  ) => [name, new Map(Object.entries(fields))]),
);

export interface WalkResult {
  readonly remarks: Remarks;
  /** Texts that are no text to Kubernetes unless they are quoted in the source. */
  readonly suspects: { readonly at: At; readonly value: string }[];
  /** Remarks that show a number, which the source may write otherwise (`1.0`). */
  readonly numbers: { readonly index: number; readonly at: At; readonly shown: string }[];
}

/** Undefined when the value is no such thing; a remark says why. */
export function walk(value: YamlValue, type: FieldType, at: At, out: WalkResult): YamlValue | undefined {
  if (typeof type === "string") {
    switch (type) {
      case "string":
        if (typeof value === "string") {
          if (looksBoolean(value)) out.suspects.push({ at, value });
          return value;
        }
        return mistyped(out, at, value, typeof value === "object" ? "text" : "text; put it in quotes");
      case "int32":
        return integer(value, -2147483648, 2147483647, at, out);
      case "uint32":
        return integer(value, 0, 4294967295, at, out);
      case "double": {
        const number = numberOf(value);
        return number === undefined ? mistyped(out, at, value, "a number") : number;
      }
      case "bool":
        if (typeof value === "boolean") return value;
        return mistyped(out, at, value, "true or false");
      case "duration":
        if (typeof value === "string" && parseDuration(value) !== undefined) return value;
        return mistyped(out, at, value, 'a duration such as "1.5s", "250ms" or "1m"');
      case "bytes":
        if (typeof value === "string" && /^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) return value;
        return mistyped(out, at, value, "bytes in base64");
    }
  }
  if ("message" in type) {
    if (type.orNumber === true && numberOf(value) !== undefined) return numberOf(value);
    return walkMessage(value, type.message, at, out);
  }
  if ("list" in type) return walkList(value, type.list, at, out);
  if ("map" in type) return walkMap(value, type.map, at, out);
  return enumWord(value, type.enum, at, out);
}

function walkMessage(value: YamlValue, name: string, at: At, out: WalkResult): YamlValue | undefined {
  if (!isMap(value)) return mistyped(out, at, value, `a map with the fields of ${name}`);
  const fields = TABLES.get(name) as ReadonlyMap<string, FieldType>;
  let copy: Record<string, YamlValue> | undefined;
  const keys = Object.keys(value);
  for (const written of keys) {
    const child = value[written] as YamlValue;
    let key = written;
    let type = fields.get(key);
    if (type === undefined) {
      key = lowerCamel(written);
      type = fields.get(key);
      if (type !== undefined && Object.hasOwn(value, key)) {
        out.remarks.add("Y009", at.to(written), `Cannot read ${quote(written)}: ${quote(key)} is given too`, {
          key: true,
        });
        copy = without(copy ?? value, written);
        continue;
      }
    }
    if (type === undefined) {
      unknownField(written, name, fields.keys(), at, out);
      copy = without(copy ?? value, written);
      continue;
    }
    // Proto-JSON: null is the same as absent.
    const read = child === null ? undefined : walk(child, type, at.to(key), out);
    if (read === child && key === written) continue;
    if (copy === undefined || key !== written) copy = without(copy ?? value, written);
    if (read !== undefined) copy[key] = read;
    else delete copy[key];
  }
  const oneOf = ONE_OF[name];
  if (oneOf !== undefined && keys.length > 1) exclusive(copy ?? value, oneOf, at, out);
  return copy ?? value;
}

function exclusive(value: YamlMap, groups: readonly (readonly string[])[], at: At, out: WalkResult): void {
  for (const group of groups) {
    const given = group.filter((field) => Object.hasOwn(value, field));
    if (given.length < 2) continue;
    out.remarks.add(
      "Y009",
      at.to(given[1] as string),
      `Cannot read ${given.map(quote).join(" and ")} together: they exclude each other; give one`,
      { key: true },
    );
  }
}

function walkList(value: YamlValue, item: FieldType, at: At, out: WalkResult): YamlValue | undefined {
  if (!Array.isArray(value)) return mistyped(out, at, value as YamlValue, "a list");
  const items = value as readonly YamlValue[];
  const ofMessages = typeof item === "object" && "message" in item;
  let copy: YamlValue[] | undefined;
  for (let i = 0; i < items.length; i++) {
    const child = items[i] as YamlValue;
    // An empty entry of a list of messages is judged by validate, which knows the rule that it breaks.
    const read = child === null && ofMessages ? null : walk(child, item, at.to(i), out);
    if (read === child) copy?.push(child);
    else {
      copy ??= items.slice(0, i);
      // A bad entry stays as an empty one, so that the places of the others stay right.
      copy.push(read ?? (ofMessages ? {} : ""));
    }
  }
  return copy ?? items;
}

function walkMap(value: YamlValue, item: FieldType, at: At, out: WalkResult): YamlValue | undefined {
  if (!isMap(value)) return mistyped(out, at, value, "a map");
  const ofMessages = typeof item === "object" && "message" in item;
  let copy: Record<string, YamlValue> | undefined;
  for (const key of Object.keys(value)) {
    const child = value[key] as YamlValue;
    const read = child === null && ofMessages ? null : walk(child, item, at.to(key), out);
    if (read === child) continue;
    copy = without(copy ?? value, key);
    if (read !== undefined) copy[key] = read;
  }
  return copy ?? value;
}

function enumWord(
  value: YamlValue,
  words: readonly string[],
  at: At,
  out: WalkResult,
): YamlValue | undefined {
  if (typeof value === "string" && words.includes(value)) return value;
  if (typeof value === "number" && words[value] !== undefined) return words[value] as string;
  const near = typeof value === "string" ? nearest(value, words) : undefined;
  return mistyped(
    out,
    at,
    value,
    `one of ${words.join(", ")}${near === undefined ? "" : `; did you mean "${near}"?`}`,
  );
}

function integer(
  value: YamlValue,
  low: number,
  high: number,
  at: At,
  out: WalkResult,
): YamlValue | undefined {
  const number = numberOf(value);
  if (number !== undefined && Number.isInteger(number) && number >= low && number <= high) return number;
  return mistyped(out, at, value, low === 0 ? "a whole number of 0 or more" : "a whole number");
}

/** Proto-JSON takes numbers in quotes too. */
function numberOf(value: YamlValue): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value !== "string" || !/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(value)) return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

function unknownField(
  written: string,
  name: string,
  known: Iterable<string>,
  at: At,
  out: WalkResult,
): void {
  const near = nearest(lowerCamel(written), known);
  out.remarks.add(
    "Y003",
    at.to(written),
    `Cannot read field ${quote(written)}: ${name} has no such field` +
      (near === undefined ? "" : `; did you mean "${near}"?`),
    { key: true },
  );
}

function mistyped(out: WalkResult, at: At, value: YamlValue, wanted: string): undefined {
  const path = at.path();
  const field = path.findLast((part) => typeof part === "string");
  // Never a whole list or map: aliases can make a small text a huge value.
  const shown = typeof value === "object" ? "" : ` ${quote(value)}`;
  if (typeof value === "number") out.numbers.push({ index: out.remarks.list.length, at, shown });
  out.remarks.add("Y004", at, `Cannot read ${field}${shown}: it is ${kindOf(value)}; want ${wanted}`);
}

/** `a number`, `a list`, ... */
export function kindOf(value: YamlValue): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  switch (typeof value) {
    case "string":
      return "text";
    case "number":
      return "a number";
    case "boolean":
      return "a boolean";
    default:
      return "a map";
  }
}

export function isMap(value: YamlValue | undefined): value is YamlMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A plain object without one key; own keys such as `__proto__` stay data. */
function without(value: YamlMap, key: string): Record<string, YamlValue> {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
}
