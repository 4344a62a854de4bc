import assert from "node:assert/strict";
import { RE2JS } from "re2js";
import { compileRegex } from "./regex.ts";
import { translate } from "./regex_translate.ts";

/** Deterministic noise. */
function noise(seed: number): (n: number) => number {
  let s = seed >>> 0;
  return (n) => {
    s = (Math.imul(s ^ (s >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return ((s ^ (s >>> 13)) >>> 0) % n;
  };
}

const ATOMS = [
  "a",
  "b",
  "ab",
  "/",
  "/api/",
  "v",
  "-",
  "\\.",
  "\\/",
  "\\-",
  ".",
  "[0-9]",
  "[a-c]",
  "[^/]",
  "[^a\\]]",
  "[]a]",
  "[\\d-]",
  "\\d",
  "\\w",
  "\\s",
  "\\D",
  "\\W",
  "\\S",
  "[[:alpha:]]",
  "[[:^digit:]]",
  "[\\w.]",
  "\\x61",
  "é",
  "\\bx",
  "(?i)a",
  "[A-Z_]",
  "\\Qa.b\\E",
  "x{2}",
  "^",
  "$",
  "\\z",
  "#",
  "\\#",
  "=",
  ";",
  " ",
  "\\pL",
  "[-a]",
  "[a-]",
  "[+--]",
  "\\n",
  "\\t",
];
const QUANTIFIERS = ["", "", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}", "{2,}", "{0}"];

function pattern(next: (n: number) => number, depth: number): string {
  let out = "";
  const items = 1 + next(4);
  for (let i = 0; i < items; i++) {
    let atom = ATOMS[next(ATOMS.length)] as string;
    if (depth > 0 && next(4) === 0) {
      const open = ["(", "(?:", "(?P<n>", "(?i:"][next(8) > 3 ? next(2) : next(4)] as string;
      const inner = pattern(next, depth - 1);
      atom = `${open}${inner}${next(2) === 0 ? "|" + pattern(next, depth - 1) : ""})`;
    } else if (next(6) === 0) atom = ".*";
    out += atom + (atom === ".*" ? "" : QUANTIFIERS[next(QUANTIFIERS.length)]);
  }
  if (next(8) === 0) out = "^" + out;
  if (next(8) === 0) out += "$";
  return out;
}

const LETTERS = [
  "a",
  "b",
  "ab",
  "/",
  "/api/",
  "v",
  "-",
  ".",
  "0",
  "7",
  "x",
  "c",
  "A",
  "_",
  "\n",
  "\r",
  " ",
  "]",
  "é",
  "\u2028",
  "K",
  "ſ",
  ";",
  "=",
];

function text(next: (n: number) => number): string {
  let out = "";
  for (let n = next(9); n > 0; n--) out += LETTERS[next(LETTERS.length)];
  return out;
}

const bytes = (s: string) => Array.from(new TextEncoder().encode(s), (b) => String.fromCharCode(b)).join("");

Deno.test("a translated pattern answers as RE2 does (seeded)", () => {
  const next = noise(20260801);
  const engines: Record<string, number> = {};
  let compared = 0;
  let matched = 0;
  for (let i = 0; i < 20_000; i++) {
    const source = pattern(next, 2);
    let exact: RE2JS;
    try {
      exact = RE2JS.compile(source);
    } catch {
      assert.ok("error" in compileRegex(source), source);
      continue;
    }
    const compiled = compileRegex(source);
    assert.ok(!("error" in compiled), source);
    engines[compiled.engine] = (engines[compiled.engine] ?? 0) + 1;
    if (compiled.engine === "re2") continue;
    for (let k = 0; k < 12; k++) {
      const subject = text(next);
      const want = exact.testExact(subject);
      if (want) matched++;
      compared++;
      assert.equal(
        compiled.test(bytes(subject)),
        want,
        `${source} on ${JSON.stringify(subject)} (${compiled.engine})`,
      );
    }
  }
  assert.ok(compared > 20_000 && matched > 1_000, `${compared} ${matched}`);
  assert.ok((engines["v8"] ?? 0) > 1_000 && (engines["glob"] ?? 0) > 100, JSON.stringify(engines));
});

Deno.test("the usual patterns of rules run on the fast engines", () => {
  const engine = (p: string) => {
    const r = compileRegex(p);
    return "error" in r ? r.error : r.engine;
  };
  assert.equal(engine(".*"), "glob");
  assert.equal(engine("/api/.*"), "glob");
  assert.equal(engine("^.*[.]json$"), "re2");
  assert.equal(engine(".*\\.json"), "glob");
  assert.equal(engine(".*Chrome.*Mobile.*"), "glob");
  assert.equal(engine("^/api/v[0-9]+/users/[^/]+/orders/[a-z-]+$"), "v8");
  assert.equal(engine("(GET|POST)"), "v8");
  assert.equal(engine("/items/\\d+(/.*)?"), "v8");
  assert.equal(engine("^(.*?;)?(user=jason)(;.*)?$"), "re2");
  assert.equal(engine("(?i)chrome"), "re2");
});

Deno.test("no pattern takes more than linear time", () => {
  const evil = [
    "(a*)*b",
    "(a+)+b",
    "(a|aa)+b",
    "(a|a?)+b",
    ".*a.*a.*a.*b",
    "(.*a){12}b",
    "a*a*a*a*b",
    "([a-z]+)*\\d",
    "(x+x+)+y",
  ];
  for (const source of evil) {
    const r = compileRegex(source);
    assert.ok(!("error" in r));
    assert.notEqual(r.engine, "v8", source);
  }
  // A backtracking engine would need longer than the world has for 30 of these characters.
  for (const source of evil) {
    const r = compileRegex(source);
    if ("error" in r) continue;
    assert.equal(r.test("a".repeat(8192)), false);
    assert.equal(r.test("x".repeat(8192)), false);
  }
});

Deno.test("what is refused is refused with RE2's words", () => {
  const wrong = (p: string) => {
    const r = compileRegex(p);
    return "error" in r ? r.error : "accepted";
  };
  assert.match(wrong("(?=a)"), /invalid or unsupported Perl syntax/);
  assert.match(wrong("(a)\\1"), /invalid escape sequence/);
  assert.match(wrong("[a"), /missing closing \]/);
  assert.match(wrong("*"), /missing argument to repetition operator/);
});

Deno.test("replace: RE2's global replace with numbered groups", () => {
  const replace = (p: string, text: string, by: string) => {
    const r = compileRegex(p);
    assert.ok(!("error" in r));
    return r.replaceAll(text, by);
  };
  assert.equal(
    replace("^/service/([^/]+)(/.*)$", "/service/foo/v1/api", "\\2/instance/\\1"),
    "/v1/api/instance/foo",
  );
  assert.equal(replace("one", "/xxx/one/yyy/one/zzz", "two"), "/xxx/two/yyy/two/zzz");
  assert.equal(replace("^(.*?)one(.*)$", "/xxx/one/yyy/one/zzz", "\\1two\\2"), "/xxx/two/yyy/one/zzz");
  assert.equal(replace("(?i)/xxx/", "/aaa/XxX/bbb", "/yyy/"), "/aaa/yyy/bbb");
  assert.equal(replace("b*", "abc", "-"), "-a-c-");
  assert.equal(replace("(x)?y", "y", "[\\1]"), "[]");
  assert.equal(replace("a", "a", "\\\\"), "\\");
  assert.equal(replace("é", bytes("/é"), "e"), "/e");
});

Deno.test("translate leaves what it cannot prove", () => {
  for (const p of ["(?i)a", "\\bfoo", "a|ab", "a*a", "(a?)*", "é", "a$b", "^a|b", "\\pL", "[\\d-z]"]) {
    assert.equal(translate(p), undefined, p);
  }
});
