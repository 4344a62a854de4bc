/**
 * Golden programs: each YAML file under compile/ and the model that it compiles to, as JSON.
 * `GOLDEN=write deno test -A tests/golden/compile_test.ts` writes them anew; read the difference before you commit it.
 */
import { deepStrictEqual } from "node:assert";
import { createCompiler } from "../../agent/istio/compile.ts";
import { parseRules } from "../../agent/istio/parse.ts";
import { validateDocument } from "../../agent/istio/validate.ts";

const directory = new URL("./compile/", import.meta.url);

const names = [...Deno.readDirSync(directory)].map((entry) => entry.name);
for (const name of names.filter((n) => n.endsWith(".yaml")).sort()) {
  Deno.test(`compile/${name} gives exactly this program`, () => {
    const text = Deno.readTextFileSync(new URL(name, directory));
    const { documents, diagnostics } = parseRules(name, text, { namespace: "default" });
    const errors = [...diagnostics, ...documents.flatMap((d) => validateDocument(d))]
      .filter((d) => d.severity === "error");
    deepStrictEqual(errors, []);
    const { program } = createCompiler({
      namespace: "default",
      domainSuffix: "svc.cluster.local",
      labels: {},
      outboundTrafficPolicy: "ALLOW_ANY",
    }).update(documents);
    const made = {
      routeConfigurations: [...program.routeConfigurations.values()],
      clusters: [...program.clusters.values()],
      loadAssignments: [...program.loadAssignments.values()],
      listeners: [...program.listeners?.values() ?? []],
    };
    const golden = new URL(name.replace(/\.yaml$/, ".json"), directory);
    if (Deno.env.get("GOLDEN") === "write") {
      Deno.writeTextFileSync(golden, JSON.stringify(made, null, 1) + "\n");
    }
    deepStrictEqual(made, JSON.parse(Deno.readTextFileSync(golden)));
  });
}
