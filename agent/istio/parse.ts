/**
 * Rule files -> rule documents: splits, reads the YAML, knows the kinds and Lists, holds each object against the schema.
 *
 * In: a file's name and text. Out: the objects that are sound in shape, those that are damaged (with the bad fields left out:
 * for judging the rest, never for routing), and diagnostics. Values are judged later, by validate.ts.
 *
 * @example
 * ```ts
 * import { parseRules } from "./parse.ts";
 * const { documents, diagnostics } = parseRules("vs.yaml", text, { namespace: "default" });
 * ```
 */
import { type Diagnostic, diagnostic, type Origin } from "../core/diagnostics.ts";
import { nearest } from "../core/suggest.ts";
import {
  isBareBoolean,
  parseYaml,
  type PathPart,
  sourceText,
  splitDocuments,
  type YamlDocument,
  type YamlValue,
} from "../core/yaml.ts";
import { At, type Place, placeRemark, quote, type Remark, Remarks } from "./remark.ts";
import type { Kind, RuleDocument } from "./resources.ts";
import { lowerCamel } from "./schema.ts";
import { isMap, kindOf, walk, type WalkResult } from "./shape.ts";

export interface ParsedRules {
  /** Sound in shape. */
  readonly documents: RuleDocument[];
  /** Known objects with at least one error of shape; the bad fields are missing from their spec. */
  readonly damaged: RuleDocument[];
  readonly diagnostics: Diagnostic[];
}

export const KINDS: readonly Kind[] = ["VirtualService", "DestinationRule", "ServiceEntry", "WorkloadEntry"];
export const API_VERSIONS = ["v1", "v1beta1", "v1alpha3"].map((version) => `networking.istio.io/${version}`);

const NO_TEXTS: Readonly<Record<string, string>> = {};

/** Lists inside lists are read this deep; an alias could make them endless. */
const MAX_LIST_DEPTH = 3;

/** `namespace`: of objects that name none. */
export function parseRules(
  file: string,
  text: string,
  defaults: { readonly namespace: string },
  place: Place = placeRemark,
): ParsedRules {
  const parsed: ParsedRules = { documents: [], damaged: [], diagnostics: [] };
  const documents = splitDocuments(text);
  if (documents.length === 0) {
    parsed.diagnostics.push(
      diagnostic("Y010", "The file holds no rules", { file, line: 1, column: 1 }, { hint: "" }),
    );
  }
  for (const document of documents) {
    const one = parseRuleDocument(file, document, defaults, place);
    parsed.documents.push(...one.documents);
    parsed.damaged.push(...one.damaged);
    parsed.diagnostics.push(...one.diagnostics);
  }
  return parsed;
}

/** The same for one YAML document, for callers that remember unchanged ones. */
export function parseRuleDocument(
  file: string,
  document: YamlDocument,
  defaults: { readonly namespace: string },
  place: Place = placeRemark,
): ParsedRules {
  const parsed: ParsedRules = { documents: [], damaged: [], diagnostics: [] };
  const read = parseYaml(document);
  if ("error" in read) {
    const { message, line, column } = read.error;
    parsed.diagnostics.push(
      diagnostic("Y001", `Cannot read the YAML: ${message}`, { file, line, column }),
    );
    return parsed;
  }
  const origin: Origin = { file, line: document.line + leadingLines(document.text) };
  const context = { document, origin, defaults, place, parsed };
  readValue(read.value, [], context, 0);
  return parsed;
}

interface Context {
  readonly document: YamlDocument;
  readonly origin: Origin;
  readonly defaults: { readonly namespace: string };
  readonly place: Place;
  readonly parsed: ParsedRules;
}

function readValue(value: YamlValue, prefix: readonly PathPart[], context: Context, depth: number): void {
  const { document, origin } = context;
  const source = { document, prefix };
  const nameless = (code: "Y002" | "Y006" | "Y007" | "Y010", path: PathPart[], message: string) => {
    const { kind: _kind, resource: _resource, ...where } =
      context.place({ kind: "VirtualService", name: "", namespace: "", origin, source }, {
        code,
        message,
        path,
      }).where;
    context.parsed.diagnostics.push(diagnostic(code, message, where));
  };
  if (value === null) return nameless("Y010", [], "The document is empty");
  if (!isMap(value)) {
    return nameless(
      "Y002",
      [],
      `Cannot read the document: it is ${kindOf(value)}; want a map with kind and spec`,
    );
  }
  const { apiVersion, kind } = value;
  if (typeof kind !== "string" || kind === "") {
    return nameless("Y002", ["kind"], "Cannot read the document: it has no kind");
  }
  if (kind === "List" || (kind.endsWith("List") && KINDS.includes(kind.slice(0, -4) as Kind))) {
    const items = value["items"] ?? [];
    if (!Array.isArray(items)) {
      return nameless(
        "Y002",
        ["items"],
        `Cannot read items: it is ${kindOf(items as YamlValue)}; want a list`,
      );
    }
    if (depth >= MAX_LIST_DEPTH) {
      return nameless(
        "Y002",
        ["kind"],
        `Cannot read the list: lists are nested deeper than ${MAX_LIST_DEPTH}`,
      );
    }
    items.forEach((item: YamlValue, i: number) =>
      readValue(item, [...prefix, "items", i], context, depth + 1)
    );
    return;
  }
  if (!KINDS.includes(kind as Kind)) {
    const near = nearest(kind, KINDS);
    return nameless(
      "Y007",
      ["kind"],
      `Kind ${quote(kind)} is ignored` + (near === undefined ? "" : `; did you mean "${near}"?`),
    );
  }
  if (typeof apiVersion !== "string" || !API_VERSIONS.includes(apiVersion)) {
    return nameless(
      "Y006",
      apiVersion === undefined ? ["kind"] : ["apiVersion"],
      `Cannot read ${kind} of apiVersion ${quote(apiVersion ?? "")}: want one of ${API_VERSIONS.join(", ")}`,
    );
  }
  readObject(value, kind as Kind, source, context);
}

const TOP_LEVEL = ["apiVersion", "kind", "metadata", "spec", "status"];

function readObject(
  value: { readonly [key: string]: YamlValue },
  kind: Kind,
  source: RuleDocument["source"],
  context: Context,
): void {
  const out: WalkResult = { remarks: new Remarks(), suspects: [], numbers: [] };
  for (const key of Object.keys(value)) {
    if (TOP_LEVEL.includes(key)) continue;
    const near = nearest(key, TOP_LEVEL);
    out.remarks.add(
      "Y003",
      new At(key),
      `Cannot read field ${quote(key)}: a rule has no such field at the top` +
        (near === undefined ? "" : `; did you mean "${near}"?`),
      { key: true },
    );
  }
  const metadata = value["metadata"] ?? null;
  const at = new At("metadata");
  if (metadata !== null && !isMap(metadata)) {
    out.remarks.add("Y004", at, `Cannot read metadata: it is ${kindOf(metadata)}; want a map`);
  }
  const fields = isMap(metadata) ? metadata : {};
  const text = (key: string): string => {
    const field = fields[key] ?? null;
    return field === null ? "" : (walk(field, "string", at.to(key), out) as string | undefined ?? "");
  };
  const texts = (key: string): Readonly<Record<string, string>> => {
    const field = fields[key] ?? null;
    return field === null
      ? NO_TEXTS
      : (walk(field, { map: "string" }, at.to(key), out) ?? NO_TEXTS) as Record<string, string>;
  };
  const before = out.remarks.list.length;
  const name = text("name");
  const nameless = name === "" && before === out.remarks.list.length;
  const namespace = text("namespace") || context.defaults.namespace;
  const labels = texts("labels");
  const annotations = texts("annotations");
  if (nameless) {
    out.remarks.add("Y008", "name" in fields ? at.to("name") : at, `Cannot read ${kind}: it has no name`);
  }

  const written = value["spec"] ?? null;
  if (written === null) {
    out.remarks.add("Y002", new At("spec"), `Cannot read ${kind} ${quote(name)}: it has no spec`);
  }
  const spec = written === null ? {} : walk(written, { message: kind }, new At("spec"), out) ?? {};

  const sameKey = (given: string, wanted: string) => lowerCamel(given) === wanted;
  for (const { index, at, shown } of out.numbers) {
    const text = sourceText(source.document, [...source.prefix, ...at.path()], { sameKey });
    const remark = out.remarks.list[index] as Remark;
    if (text === undefined) continue;
    out.remarks.list[index] = { ...remark, message: remark.message.replace(shown, () => ` ${quote(text)}`) };
  }
  for (const suspect of out.suspects) {
    const path = suspect.at.path();
    if (!isBareBoolean(source.document, [...source.prefix, ...path], { sameKey })) continue;
    const field = path.findLast((part) => typeof part === "string");
    out.remarks.add(
      "Y005",
      suspect.at,
      `Cannot read ${field} ${quote(suspect.value)}: the bare word is a boolean to Kubernetes; want text`,
    );
  }

  const document: RuleDocument = {
    kind,
    name,
    namespace,
    labels,
    annotations,
    spec: compact(spec, source.document.text),
    origin: { ...context.origin, kind, resource: `${namespace}/${name}` },
    source,
    hash: hashText(`${namespace}\n${source.prefix.join("/")}\n`, source.document.text),
  };
  const { documents, damaged, diagnostics } = context.parsed;
  (out.remarks.list.length === 0 ? documents : damaged).push(document);
  for (const remark of out.remarks.list) diagnostics.push(context.place(document, remark));
}

/**
 * The same value in less room: what a YAML parser builds key by key keeps space for more keys and items, about two fifths of
 * its size. A text with anchors is left alone: aliases can make it endless when written out.
 */
function compact(spec: YamlValue, text: string): YamlValue {
  return text.includes("&") ? spec : JSON.parse(JSON.stringify(spec)) as YamlValue;
}

/** Lines before the first that is neither blank nor a comment. */
function leadingLines(text: string): number {
  let lines = 0;
  for (let from = 0; from < text.length;) {
    let end = text.indexOf("\n", from);
    if (end < 0) end = text.length;
    const line = text.slice(from, end).trimStart();
    if (line !== "" && !line.startsWith("#")) return lines;
    lines++;
    from = end + 1;
  }
  return 0;
}

/** 64 bits in hexadecimal: two multiplicative hashes of 32 bits (cyrb53's step). Not for keeping out enemies. */
export function hashText(...texts: string[]): string {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (const text of texts) {
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      a = Math.imul(a ^ c, 2654435761);
      b = Math.imul(b ^ c, 1597334677);
    }
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (b >>> 0).toString(16).padStart(8, "0") + (a >>> 0).toString(16).padStart(8, "0");
}
