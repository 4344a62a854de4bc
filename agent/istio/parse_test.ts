import { deepEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { formatDiagnostic } from "../core/diagnostics.ts";
import { hashText, parseRules } from "./parse.ts";
import type { VirtualServiceSpec } from "./resources.ts";

const parse = (text: string) => parseRules("f.yaml", text, { namespace: "default" });
const head = (kind: string, name = "x") =>
  `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${name}}\n`;

Deno.test("documents know their file, first line, name and namespace", () => {
  const { documents } = parse(
    `# a comment\n\n${head("ServiceEntry", "a")}spec: {hosts: [a]}\n---\n\n# two\n${
      head("ServiceEntry", "b")
    }` +
      "spec: {hosts: [b]}\n",
  );
  deepEqual(documents.map((d) => d.origin), [
    { file: "f.yaml", line: 3, kind: "ServiceEntry", resource: "default/a" },
    { file: "f.yaml", line: 10, kind: "ServiceEntry", resource: "default/b" },
  ]);
  deepEqual(documents.map((d) => [d.name, d.namespace]), [["a", "default"], ["b", "default"]]);
});

Deno.test("items of a List are objects with places of their own", () => {
  const { documents, diagnostics } = parse(
    "apiVersion: v1\nkind: List\nitems:\n- apiVersion: networking.istio.io/v1\n  kind: WorkloadEntry\n" +
      "  metadata: {name: w, namespace: ns}\n  spec:\n    adress: 1.2.3.4\n- apiVersion: networking.istio.io/v1\n" +
      "  kind: WorkloadEntry\n  metadata: {name: v}\n  spec: {address: 1.2.3.4}\n",
  );
  strictEqual(documents.length, 1);
  deepEqual(documents[0]!.source.prefix, ["items", 1]);
  deepEqual(diagnostics.map(formatDiagnostic), [
    'f.yaml:8:5: error [Y003] Cannot read field "adress": WorkloadEntry has no such field; did you mean "address"?\n' +
    "    Mend the spelling or delete the field; Kubernetes refuses it too.",
  ]);
  deepEqual(diagnostics[0]!.where, {
    file: "f.yaml",
    line: 8,
    column: 5,
    kind: "WorkloadEntry",
    resource: "ns/w",
    field: "spec.adress",
  });
});

Deno.test("proto-JSON spellings become one", () => {
  const { documents, diagnostics } = parse(
    head("VirtualService") + `spec:
  hosts: [x]
  export_to: null
  http:
  - match: [{ignore_uri_case: true, query_params: {my_key: {exact: z}}}]
    redirect: {redirect_code: "302", derive_port: 1, uri: /x}
  - route: [{destination: {host: x, port: {number: 8e1}}}]
    mirror_percentage: {value: "12.5"}
`,
  );
  deepEqual(diagnostics, []);
  deepEqual(documents[0]!.spec, {
    hosts: ["x"],
    http: [
      {
        // Keys of maps are data and stay as they are.
        match: [{ ignoreUriCase: true, queryParams: { my_key: { exact: "z" } } }],
        redirect: { redirectCode: 302, derivePort: "FROM_REQUEST_PORT", uri: "/x" },
      },
      { route: [{ destination: { host: "x", port: { number: 80 } } }], mirrorPercentage: { value: 12.5 } },
    ],
  });
});

Deno.test("a key in both spellings is refused", () => {
  const { diagnostics, documents, damaged } = parse(
    `${head("VirtualService")}spec: {exportTo: [.], export_to: [.]}\n`,
  );
  deepEqual(diagnostics.map((d) => [d.code, d.where.column]), [["Y009", 23]]);
  deepEqual([documents.length, damaged.length], [0, 1]);
});

Deno.test("damaged objects keep what could be read", () => {
  const { documents, damaged } = parse(
    `${
      head("VirtualService")
    }spec: {hosts: [a], http: [{timeout: soon, name: n, route: [{destination: {host: 5}}]}]}\n`,
  );
  deepEqual(documents, []);
  deepEqual(
    damaged[0]!.spec as VirtualServiceSpec,
    { hosts: ["a"], http: [{ name: "n", route: [{ destination: {} }] }] } as unknown as VirtualServiceSpec,
  );
});

Deno.test("empty entries of lists of messages stay, for validation to judge", () => {
  const { documents, diagnostics } = parse(`${head("VirtualService")}spec: {hosts: [a], http: [null]}\n`);
  deepEqual(diagnostics, []);
  deepEqual(documents[0]!.spec, { hosts: ["a"], http: [null] });
});

Deno.test("own keys that look like parts of JavaScript are data or unknown fields", () => {
  const { diagnostics } = parse(
    `${head("VirtualService")}spec: {hosts: [a], constructor: {}, __proto__: {http: []}, toString: 1}\n`,
  );
  deepEqual(diagnostics.map((d) => d.code), ["Y003", "Y003", "Y003"]);
});

Deno.test("aliases are read as what they stand for", () => {
  const { documents, diagnostics } = parse(
    `${
      head("VirtualService")
    }spec:\n  hosts: [a]\n  http:\n  - name: one\n    route: &r [{destination: {host: a}}]\n` +
      "  - name: two\n    route: *r\n",
  );
  deepEqual(diagnostics, []);
  const [one, two] = (documents[0]!.spec as VirtualServiceSpec).http!;
  deepEqual(one!.route, two!.route);
});

Deno.test("equal text and namespace give equal hashes, anything else another", () => {
  const text = `${head("ServiceEntry")}spec: {hosts: [a]}\n`;
  const hash = (text: string, namespace = "default") =>
    parseRules("f", text, { namespace }).documents[0]!.hash;
  strictEqual(hash(text), hash(`# moved\n---\n${text}`.slice(8 + 4)));
  notStrictEqual(hash(text), hash(text, "other"));
  notStrictEqual(hash(text), hash(text.replace("[a]", "[b]")));
  strictEqual(new Set(Array.from({ length: 20_000 }, (_, i) => hashText(`document ${i}`))).size, 20_000);
  ok(/^[0-9a-f]{16}$/.test(hashText("")));
});
