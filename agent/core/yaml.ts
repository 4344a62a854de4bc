/**
 * YAML in two speeds: js-yaml reads every document (fast), `yaml` re-reads one document only to place a diagnostic.
 * A golden test shows that both give the same values.
 */
// js-yaml ships no types.
// deno-lint-ignore-file no-explicit-any
import yaml from "js-yaml";
import type * as PositionYaml from "yaml";

/** One `---` separated document: its text and the 1-based line on which it starts in the file. */
export interface YamlDocument {
  readonly text: string;
  readonly line: number;
}

export interface YamlError {
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

export type YamlValue = null | boolean | number | string | readonly YamlValue[] | {
  readonly [key: string]: YamlValue;
};

export type PathPart = string | number;

/** Splits on document marks at line start (outside of nothing cleverer: a block scalar cannot hold `---` at column 0). */
export function splitDocuments(text: string): YamlDocument[] {
  const documents: YamlDocument[] = [];
  let start = 0;
  let line = 1;
  let startLine = 1;
  let from = 0;
  const push = (end: number) => {
    const body = text.slice(start, end);
    if (/^[ \t]*[^\s#]/m.test(body)) documents.push({ text: body, line: startLine });
  };
  while (from < text.length) {
    let end = text.indexOf("\n", from);
    if (end < 0) end = text.length;
    const mark = text.startsWith("---", from) &&
      (end === from + 3 || " \t\r".includes(text[from + 3] as string));
    const stop = text.startsWith("...", from) &&
      (end === from + 3 || " \t\r".includes(text[from + 3] as string));
    if (mark || stop) {
      push(from);
      // What follows the mark on its own line belongs to the new document.
      start = from + 3;
      startLine = line;
    }
    line++;
    from = end + 1;
  }
  push(text.length);
  return documents;
}

// js-yaml's numbers are not quite YAML 1.2's (1_000, 0b1, -0x1, +.5): held to the standard, as the placing parser is.
const INT = /^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$/;
const FLOAT =
  /^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;

function withShape(type: any, shape: RegExp): any {
  const { tag, kind, construct, predicate, represent, defaultStyle } = type;
  return new (yaml as any).Type(tag, {
    kind,
    resolve: (text: string | null) => text !== null && shape.test(text),
    construct,
    predicate,
    represent,
    defaultStyle,
  });
}

const { types } = yaml as any;
const SCHEMA = (yaml as any).FAILSAFE_SCHEMA.extend({
  implicit: [types.null, types.bool, withShape(types.int, INT), withShape(types.float, FLOAT)],
});

/** The value of one document, or where it is malformed (lines relative to the file through `document.line`). */
export function parseYaml(document: YamlDocument): { value: YamlValue } | { error: YamlError } {
  try {
    return {
      value: ((yaml as any).load(document.text, { schema: SCHEMA }) ?? null) as YamlValue,
    };
  } catch (e) {
    // Thousands of open brackets use up the stack of a recursive parser.
    if (e instanceof RangeError) {
      return {
        error: { message: "the document is nested too deep", line: document.line, column: 1 },
      };
    }
    if (!(e instanceof Error) || e.name !== "YAMLException") throw e;
    const { mark, reason } = e as unknown as { mark?: { line: number; column: number }; reason: string };
    return {
      error: {
        message: reason,
        line: document.line + (mark?.line ?? 0),
        column: (mark?.column ?? 0) + 1,
      },
    };
  }
}

/** How a path is looked up: `key` wants the key's own place; `sameKey` lets a written key stand for another spelling. */
export interface Lookup {
  readonly key?: boolean;
  readonly sameKey?: (written: string, wanted: string) => boolean;
}

/**
 * Line and column (1-based, in the file) of the value at `path`, or of its nearest existing parent.
 * `key: true` places the key itself, for "unknown key" findings. Slow: call it only for a diagnostic.
 */
export function locateYaml(
  document: YamlDocument,
  path: readonly PathPart[],
  what: Lookup = {},
): { line: number; column: number } {
  const { root, positions } = positionsOf(document);
  for (let n = path.length; n >= 0; n--) {
    const offset = offsetAt(root, path.slice(0, n), n === path.length && what.key === true, what.sameKey);
    if (offset !== undefined) {
      const at = positions.linePos(offset);
      return { line: document.line + at.line - 1, column: at.col };
    }
  }
  return { line: document.line, column: 1 };
}

/** The words that YAML 1.1 (Kubernetes, Go) reads as booleans when they are bare, and YAML 1.2 as text. */
const BARE_BOOLEAN = /^(?:y|n|yes|no|on|off)$/i;

/** Whether a value that was read as text could be such a word: cheap, before {@link isBareBoolean} looks at the source. */
export function looksBoolean(text: string): boolean {
  return text.length <= 3 && BARE_BOOLEAN.test(text);
}

/** Whether the scalar at `path` is a bare y, n, yes, no, on or off. Slow as {@link locateYaml}. */
export function isBareBoolean(document: YamlDocument, path: readonly PathPart[], what: Lookup = {}): boolean {
  const node = nodeAt(document, path, what.sameKey);
  return node?.type === "PLAIN" && looksBoolean(String(node.source ?? ""));
}

/** How the scalar at `path` is written (`1.0`, not 1), without quotes; undefined when there is none. Slow, too. */
export function sourceText(
  document: YamlDocument,
  path: readonly PathPart[],
  what: Lookup = {},
): string | undefined {
  const source = nodeAt(document, path, what.sameKey)?.source;
  return typeof source === "string" ? source : undefined;
}

let positionYaml: typeof PositionYaml | undefined;

/** The slow parser, loaded at the first diagnostic: it costs 33 ms and 14 MB, and most runs never need it. */
function loadPositionYaml(): typeof PositionYaml {
  // deno-lint-ignore law/ports no-process-global
  positionYaml ??= process.getBuiltinModule("node:module").createRequire(import.meta.url)("yaml");
  return positionYaml as typeof PositionYaml;
}

interface Positions {
  readonly root: any;
  readonly positions: PositionYaml.LineCounter;
}

// Several diagnostics of one document share one slow parse. Only the last few are kept: a tree is a hundred times the size of
// its text, and documents live as long as the agent.
const MAX_PARSED = 32;
const lastParsed = new Map<YamlDocument, Positions>();

function positionsOf(document: YamlDocument): Positions {
  const known = lastParsed.get(document);
  if (known !== undefined) return known;
  const { LineCounter, parseDocument } = loadPositionYaml();
  const positions = new LineCounter();
  let root: any;
  try {
    root = parseDocument(document.text, {
      lineCounter: positions,
      logLevel: "silent",
      strict: false,
      uniqueKeys: false,
    }).contents;
  } catch (e) {
    // Nested too deep for it: then every place is the document's start.
    if (!(e instanceof RangeError)) throw e;
  }
  const made = { root, positions };
  if (lastParsed.size >= MAX_PARSED) lastParsed.delete(lastParsed.keys().next().value as YamlDocument);
  lastParsed.set(document, made);
  return made;
}

function nodeAt(document: YamlDocument, path: readonly PathPart[], sameKey: Lookup["sameKey"]): any {
  let node = positionsOf(document).root;
  for (const part of path) node = childOf(node, part, sameKey)?.value;
  return node;
}

// The `yaml` node types differ per kind; only `range`, `items` and `type` are read.
function offsetAt(
  root: any,
  path: readonly PathPart[],
  wantKey: boolean,
  sameKey: Lookup["sameKey"],
): number | undefined {
  let node = root;
  let key: any;
  for (const part of path) {
    const child = childOf(node, part, sameKey);
    if (child === undefined) return undefined;
    ({ key, value: node } = child);
  }
  if (key !== undefined && (wantKey || node?.range == null)) return key.range?.[0];
  return node?.range?.[0] ?? undefined;
}

function childOf(
  node: any,
  part: PathPart,
  sameKey: Lookup["sameKey"],
): { key?: any; value: any } | undefined {
  const items = node?.items;
  if (!Array.isArray(items)) return undefined;
  if (typeof part === "number") return items[part] === undefined ? undefined : { value: items[part] };
  const pair = items.find((p: any) => keyText(p) === part) ??
    (sameKey && items.find((p: any) => sameKey(keyText(p), part)));
  return pair === undefined ? undefined : { key: pair.key, value: pair.value };
}

const keyText = (pair: any): string => String(pair?.key?.value ?? pair?.key);
