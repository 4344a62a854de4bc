/**
 * Texts that a regular expression accepts: of RE2's syntax what rules usually write (literals, escapes, classes, groups, `|`, `?`, `*`,
 * `+`, `{n,m}`, anchors, `(?i)`). What else stands there is taken as literal.
 */
import type { Random } from "../../differential/generate.ts";

const ANY = ["a", "7", "/", "-", "x"];
const ESCAPES: Readonly<Record<string, string>> = { d: "7", w: "w", s: " ", b: "" };

export function sampleOf(regex: string, random: Random): string {
  return new Sampler(regex.replace(/^\(\?i\)/, ""), random).alternatives();
}

class Sampler {
  readonly #regex: string;
  readonly #r: Random;
  #at = 0;

  constructor(regex: string, random: Random) {
    this.#regex = regex;
    this.#r = random;
  }

  alternatives(): string {
    const found = [this.#sequence()];
    while (this.#regex[this.#at] === "|") {
      this.#at++;
      found.push(this.#sequence());
    }
    return found[this.#r(found.length)] as string;
  }

  #sequence(): string {
    let text = "";
    while (this.#at < this.#regex.length && !"|)".includes(this.#regex[this.#at] as string)) {
      const from = this.#at;
      const first = this.#atom();
      const times = this.#times();
      const after = this.#at;
      for (let i = 0; i < times; i++) {
        if (i === 0) text += first;
        else {
          // Another draw of the same atom.
          this.#at = from;
          text += this.#atom();
          this.#at = after;
        }
      }
    }
    return text;
  }

  #atom(): string {
    const c = this.#regex[this.#at++] as string;
    if (c === "^" || c === "$") return "";
    if (c === ".") return ANY[this.#r(ANY.length)] as string;
    if (c === "\\") {
      const escaped = this.#regex[this.#at++] ?? "";
      return ESCAPES[escaped] ?? escaped;
    }
    if (c === "[") return this.#class();
    if (c !== "(") return c;
    if (this.#regex.startsWith("?:", this.#at)) this.#at += 2;
    const text = this.alternatives();
    this.#at++;
    return text;
  }

  #class(): string {
    const end = this.#regex.indexOf("]", this.#at + 1);
    const inside = this.#regex.slice(this.#at, end);
    this.#at = end + 1;
    if (inside.startsWith("^")) return ANY.find((c) => !inside.includes(c)) ?? "~";
    const chars = inside.replace(/(.)-(.)/g, "$1$2").replace(/\\d/g, "07").replace(/\\/g, "");
    return chars[this.#r(chars.length)] as string;
  }

  #times(): number {
    const bounds = /^(?:[?*+]|\{(\d+)(,?)(\d*)\})\??/.exec(this.#regex.slice(this.#at));
    if (bounds === null) return 1;
    this.#at += bounds[0].length;
    const [least, most] = bounds[0].startsWith("?")
      ? [0, 1]
      : bounds[0].startsWith("*")
      ? [0, 3]
      : bounds[0].startsWith("+")
      ? [1, 3]
      : [Number(bounds[1]), Number(bounds[3] || bounds[1])];
    return least + this.#r(most - least + 1);
  }
}
