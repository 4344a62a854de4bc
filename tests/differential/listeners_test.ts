/** What a real istiod made of TCP and TLS rules, and what our compiler makes of the same: the same listeners. */
import assert from "node:assert/strict";
import { createCompiler } from "../../agent/istio/compile.ts";
import { parseRules } from "../../agent/istio/parse.ts";
import type { Listener } from "../../agent/model/model.ts";
import { createCodec } from "../../agent/xds/codec.ts";
import { listenersOfIstiod, listenersOfOurs, type PlainListener } from "./istiod_listeners.ts";

const RECORDINGS = new URL("../recordings/", import.meta.url);

function compiled(folder: URL): ReadonlyMap<string, Listener> {
  const files = [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
  const documents = files.flatMap((name) =>
    parseRules(name, Deno.readTextFileSync(new URL(name, folder)), { namespace: "default" }).documents
  );
  const { program } = createCompiler({
    namespace: "default",
    domainSuffix: "svc.cluster.local",
    labels: { app: "client" },
    outboundTrafficPolicy: "ALLOW_ANY",
  }).update(documents);
  return program.listeners ?? new Map();
}

/** Listeners that only one side makes on purpose. */
function both(
  theirs: Map<string, PlainListener>,
  ours: Map<string, PlainListener>,
): readonly [unknown, unknown] {
  // Named after a host: for a service whose chains Istio drops, because another one without an address has the port.
  const own = [...ours].filter(([name]) => /^[\d.:a-f]+_\d+$/.test(name));
  return [[...theirs].sort(), own.sort()];
}

for (const scenario of ["istioserver", "bookinfo", "kitchen_sink"]) {
  Deno.test(`listeners of ${scenario}`, () => {
    const folder = new URL(`istiod-2026-08/${scenario}/`, RECORDINGS);
    const answer = JSON.parse(Deno.readTextFileSync(new URL("sotw/003-lds-1.json", folder)));
    const [theirs, ours] = both(
      listenersOfIstiod(answer),
      listenersOfOurs(compiled(new URL("config/", folder))),
    );
    assert.deepEqual(ours, theirs);
  });
}

Deno.test("listeners of rules about little else, by our own decoder", () => {
  const folder = new URL("istiod-2026-08-l4/", RECORDINGS);
  const codec = createCodec();
  const envelope = codec.decodeResponse(Deno.readFileSync(new URL("001-lds-1.bin", folder)), false);
  const decoded = new Map(envelope.resources.flatMap((raw): [string, Listener][] => {
    if (raw.name.startsWith("virtual")) return [];
    const result = codec.decodeListener(raw, { kind: "Listener", resource: raw.name });
    assert.ok("value" in result, raw.name);
    return [[raw.name, result.value]];
  }));
  const made = compiled(new URL("config/", folder));
  const [theirs, ours] = both(listenersOfOurs(decoded), listenersOfOurs(made));
  assert.deepEqual(ours, theirs);
  for (const [name, { additionalAddresses }] of decoded) {
    if (made.has(name)) assert.deepEqual(made.get(name)?.additionalAddresses, additionalAddresses, name);
  }
});
