/**
 * Random and mutated rule files: nothing throws, every diagnostic has its place inside the file, and what counts as valid can be
 * compiled and asked. Seeded; a failure prints the seed and the smallest case.
 */
import { ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { formatDiagnostic, hasErrors } from "../../agent/core/diagnostics.ts";
import { ANYBODY } from "../../agent/discovery/offline.ts";
import { checkRules } from "../../agent/istio/check.ts";
import { createCompiler } from "../../agent/istio/compile.ts";
import { notExecuted } from "../../agent/istio/not_executed.ts";
import { type FieldType, MESSAGES } from "../../agent/istio/schema.ts";
import { buildRouteTables } from "../../agent/route/table.ts";
import { viewOf } from "../../agent/route/view.ts";

const SEED = 20260801;
const KINDS = ["VirtualService", "DestinationRule", "ServiceEntry", "WorkloadEntry"];

function examine(text: string): void {
  const { documents, valid, diagnostics } = checkRules(new Map([["f.yaml", text]]), ANYBODY);
  const lines = text.split("\n").length;
  for (const d of [...diagnostics, ...notExecuted(valid)]) {
    const { file, line = 0, column = 0 } = d.where;
    ok(
      file === "f.yaml" && line >= 1 && line <= lines + 1 && column >= 1,
      `not placed: ${formatDiagnostic(d)}`,
    );
    ok(d.message.length < 1500 && !d.message.includes("\n"), `not one sentence: ${d.message}`);
  }
  ok(valid.length <= documents.length);
  if (documents.length > 0 && !hasErrors(diagnostics)) strictEqual(valid.length, documents.length);
  const { program } = createCompiler(ANYBODY).update(valid);
  const tables = buildRouteTables(program);
  for (const path of ["/", "/api/v1", "/a?b=c"]) {
    const decision = tables.select(
      viewOf({ method: "GET", url: `http://a.example.com${path}`, headers: [["x", "y"]] }),
      0.5,
    );
    if (decision.kind === "redirect") {
      decision.route.redirect(viewOf({ method: "GET", url: `http://a.example.com${path}` }));
    }
  }
}

/** Every file that the repository shows or judges. */
const corpus: string[] = [];
for (const directory of ["../../config/examples/", "../../config/rules/", "../golden/rules/"]) {
  const url = new URL(directory, import.meta.url);
  for (const entry of Deno.readDirSync(url)) {
    if (entry.name.endsWith(".yaml")) corpus.push(Deno.readTextFileSync(new URL(entry.name, url)));
  }
}

const scrap = fc.oneof(
  fc.constantFrom(
    ":",
    "- ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    "'",
    '"',
    "&a ",
    "*a",
    "!!str ",
    "|",
    ">",
    "---\n",
    "\t",
    "#",
    "? ",
    "<<: ",
  ),
  fc.constantFrom(
    "null",
    "~",
    "-1",
    "1e99",
    "0x10",
    ".nan",
    "yes",
    "__proto__",
    "constructor",
    "\u0000",
    "é",
    "\r\n",
    "\ufeff",
  ),
  fc.string({ maxLength: 5 }),
);

/** One small wound: delete, insert, repeat or swap a stretch of the text. */
const wound = fc.record({
  at: fc.nat(1_000_000),
  length: fc.nat(30),
  scrap,
  how: fc.constantFrom("delete", "insert", "replace", "repeat", "indent"),
});

function hurt(
  text: string,
  { at, length, scrap, how }: { at: number; length: number; scrap: string; how: string },
): string {
  const from = at % (text.length + 1);
  const cut = text.slice(from, from + length);
  const [head, tail] = [text.slice(0, from), text.slice(from)];
  switch (how) {
    case "delete":
      return head + tail.slice(length);
    case "insert":
      return head + scrap + tail;
    case "replace":
      return head + scrap + tail.slice(length);
    case "repeat":
      return head + cut + tail;
    default:
      return head + tail.replace(/\n/, "\n  ");
  }
}

Deno.test("any text is judged without a throw", () => {
  fc.assert(fc.property(fc.array(scrap, { maxLength: 40 }), (scraps) => examine(scraps.join(""))), {
    seed: SEED,
    numRuns: 1500,
  });
});

Deno.test("wounded examples are judged without a throw", () => {
  fc.assert(
    fc.property(
      fc.nat(corpus.length - 1),
      fc.array(wound, { minLength: 1, maxLength: 4 }),
      (i, wounds) => examine(wounds.reduce(hurt, corpus[i]!)),
    ),
    { seed: SEED, numRuns: 1000 },
  );
});

const texts = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      "a",
      "a.example.com",
      "*.example.com",
      "v1",
      "/",
      "/api",
      "mesh",
      "default",
      "GET",
      "x-user",
      "http",
      "10.0.0.1",
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "",
      "*",
      ".",
      "~",
      "(",
      "[a-z]+",
      "1.2.3.4/8",
      "unix:///x",
      "5xx",
      "::1",
      "a/b",
      "%x",
      "HTTP",
    ),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 6 }) },
);
const numbers = fc.oneof(
  fc.constantFrom(0, 1, 2, 50, 80, 100, 200, 301, 503, 8080),
  fc.integer(),
  fc.double({ noNaN: true }),
);
const anything = fc.oneof(fc.constant(null), fc.boolean(), numbers, texts, fc.constant([]), fc.constant({}));

/** A value of a type, now and then one that is not. */
function valueOf(type: FieldType, depth: number): fc.Arbitrary<unknown> {
  const right = (): fc.Arbitrary<unknown> => {
    if (typeof type === "string") {
      switch (type) {
        case "string":
          return texts;
        case "bool":
          return fc.boolean();
        case "duration":
          return fc.constantFrom("1s", "0s", "250ms", "1m30s", "1us", "-1s", "1h");
        case "bytes":
          return fc.constantFrom("", "aGk=");
        default:
          return numbers;
      }
    }
    if ("message" in type) return messageOf(type.message, depth);
    if ("list" in type) return fc.array(valueOf(type.list, depth), { maxLength: 3 });
    if ("map" in type) return fc.dictionary(texts, valueOf(type.map, depth), { maxKeys: 2 });
    return fc.constantFrom(...type.enum);
  };
  return fc.oneof({ weight: 30, arbitrary: right() }, { weight: 1, arbitrary: anything });
}

function messageOf(name: string, depth = 0): fc.Arbitrary<unknown> {
  const fields = Object.entries(MESSAGES[name]!);
  const shape = Object.fromEntries(fields.map(([field, type]) => [field, valueOf(type, depth + 1)]));
  // Deep down only some fields are given, or everything would contradict everything.
  return fc.subarray(fields.map(([field]) => field), {
    maxLength: depth === 0 ? fields.length : Math.min(3, fields.length),
  }).chain((
    given,
  ) => fc.record(Object.fromEntries(given.map((field) => [field, shape[field]!]))));
}

Deno.test("rules of every field are judged, and the valid ones compiled, without a throw", () => {
  const documents = fc.array(
    fc.constantFrom(...KINDS).chain((kind) =>
      fc.tuple(fc.constant(kind), fc.constantFrom("m", "o"), messageOf(kind))
    ),
    { minLength: 1, maxLength: 5 },
  );
  let valid = 0;
  fc.assert(
    fc.property(documents, (list) => {
      const text = list.map(([kind, name, spec]) =>
        JSON.stringify({ apiVersion: "networking.istio.io/v1", kind, metadata: { name }, spec })
      ).join("\n---\n");
      examine(text);
      valid += checkRules(new Map([["f.yaml", text]]), ANYBODY).valid.length;
    }),
    { seed: SEED, numRuns: 1500 },
  );
  ok(valid > 100, `only ${valid} rules were valid: the generator is of no use`);
});

Deno.test("hostile YAML costs neither time nor memory", () => {
  const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"];
  for (let i = 0; i < 9; i++) {
    const [from, to] = [String.fromCharCode(97 + i), String.fromCharCode(98 + i)];
    bomb.push(`${to}: &${to} [${Array(9).fill(`*${from}`).join(",")}]`);
  }
  const head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: m}\n";
  examine(`${bomb.join("\n")}\n${head}spec: {hosts: *j, http: *i, unknown: *j}\n`);
  examine("apiVersion: v1\nkind: List\nitems: &l\n- {kind: List, apiVersion: v1, items: *l}\n");
  examine(`${head}spec:\n  http: ${"[".repeat(5000)}${"]".repeat(5000)}\n`);
  examine(
    `${head}spec:\n  hosts: [a.example.com]\n  __proto__: {http: []}\n  http: [{route: [{destination: {host: a}}]}]\n`,
  );
});
