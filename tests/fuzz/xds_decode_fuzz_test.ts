/**
 * Recorded answers with flipped bits, cut, torn apart and put together: decoding gives a value, problems with their place, or
 * MeshError D211, and nothing else; it always ends. Seeded; a failure prints the seed and the smallest case.
 */
import { ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import type { Diagnostic, Origin } from "../../agent/core/diagnostics.ts";
import { MeshError } from "../../agent/core/errors.ts";
import { createCodec } from "../../agent/xds/codec.ts";
import { type DecodeResult, type RawResource, typeOfUrl } from "../../agent/xds/types.ts";

const SEED = 20261124;
const RECORDINGS = new URL("../recordings/", import.meta.url);
const codec = createCodec();

/** One answer of every kind: generations, types, state-of-the-world and delta. */
const FILES: readonly string[] = [
  ...["001-cds", "002-eds", "003-lds", "004-rds"].flatMap((name) => [
    `pilot-0.8.0/v2/kitchen_sink/basic/${name}.bin`,
    `pilot-1.0.9/v2/kitchen_sink/basic/${name}.bin`,
    `istiod-2026-08/kitchen_sink/sotw/${name}-1.bin`,
    `istiod-2026-08/istioserver/sotw/${name}-1.bin`,
    `istiod-2026-08/istioserver/delta/${name}-1.bin`,
  ]),
];
const corpus = FILES.map((path) => ({
  path,
  delta: path.includes("/delta/"),
  bytes: Deno.readFileSync(new URL(path, RECORDINGS)),
}));

/** Whatever it throws is D211. */
function guarded<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    ok(error instanceof MeshError, `threw ${error instanceof Error ? error.stack : error}`);
    strictEqual(error.code, "D211");
    ok(error.message.length < 500 && !error.message.includes("\n"), `not one sentence: ${error.message}`);
    return undefined;
  }
}

function decodeResource(raw: RawResource): DecodeResult<unknown> | undefined {
  const origin: Origin = { kind: "test", resource: raw.name, version: "1" };
  switch (typeOfUrl(raw.typeUrl)) {
    case "CDS":
      return codec.decodeCluster(raw, origin);
    case "EDS":
      return codec.decodeLoadAssignment(raw, origin);
    case "LDS":
      return codec.decodeListener(raw, origin);
    case "RDS": {
      const decoding = codec.decodeRouteConfiguration(raw, origin);
      while (decoding.step());
      return decoding.result();
    }
    default:
      return undefined;
  }
}

function examine(bytes: Uint8Array, delta: boolean): void {
  const envelope = guarded(() => codec.decodeResponse(bytes, delta));
  for (const raw of envelope?.resources ?? []) examineResource(raw);
}

function examineResource(raw: RawResource): void {
  const result = guarded(() => decodeResource(raw));
  if (result === undefined) return;
  const found: readonly Diagnostic[] = "problems" in result ? result.problems : result.notes;
  if ("problems" in result) ok(found.length > 0, "refused without a reason");
  else structuredClone(result.value);
  for (const d of found) {
    ok(d.where.kind !== undefined && d.where.field !== undefined, `not placed: ${JSON.stringify(d)}`);
    ok(d.message.length < 2000 && !d.message.includes("\n"), `not one sentence: ${d.message}`);
  }
}

const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const edit = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("flip"), at: fraction, value: fc.nat(7) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("set"), at: fraction, value: fc.nat(255) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut"), at: fraction, value: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("insert"), at: fraction, value: fc.nat(255) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("end"), at: fraction, value: fc.nat(0) }) },
);

function edited(
  bytes: Uint8Array,
  edits: readonly { kind: string; at: number; value: number }[],
): Uint8Array {
  let result = Uint8Array.from(bytes);
  for (const { kind, at, value } of edits) {
    const i = Math.floor(at * result.length);
    if (kind === "flip" && i < result.length) result[i]! ^= 1 << value;
    else if (kind === "set" && i < result.length) result[i] = value;
    else if (kind === "cut") result = concat(result.subarray(0, i), result.subarray(i + value));
    else if (kind === "insert") {
      result = concat(result.subarray(0, i), Uint8Array.of(value), result.subarray(i));
    } else if (kind === "end") result = result.slice(0, i);
  }
  return result;
}

function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

Deno.test("the corpus itself decodes", () => {
  let resources = 0;
  for (const { bytes, delta } of corpus) {
    for (const raw of codec.decodeResponse(bytes, delta).resources) {
      const result = decodeResource(raw);
      ok(result !== undefined && "value" in result, `${raw.name}: ${JSON.stringify(result)}`);
      resources++;
    }
  }
  ok(resources > 200, `${resources} resources`);
});

Deno.test("edited answers", () => {
  fc.assert(
    fc.property(fc.nat(corpus.length - 1), fc.array(edit, { minLength: 1, maxLength: 5 }), (n, edits) => {
      const { bytes, delta } = corpus[n]!;
      examine(edited(bytes, edits), delta);
    }),
    { seed: SEED, numRuns: 400 },
  );
});

const resources = corpus.flatMap(({ bytes, delta }) => [...codec.decodeResponse(bytes, delta).resources]);

Deno.test("edited resources", () => {
  fc.assert(
    fc.property(fc.nat(resources.length - 1), fc.array(edit, { minLength: 1, maxLength: 4 }), (n, edits) => {
      const raw = resources[n]!;
      examineResource({ ...raw, bytes: edited(raw.bytes, edits) });
    }),
    { seed: SEED, numRuns: 4000 },
  );
});

Deno.test("resources read as another type", () => {
  const urls = [...new Set(resources.map(({ typeUrl }) => typeUrl))];
  for (const raw of resources) {
    for (const typeUrl of urls) examineResource({ ...raw, typeUrl });
  }
});

Deno.test("every cut of a small answer", () => {
  for (const { bytes, delta } of corpus.filter(({ bytes }) => bytes.length < 3000)) {
    for (let length = 0; length < bytes.length; length++) examine(bytes.subarray(0, length), delta);
  }
});

Deno.test("bytes at random", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, delta) => {
      examine(bytes, delta);
      for (const typeUrl of new Set(resources.map((r) => r.typeUrl))) {
        examineResource({ name: "", version: "", typeUrl, bytes });
      }
    }),
    { seed: SEED, numRuns: 2000 },
  );
});
