import assert from "node:assert/strict";
import fc from "fast-check";
import { parse as slowParse, stringify } from "yaml";
import {
  isBareBoolean,
  locateYaml,
  looksBoolean,
  parseYaml,
  sourceText,
  splitDocuments,
  type YamlDocument,
  type YamlValue,
} from "./yaml.ts";

/** What rule files and settings hold, and what a person may put in by accident. */
const GOLDEN: readonly string[] = [
  "a: 1\nb: two\nc: [1, 2.5, true, null, ~]\n",
  "a: {b: {c: d}}\n",
  "y: y\nn: no\non: on\noff: 'off'\nyes: \"yes\"\n",
  "t: true\nT: True\nTT: TRUE\nf: false\n",
  "n: null\nN: Null\nNN: NULL\nt: ~\ne:\n",
  "i: 012\no: 0o17\nh: 0x1F\nneg: -3\nplus: +3\nbig: 12345678901234567890\n",
  "f: 1.0\ng: 1e3\nh: .5\ni: 5.\nj: -.inf\nk: .nan\nl: 1_000\n",
  "a: 0b101\nb: -0x1F\nc: +0o7\nd: 1_0.5\ne: 0x\nf: 1e\ng: .\nh: +.5\ni: -1.5E-3\nj: 00\nk: +.inf\nl: .NaN\n",
  "v: 1.2.3\nd: 2026-01-02\nt: 12:30:45\nip: 10.0.0.1\np: 127.0.0.1:80\n",
  "s: 'it''s'\nd: \"tab\\tnew\\nline \\u00e9 \\x41\"\n",
  "lit: |\n  one\n  two\n\nkeep: |+\n  one\n\nstrip: |-\n  one\nfold: >\n  one\n  two\n\n  three\nend: x\n",
  "a: &x {k: v}\nb: *x\n",
  "multi: one\n  two\n  three\n",
  "? complex\n: value\n",
  "url: http://a:80/b#c\nhash: a#b\ncomment: a #b\n",
  "- a\n- - b\n  - c\n-\n  d: e\n",
  'regex: ^/api/v[0-9]+$\npct: 50%\nat: "@x"\n',
  "crlf: a\r\nnext: b\r\n",
  "é: ü\n\"quoted key\": 1\n'k2': 2\n",
  "1: number key\ntrue: boolean key\n",
  "tilde: ~x\nstar: '*'\nempty: ''\nspace: ' a '\n",
  "name: ${NAME||default}\nother: '${A||b}:${C}'\n",
  "<<: {a: 1}\nb: 2\n",
  "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: a\nspec:\n  hosts: [a]\n",
  "",
  "# only a comment\n",
  "scalar",
];

/** js-yaml's keys are texts, as JavaScript's are. */
const fast = (text: string): YamlValue => {
  const read = parseYaml({ text, line: 1 });
  if ("error" in read) throw new Error(`${read.error.message}\n${text}`);
  return read.value;
};
const slow = (text: string): YamlValue => (slowParse(text) ?? null) as YamlValue;

Deno.test("the fast and the placing parser read the same", () => {
  for (const text of GOLDEN) assert.deepEqual(fast(text), slow(text), text);
});

Deno.test("the fast and the placing parser read the same of what is written from random values", () => {
  const key = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_.-]{0,8}$/).filter((k) => k !== "__proto__");
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.string(),
      fc.constantFrom("yes", "no", "012", "1.0", "0x1F", "null", "~", "- a", "a: b", "#", "|", "1e3", " x "),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie("any"), { maxLength: 3 }),
      fc.dictionary(key, tie("any"), { maxKeys: 3, noNullPrototype: true }),
    ),
  })).any;
  fc.assert(
    fc.property(value, (v) => {
      const text = stringify(v);
      assert.deepEqual(fast(text), slow(text));
    }),
    { seed: 1, numRuns: 500 },
  );
});

Deno.test("documents are split at marks, with their lines", () => {
  const text = "# head\n---\na: 1\n--- # note\nb: |\n  ---\n  x\n...\n---\n\n# nothing\n---\nc: 3";
  assert.deepEqual(
    splitDocuments(text).map(({ text, line }) => [line, fast(text)]),
    [[2, { a: 1 }], [4, { b: "---\nx\n" }], [12, { c: 3 }]],
  );
  assert.deepEqual(splitDocuments(""), []);
  assert.deepEqual(splitDocuments("---\n---\n"), []);
  assert.deepEqual(splitDocuments("--- {a: 1}\n").map((d) => fast(d.text)), [{ a: 1 }]);
});

Deno.test("malformed YAML has its place in the file", () => {
  const [, second] = splitDocuments("a: 1\n---\nb: [1\nc: 2\n");
  const read = parseYaml(second as YamlDocument);
  assert.ok("error" in read);
  assert.deepEqual([read.error.line, read.error.column], [4, 1]);
  for (
    const text of ["a: 1\na: 2\n", "a: b: c\n", "\ta: 1\n", "a: *none\n", "a: !!js/function 'x'\n", '"\n']
  ) {
    assert.ok("error" in parseYaml({ text, line: 1 }), text);
  }
});

Deno.test("values and keys are placed in the file, missing ones at their parent", () => {
  const document = {
    text: "spec:\n  http:\n  - route:\n    - weight: -1\n      port: {number: 80}\n",
    line: 10,
  };
  const at = (path: (string | number)[], key = false) => {
    const { line, column } = locateYaml(document, path, { key });
    return `${line}:${column}`;
  };
  assert.equal(at(["spec", "http", 0, "route", 0, "weight"]), "13:15");
  assert.equal(at(["spec", "http", 0, "route", 0, "weight"], true), "13:7");
  assert.equal(at(["spec", "http", 0, "route", 0, "port", "number"]), "14:22");
  assert.equal(at(["spec", "http", 0, "route", 0, "none"]), "13:7");
  assert.equal(at(["spec", "http", 5]), at(["spec", "http"]));
  assert.equal(at(["none"]), "10:1");
});

Deno.test("a key in another spelling is found when it is told to be the same", () => {
  const document = { text: "retry_on: x\n", line: 1 };
  const sameKey = (written: string, want: string) => written.replace("_o", "O") === want;
  assert.deepEqual(locateYaml(document, ["retryOn"], { sameKey }), { line: 1, column: 11 });
  assert.equal(sourceText(document, ["retryOn"], { sameKey }), "x");
});

Deno.test("bare boolean words are told from quoted ones", () => {
  const document = {
    text: "a: no\nb: 'no'\nc: \"On\"\nd: Y\ne: none\nf: [yes, 'yes']\ng: |\n  no\n",
    line: 1,
  };
  const bare = (...path: (string | number)[]) => isBareBoolean(document, path);
  assert.deepEqual([bare("a"), bare("b"), bare("c"), bare("d"), bare("e")], [
    true,
    false,
    false,
    true,
    false,
  ]);
  assert.deepEqual([bare("f", 0), bare("f", 1), bare("g"), bare("none")], [true, false, false, false]);
  for (const word of ["y", "N", "yes", "No", "ON", "off"]) assert.equal(looksBoolean(word), true);
  for (const word of ["", "true", "none", "o", "yes "]) assert.equal(looksBoolean(word), false);
});

Deno.test("a scalar's source text keeps what the value loses", () => {
  const document = { text: "v: 1.0\nq: '1.10'\nm: {a: 1}\n", line: 1 };
  assert.equal(sourceText(document, ["v"]), "1.0");
  assert.equal(sourceText(document, ["q"]), "1.10");
  assert.equal(sourceText(document, ["m"]), undefined);
  assert.equal(sourceText(document, ["none"]), undefined);
});

Deno.test("no text makes reading or placing throw", () => {
  const piece = fc.constantFrom(
    ..."abc:-[]{}#&*!|>'\"%@`,? \t\n\r",
    "---",
    "...",
    "\n- ",
    ": ",
    "&a ",
    "*a",
    "<<",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }).map((p) => p.join("")), (text) => {
      for (const document of splitDocuments(text)) {
        parseYaml(document);
        locateYaml(document, ["a", 0, "b"]);
        isBareBoolean(document, ["a"]);
      }
    }),
    { seed: 1, numRuns: 500 },
  );
});
