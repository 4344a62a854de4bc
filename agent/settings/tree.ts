/** Mesher's files -> what they set: walks each document along the known keys, and tells of those that are not known. */
import { type Diagnostic, diagnostic, type Origin } from "../core/diagnostics.ts";
import { nearest } from "../core/suggest.ts";
import {
  isBareBoolean,
  locateYaml,
  parseYaml,
  sourceText,
  splitDocuments,
  type YamlDocument,
  type YamlValue,
} from "../core/yaml.ts";
import { INERT, type Setting, SETTINGS } from "./schema.ts";

/** A value found in a file. */
export interface Found {
  readonly setting: Setting;
  readonly value: YamlValue;
  readonly document: YamlDocument;
  /** Keys as they are written. */
  readonly path: readonly string[];
  readonly where: Origin;
}

interface Node {
  readonly children: Map<string, Node>;
  setting?: Setting;
  inert?: string;
}

const ROOT = buildTree();

function buildTree(): Node {
  const root: Node = { children: new Map() };
  const nodeOf = (path: string): Node => {
    let node = root;
    for (const part of path.split(".")) {
      let child = node.children.get(part);
      if (child === undefined) node.children.set(part, child = { children: new Map() });
      node = child;
    }
    return node;
  };
  for (const setting of SETTINGS) {
    if (setting.fileless) continue;
    for (const path of [setting.key, ...setting.also ?? []]) nodeOf(path).setting = setting;
  }
  for (const [path, why] of INERT) nodeOf(path).inert = why;
  return root;
}

/** Everything that one file sets. `label`: the file's name in diagnostics. */
export function readTree(label: string, text: string): { found: Found[]; diagnostics: Diagnostic[] } {
  const walk: Walk = { label, found: [], diagnostics: [] };
  for (const document of splitDocuments(text)) {
    const read = parseYaml(document);
    if ("error" in read) {
      const { message, line, column } = read.error;
      walk.diagnostics.push(
        diagnostic("S101", `Cannot read the YAML: ${message}`, { file: label, line, column }),
      );
    } else {
      visit(walk, document, ROOT, read.value, []);
    }
  }
  return walk;
}

interface Walk {
  readonly label: string;
  readonly found: Found[];
  readonly diagnostics: Diagnostic[];
}

function visit(
  walk: Walk,
  document: YamlDocument,
  node: Node,
  value: YamlValue,
  path: readonly string[],
): void {
  if (value === null) return;
  const { label } = walk;
  if (node.setting !== undefined) {
    walk.found.push({
      setting: node.setting,
      value,
      document,
      path,
      where: placeAt(label, document, path),
    });
    return;
  }
  if (node.inert !== undefined && node.children.size === 0) {
    const key = path.join(".");
    const where = placeAt(label, document, path, true);
    walk.diagnostics.push(
      node.inert === ""
        ? diagnostic(
          "S124",
          `Key "${key}" has no effect: rules are Istio's, router.infra cse comes later`,
          where,
        )
        : diagnostic("S120", `Key "${key}" has no effect here: ${node.inert}`, where),
    );
    return;
  }
  if (typeof value !== "object" || Array.isArray(value)) {
    const name = path.length === 0 ? "the file" : `"${path.join(".")}"`;
    walk.diagnostics.push(
      diagnostic(
        "S103",
        `Cannot read ${name}: it is ${
          Array.isArray(value) ? "a list" : `${JSON.stringify(value)}`
        }; want a map`,
        placeAt(label, document, path),
      ),
    );
    return;
  }
  for (const [key, each] of Object.entries(value)) {
    const child = descend(node, key, path.length);
    if (child !== undefined) {
      visit(walk, document, child, each, [...path, key]);
      continue;
    }
    const siblings = [...node.children.keys()].filter((name) => name !== "*");
    if (path.length === 0) siblings.push("servicecomb");
    const near = nearest(key, siblings);
    walk.diagnostics.push(
      diagnostic(
        "S102",
        `Cannot read key "${[...path, key].join(".")}": there is none of that name` +
          (near === undefined ? `; want one of ${siblings.sort().join(", ")}` : `; did you mean "${near}"?`),
        placeAt(label, document, [...path, key], true),
      ),
    );
  }
}

/** The child of a key; a dotted key goes down several. */
function descend(node: Node, key: string, depth: number): Node | undefined {
  const name = depth === 0 && key === "servicecomb" ? "cse" : key === "Registry" ? "registry" : key;
  const direct = node.children.get(name) ?? (name === "*" ? undefined : node.children.get("*"));
  if (direct !== undefined || !key.includes(".")) return direct;
  let at: Node | undefined = node;
  for (const [i, part] of key.split(".").entries()) {
    at = at === undefined ? undefined : descend(at, part, depth + i);
  }
  return at;
}

/** A place whose line and column are looked for when they are first asked for: finding them is slow. */
export function placeAt(
  file: string,
  document: YamlDocument,
  path: readonly string[],
  key = false,
): Origin {
  let at: { line: number; column: number } | undefined;
  const place = () => at ??= locateYaml(document, path, { key });
  return {
    file,
    get line() {
      return place().line;
    },
    get column() {
      return place().column;
    },
  };
}

/** Source text and bareness of a found value, looked up when asked. */
export function writtenIn({ value, document, path }: Found) {
  return {
    value,
    source: (below: readonly string[]) => sourceText(document, [...path, ...below]),
    isBare: (below: readonly string[]) => isBareBoolean(document, [...path, ...below]),
  };
}
