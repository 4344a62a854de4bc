import assert from "node:assert";
import { locateYaml, type PathPart } from "../core/yaml.ts";
import { fieldText, placesOf } from "./origin.ts";
import { parseRules } from "./parse.ts";
import type { RuleDocument } from "./resources.ts";

function documentsOf(text: string): RuleDocument[] {
  return parseRules("rules.yaml", text, { namespace: "default" }).documents;
}

function* pathsOf(value: unknown, path: readonly PathPart[] = []): Generator<readonly PathPart[]> {
  yield path;
  if (Array.isArray(value)) { for (const [i, item] of value.entries()) yield* pathsOf(item, [...path, i]); }
  else if (typeof value === "object" && value !== null) {
    for (const [key, item] of Object.entries(value)) yield* pathsOf(item, [...path, key]);
  }
}

const BLOCK = `# a comment first
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  "http":
  - name: first   # the dash stands below its key

    match:
      - uri:
          exact: /a
        headers:
          x-user:
            exact: "- no: item"
      -
        uri:
          regex: >-
            /folded
            - text: of it
    route:
    - destination:
        host: reviews
        subset: v1
  -   route:
      - destination: {host: reviews, subset: v2}
        weight: 100
`;

Deno.test("the scan places every field of block-style YAML where the slow parser does", () => {
  const [document] = documentsOf(BLOCK);
  assert.ok(document);
  const place = placesOf(document);
  for (const path of pathsOf(document.spec, ["spec"])) {
    // What stands inside braces has the place of the braces.
    if (fieldText(path).startsWith("spec.http[1].route[0].destination.")) continue;
    const wanted = locateYaml(document.source.document, path);
    const { line, column } = place(path);
    assert.deepStrictEqual({ line, column }, wanted, fieldText(path));
  }
  assert.strictEqual(place(["spec", "http", 1, "route", 0, "destination", "host"]).line, 28);
});

Deno.test("the scan places the objects of a list, and counts lines of the file", () => {
  const text = `---
kind: Ignored
---
apiVersion: v1
kind: List
items:
- apiVersion: networking.istio.io/v1
  kind: VirtualService
  metadata: {name: a}
  spec:
    hosts: [a.com]
    http:
    - route: [{destination: {host: a.com}}]
    - route:
      - destination: {host: b.com}
`;
  const [document] = documentsOf(text);
  assert.ok(document);
  const at = placesOf(document)(["spec", "http", 1]);
  assert.deepStrictEqual(at, {
    file: "rules.yaml",
    line: 14,
    column: 7,
    kind: "VirtualService",
    resource: "default/a",
    field: "spec.http[1]",
  });
});

Deno.test("a rule in JSON has the place of the document, whatever the path", () => {
  const [document] = documentsOf(
    '{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}, ' +
      '"spec": {"hosts": ["a.com"], "http": [{"route": [{"destination": {"host": "a.com"}}]}]}}',
  );
  assert.ok(document);
  const { line, column } = placesOf(document)(["spec", "http", 0]);
  assert.deepStrictEqual({ line, column }, { line: 1, column: 1 });
});
