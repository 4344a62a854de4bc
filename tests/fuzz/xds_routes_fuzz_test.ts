/**
 * Route tables with flipped bits, cut and put together anew, decoded with and without the table that they replace: both say the
 * same, and what is accepted compiles, decides and explains without throwing. Seeded; a failure prints the seed and the case.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { MeshError } from "../../agent/core/errors.ts";
import { EMPTY_PROGRAM, type RouteConfiguration } from "../../agent/model/model.ts";
import { explain, formatExplanation } from "../../agent/route/explain.ts";
import { buildRouteTables } from "../../agent/route/table.ts";
import { viewOf } from "../../agent/route/view.ts";
import { createCodec } from "../../agent/xds/codec.ts";
import type { DecodeResult, RawResource } from "../../agent/xds/types.ts";

const SEED = 20261124;
const RECORDINGS = new URL("../recordings/", import.meta.url);
const codec = createCodec();

const corpus: readonly RawResource[] = [
  "pilot-0.8.0/v2/kitchen_sink/basic/004-rds.bin",
  "pilot-0.8.0/v2/bookinfo/basic/005-rds.bin",
  "pilot-1.0.9/v2/kitchen_sink/basic/004-rds.bin",
  "istiod-2026-08/kitchen_sink/sotw/004-rds-1.bin",
  "istiod-2026-08/bookinfo/sotw/004-rds-1.bin",
].flatMap((path) => codec.decodeResponse(Deno.readFileSync(new URL(path, RECORDINGS)), false).resources);

type Result = DecodeResult<RouteConfiguration> | "D211";

function decode(raw: RawResource, previous?: RouteConfiguration): Result {
  try {
    const decoding = codec.decodeRouteConfiguration(
      raw,
      { kind: "RouteConfiguration", resource: raw.name, version: "1" },
      previous,
    );
    while (decoding.step());
    return decoding.result();
  } catch (error) {
    assert.ok(error instanceof MeshError && error.code === "D211", String(error));
    return "D211";
  }
}

const known = corpus.map((raw) => {
  const result = decode(raw);
  assert.ok(typeof result === "object" && "value" in result);
  return result.value;
});

const HEADERS: [string, string][] = [["end-user", "jason"], ["origin", "http://a"]];

/** Every virtual host compiles, and can be asked and explained. */
function exercise(table: RouteConfiguration): void {
  const program = { ...EMPTY_PROGRAM, routeConfigurations: new Map([["80", table]]) };
  const tables = buildRouteTables(program);
  for (const [i, host] of table.virtualHosts.entries()) {
    const domain = host.domains[0]?.replace("*", "a").replace(/[^a-z0-9.-].*/s, "") || "a";
    const view = viewOf({
      method: i % 2 ? "GET" : "OPTIONS",
      url: `http://${domain}/a/b?q=1`,
      headers: HEADERS,
    });
    const decision = tables.select(view, 0.5);
    if ("route" in decision && decision.kind === "redirect") decision.route.redirect(view);
    if ("route" in decision) decision.route.rewritePath("/a/b");
    formatExplanation(explain(program, tables, view));
  }
}

/** Problems of a kept virtual host and a new one are told at another place; only that they are there must agree. */
function shape(result: Result): unknown {
  if (result === "D211") return result;
  return "value" in result ? [result.value, result.notes] : "problems";
}

function examine(raw: RawResource, previous: RouteConfiguration): void {
  const alone = decode(raw);
  assert.deepEqual(shape(decode(raw, previous)), shape(alone));
  if (typeof alone === "object" && "value" in alone) exercise(alone.value);
}

Deno.test("tables with flipped and cut bytes decode alike with and without the table before", () => {
  const edit = fc.record({ at: fc.double({ min: 0, max: 0.999, noNaN: true }), bit: fc.nat(8) });
  fc.assert(
    fc.property(fc.nat(corpus.length - 1), fc.array(edit, { minLength: 1, maxLength: 4 }), (n, edits) => {
      const raw = corpus[n] as RawResource;
      let bytes = raw.bytes.slice();
      for (const { at, bit } of edits) {
        const i = Math.floor(at * bytes.length);
        if (bit < 8) bytes[i]! ^= 1 << bit;
        else bytes = bytes.slice(0, i);
      }
      examine({ ...raw, bytes }, known[n] as RouteConfiguration);
    }),
    { seed: SEED, numRuns: 2500 },
  );
});

Deno.test("virtual hosts in another order, left out, repeated and mixed decode alike", () => {
  const parts = corpus.map((raw) => fields(raw.bytes));
  fc.assert(
    fc.property(
      fc.nat(corpus.length - 1),
      fc.array(fc.tuple(fc.nat(corpus.length - 1), fc.nat(40)), { maxLength: 30 }),
      (n, picks) => {
        const bytes = concat(picks.flatMap(([m, i]) => {
          const from = parts[i % 4 === 0 ? m : n] as Uint8Array[];
          return from[i % from.length] ?? [];
        }));
        examine({ ...(corpus[n] as RawResource), bytes }, known[n] as RouteConfiguration);
      },
    ),
    { seed: SEED, numRuns: 1000 },
  );
});

/** The top-level fields of a message whose fields are all shorter than 2^21 bytes. */
function fields(bytes: Uint8Array): Uint8Array[] {
  const list: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const start = at++;
    let length = 0;
    for (let shift = 0;; shift += 7) {
      const byte = bytes[at++] as number;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if ((bytes[start]! & 7) === 2) at += length;
    list.push(bytes.slice(start, at));
  }
  return list;
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
