/** Recorded scenarios: the rules that a control plane was given, and what it answered. */
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import type { ProxyContext } from "../../../agent/istio/resources.ts";
import type { Generation, ResourceType, XdsCodec } from "../../../agent/xds/types.ts";
import { typeOfUrl } from "../../../agent/xds/types.ts";

const RECORDINGS = new URL("../../recordings/", import.meta.url);

export interface Scenario {
  /** Folder of the answers, below tests/recordings. */
  readonly path: string;
  /** Labels of the workload that asked. */
  readonly labels: Readonly<Record<string, string>>;
  /** Fields of the time that Istio has dropped, each with what says the same today. */
  readonly renewed?: readonly (readonly [then: string, now: string])[];
}

export function generationOf({ path }: Scenario): Generation {
  return path.startsWith("istiod") ? "v3" : "v2";
}

export function isDelta({ path }: Scenario): boolean {
  return path.endsWith("/delta");
}

/** As the recorded node `sidecar~10.1.1.7~app-1.default~default.svc.cluster.local` has it. */
export function contextOf({ labels }: Scenario): ProxyContext {
  return {
    namespace: "default",
    domainSuffix: "svc.cluster.local",
    labels,
    outboundTrafficPolicy: "ALLOW_ANY",
  };
}

/** File name to YAML text, in today's fields. */
export function rulesOf({ path, renewed = [] }: Scenario): Map<string, string> {
  const files = recordedRulesOf(path);
  for (const [then, now] of renewed) {
    const found = [...files].filter(([, text]) => text.includes(then));
    assert.ok(found.length > 0, `${path}: no file has ${then}`);
    for (const [name, text] of found) files.set(name, text.replaceAll(then, now));
  }
  return files;
}

function recordedRulesOf(path: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const [name, bytes] of filesIn(path.replace(/[^/]+$/, "config/"))) {
    if (name.endsWith(".yaml")) files.set(name, new TextDecoder().decode(bytes));
    else if (name.endsWith(".tar.gz")) {
      for (const [inner, text] of filesOfTar(new Uint8Array(gunzipSync(bytes)))) files.set(inner, text);
    }
  }
  return files;
}

export interface RecordedAnswer {
  readonly type: ResourceType;
  readonly names: readonly string[];
  readonly bytes: Uint8Array;
}

export function answersOf(scenario: Scenario, codec: XdsCodec): RecordedAnswer[] {
  const answers: RecordedAnswer[] = [];
  for (const [name, stored] of filesIn(`${scenario.path}/`)) {
    if (!/\.bin(\.gz)?$/.test(name)) continue;
    const bytes = name.endsWith(".gz") ? new Uint8Array(gunzipSync(stored)) : stored;
    const { typeUrl, resources } = codec.decodeResponse(bytes, isDelta(scenario));
    answers.push({
      type: typeOfUrl(typeUrl) as ResourceType,
      names: resources.map((resource) => resource.name),
      bytes,
    });
  }
  return answers;
}

function filesIn(folder: string): [string, Uint8Array][] {
  const url = new URL(folder, RECORDINGS);
  const names = [...Deno.readDirSync(url)].filter((entry) => entry.isFile).map((entry) => entry.name).sort();
  return names.map((name) => [name, Deno.readFileSync(new URL(name, url))]);
}

/** Regular files of a ustar archive. */
function* filesOfTar(archive: Uint8Array): Generator<[string, string]> {
  const text = new TextDecoder();
  const field = (at: number, length: number) =>
    text.decode(archive.subarray(at, at + length)).replace(/\0.*$/s, "");
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0;) {
    const size = parseInt(field(at + 124, 12), 8);
    if (field(at + 156, 1) === "0") {
      yield [field(at, 100).replace(/^\.\//, ""), text.decode(archive.subarray(at + 512, at + 512 + size))];
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
}
