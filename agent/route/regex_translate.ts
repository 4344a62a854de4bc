/**
 * From RE2 syntax to something faster than an RE2 engine, only where the answer provably cannot differ and the matcher
 * cannot backtrack:
 *
 * - patterns made of literals and `.*` become a {@link Glob} (first, last and in-between pieces, found with indexOf);
 * - patterns whose every choice is decided by the next character (LL(1)) become a V8 RegExp with the `u` flag.
 *
 * Everything else is left to re2js. In: a pattern that re2js has accepted. Out: one of the two, or undefined.
 *
 * @example
 * ```ts
 * import { translate } from "./regex_translate.ts";
 * translate("/api/v[0-9]+/users/[^/]+"); // { kind: "v8", source: "/api/v[0-9]+/users/[^/]+" }
 * translate(".*chrome.*"); // { kind: "glob", pieces: ["", "chrome", ""] }
 * translate("(a*)*b"); // undefined: the loops can share the same text
 * ```
 */

export type Translation =
  | { readonly kind: "glob"; readonly pieces: readonly string[] }
  | { readonly kind: "v8"; readonly source: string; readonly anchoredStart: boolean };

/** A set of characters: one bit for each ASCII character, bit 128 for "any other". */
type Mask = bigint;
const OTHER: Mask = 1n << 128n;
const ALL: Mask = (1n << 129n) - 1n;
const NEWLINE: Mask = 1n << 10n;

type Node =
  | {
    readonly type: "set";
    readonly mask: Mask;
    readonly source: string;
    readonly literal: string | undefined;
  }
  | { readonly type: "concat"; readonly items: readonly Node[] }
  | { readonly type: "alternation"; readonly branches: readonly Node[] }
  | { readonly type: "group"; readonly capture: boolean; readonly child: Node }
  | {
    readonly type: "repeat";
    readonly min: number;
    readonly max: number;
    readonly source: string;
    readonly child: Node;
  };

/** Thrown inside the parser for syntax outside of the subset; never leaves this file. */
class Outside extends Error {}

const PERL: Readonly<Record<string, string>> = {
  d: "0-9",
  w: "0-9A-Za-z_",
  s: "\\t\\n\\f\\r ",
};
const POSIX: Readonly<Record<string, string>> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  digit: "0-9",
  lower: "a-z",
  upper: "A-Z",
  word: "0-9A-Za-z_",
  xdigit: "0-9A-Fa-f",
  space: "\\t\\n\\v\\f\\r ",
  blank: "\\t ",
};
const CONTROL: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 };

/** Mask of a class body in the notation of {@link PERL} and {@link POSIX}. */
function maskOf(body: string): Mask {
  let mask = 0n;
  const codes: number[] = [];
  for (let i = 0; i < body.length; i++) {
    if (body[i] === "\\") codes.push(CONTROL[body[++i] as string] as number);
    else if (body[i] === "-" && codes.length > 0 && i + 1 < body.length) codes.push(-1);
    else codes.push(body.charCodeAt(i));
  }
  for (let i = 0; i < codes.length; i++) {
    const from = codes[i] as number;
    if (codes[i + 1] === -1) {
      mask |= range(from, codes[i + 2] as number);
      i += 2;
    } else mask |= bit(from);
  }
  return mask;
}

function bit(code: number): Mask {
  return code < 128 ? 1n << BigInt(code) : OTHER;
}

function range(from: number, to: number): Mask {
  let mask = to >= 128 ? OTHER : 0n;
  for (let c = from; c <= Math.min(to, 127); c++) mask |= 1n << BigInt(c);
  return mask;
}

function escapeCode(code: number): string {
  const c = String.fromCharCode(code);
  if (/[A-Za-z0-9_\/]/.test(c)) return c;
  return /[\^$\\.*+?()[\]{}|]/.test(c) ? "\\" + c : `\\x${code.toString(16).padStart(2, "0")}`;
}

class Parser {
  #at = 0;
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }

  /** The whole pattern. `^` at its start and `$` at its end mean nothing in a full match. */
  parse(): { readonly node: Node; readonly anchoredStart: boolean } {
    // With an alternation at top level an anchor belongs to one branch only.
    const anchoredStart = this.#text.startsWith("^");
    if (anchoredStart) this.#at++;
    const node = this.#alternation(true);
    if (this.#at < this.#text.length) throw new Outside();
    if (node.type === "alternation" && (anchoredStart || /\$$/.test(this.#text))) throw new Outside();
    return { node, anchoredStart };
  }

  #alternation(top: boolean): Node {
    const branches = [this.#concat(top)];
    while (this.#text[this.#at] === "|") {
      this.#at++;
      branches.push(this.#concat(top));
    }
    return branches.length === 1 ? branches[0] as Node : { type: "alternation", branches };
  }

  #concat(top: boolean): Node {
    const items: Node[] = [];
    for (;;) {
      const c = this.#text[this.#at];
      if (c === undefined || c === "|" || c === ")") break;
      if (c === "$" && top && this.#at === this.#text.length - 1) {
        this.#at++;
        break;
      }
      items.push(this.#quantified(this.#atom(c)));
    }
    return items.length === 1 ? items[0] as Node : { type: "concat", items };
  }

  #quantified(child: Node): Node {
    const m = /^(?:\*|\+|\?|\{(\d+)(,(\d*))?\})\??/.exec(this.#text.slice(this.#at, this.#at + 20));
    if (m === null) return child;
    const source = m[0];
    this.#at += source.length;
    let min = 0;
    let max = Infinity;
    if (source[0] === "+") min = 1;
    else if (source[0] === "?") max = 1;
    else if (source[0] === "{") {
      min = Number(m[1]);
      max = m[2] === undefined ? min : m[3] === "" ? Infinity : Number(m[3]);
    }
    if (max === 0 || /^[*+?{]/.test(this.#text.slice(this.#at))) throw new Outside();
    return { type: "repeat", min, max, source, child };
  }

  #atom(c: string): Node {
    const code = c.charCodeAt(0);
    if (code > 126 || code < 32) throw new Outside();
    this.#at++;
    switch (c) {
      case "(":
        return this.#group();
      case "[":
        return this.#class();
      case ".":
        return { type: "set", mask: ALL & ~NEWLINE, source: "[^\\n]", literal: undefined };
      case "\\":
        return this.#escape();
      case "^":
      case "$":
      case "*":
      case "+":
      case "?":
      case "{":
      case "}":
      case "]":
        throw new Outside();
    }
    return { type: "set", mask: bit(code), source: escapeCode(code), literal: c };
  }

  #group(): Node {
    let capture = true;
    if (this.#text[this.#at] === "?") {
      const m = /^\?(?::|P?<[A-Za-z_]\w*>)/.exec(this.#text.slice(this.#at));
      if (m === null) throw new Outside();
      capture = m[0] !== "?:";
      this.#at += m[0].length;
    }
    const child = this.#alternation(false);
    if (this.#text[this.#at] !== ")") throw new Outside();
    this.#at++;
    return { type: "group", capture, child };
  }

  #escape(): Node {
    const c = this.#text[this.#at++];
    if (c === undefined) throw new Outside();
    const body = PERL[c.toLowerCase()];
    if (body !== undefined) {
      const negated = c !== c.toLowerCase();
      const mask = maskOf(body);
      return {
        type: "set",
        mask: negated ? ALL & ~mask : mask,
        source: `[${negated ? "^" : ""}${body}]`,
        literal: undefined,
      };
    }
    if (/[A-Za-z0-9]/.test(c) || c.charCodeAt(0) > 126) throw new Outside();
    const code = c.charCodeAt(0);
    return { type: "set", mask: bit(code), source: escapeCode(code), literal: c };
  }

  #class(): Node {
    const negated = this.#text[this.#at] === "^";
    if (negated) this.#at++;
    let source = "";
    let mask = 0n;
    let first = true;
    for (;;) {
      const c = this.#text[this.#at];
      if (c === undefined) throw new Outside();
      if (c === "]" && !first) {
        this.#at++;
        break;
      }
      first = false;
      const named = /^\[:([a-z]+):\]/.exec(this.#text.slice(this.#at, this.#at + 12)) ??
        /^\\([dws])/.exec(this.#text.slice(this.#at, this.#at + 2));
      if (named !== null) {
        const body = (named[0][0] === "[" ? POSIX : PERL)[named[1] as string];
        if (body === undefined) throw new Outside();
        this.#at += named[0].length;
        source += body;
        mask |= maskOf(body);
        // `[\d-z]`: a dash after a class means itself in RE2 and nothing in V8.
        if (this.#text[this.#at] === "-" && this.#text[this.#at + 1] !== "]") throw new Outside();
        continue;
      }
      const from = this.#classChar();
      let to = from;
      if (this.#text[this.#at] === "-" && this.#text[this.#at + 1] !== "]") {
        this.#at++;
        to = this.#classChar();
        if (to < from) throw new Outside();
      }
      source += from === to ? `\\x${hex(from)}` : `\\x${hex(from)}-\\x${hex(to)}`;
      mask |= range(from, to);
    }
    return {
      type: "set",
      mask: negated ? ALL & ~mask : mask,
      source: `[${negated ? "^" : ""}${source}]`,
      literal: undefined,
    };
  }

  #classChar(): number {
    let c = this.#text[this.#at++];
    if (c === "[" && /[:.=]/.test(this.#text[this.#at] ?? "")) throw new Outside();
    if (c === "\\") {
      c = this.#text[this.#at++];
      if (c === undefined || /[A-Za-z0-9]/.test(c)) throw new Outside();
    }
    const code = c?.charCodeAt(0) ?? 0;
    if (code > 126 || code < 32) throw new Outside();
    return code;
  }
}

function hex(code: number): string {
  return code.toString(16).padStart(2, "0");
}

function nullable(node: Node): boolean {
  switch (node.type) {
    case "set":
      return false;
    case "concat":
      return node.items.every(nullable);
    case "alternation":
      return node.branches.some(nullable);
    case "group":
      return nullable(node.child);
    case "repeat":
      return node.min === 0 || nullable(node.child);
  }
}

function first(node: Node): Mask {
  switch (node.type) {
    case "set":
      return node.mask;
    case "concat": {
      let mask = 0n;
      for (const item of node.items) {
        mask |= first(item);
        if (!nullable(item)) break;
      }
      return mask;
    }
    case "alternation":
      return node.branches.reduce((mask, b) => mask | first(b), 0n);
    case "group":
      return first(node.child);
    case "repeat":
      return first(node.child);
  }
}

/** True when each choice inside `node` is decided by the next character; `follow` is what may come after it. */
function deterministic(node: Node, follow: Mask): boolean {
  switch (node.type) {
    case "set":
      return true;
    case "concat": {
      let after = follow;
      for (let i = node.items.length - 1; i >= 0; i--) {
        const item = node.items[i] as Node;
        if (!deterministic(item, after)) return false;
        after = first(item) | (nullable(item) ? after : 0n);
      }
      return true;
    }
    case "alternation": {
      let seen = 0n;
      let empty = 0;
      for (const branch of node.branches) {
        if (!deterministic(branch, follow)) return false;
        const mask = first(branch);
        if ((mask & seen) !== 0n) return false;
        seen |= mask;
        if (nullable(branch)) empty++;
      }
      return empty === 0 || (empty === 1 && (seen & follow) === 0n);
    }
    case "group":
      return deterministic(node.child, follow);
    case "repeat": {
      if (nullable(node.child)) return false;
      const mask = first(node.child);
      if (node.min !== node.max && (mask & follow) !== 0n) return false;
      return deterministic(node.child, node.max > 1 ? mask | follow : follow);
    }
  }
}

function emit(node: Node): string {
  switch (node.type) {
    case "set":
      return node.source;
    case "concat":
      return node.items.map(emit).join("");
    case "alternation":
      return node.branches.map(emit).join("|");
    case "group":
      return (node.capture ? "(" : "(?:") + emit(node.child) + ")";
    case "repeat":
      return emit(node.child) + node.source;
  }
}

/** Literals and `.*` only, outside of groups. */
function globOf(node: Node): string[] | undefined {
  const pieces = [""];
  for (const item of node.type === "concat" ? node.items : [node]) {
    if (item.type === "set" && item.literal !== undefined) pieces[pieces.length - 1] += item.literal;
    else if (item.type === "repeat" && item.min === 0 && item.max === Infinity) {
      if (item.child.type !== "set" || item.child.source !== "[^\\n]") return undefined;
      if (pieces.length === 1 || pieces[pieces.length - 1] !== "") pieces.push("");
    } else return undefined;
  }
  return pieces;
}

/** See the head of this file. */
export function translate(pattern: string): Translation | undefined {
  try {
    const { node, anchoredStart } = new Parser(pattern).parse();
    const pieces = globOf(node);
    if (pieces !== undefined) return { kind: "glob", pieces };
    if (!deterministic(node, 0n)) return undefined;
    return { kind: "v8", source: emit(node), anchoredStart };
  } catch (e) {
    if (e instanceof Outside) return undefined;
    throw e;
  }
}
