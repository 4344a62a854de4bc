/** Recorded scenarios, and the rules that the control plane was given in each. */
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import type { ProxyContext } from "../../../agent/istio/resources.ts";

const RECORDINGS = new URL("../../recordings/", import.meta.url);

export interface Scenario {
  /** Folder of the answers, below tests/recordings. */
  readonly path: string;
  /** Labels of the workload that asked. */
  readonly labels: Readonly<Record<string, string>>;
  /** Fields of the time that Istio has dropped, each with what says the same today. */
  readonly renewed?: readonly (readonly [then: string, now: string])[];
  /** Folder of the rules beside that of the answers; default `config`. */
  readonly rules?: string;
  /** Answers of other recordings, for names that this one was not asked for. */
  readonly also?: readonly string[];
  /** Ends of the names of routes that no request can take, because one before takes all of theirs. */
  readonly shadowed?: readonly string[];
  /** What the recorded Sidecar resource imports, by the names of the objects; everything else is blocked. Default: everything. */
  readonly imports?: readonly string[];
  /** Too many routes for each to be taken. */
  readonly sampled?: true;
}

/** As the recorded node `sidecar~10.1.1.7~app-1.default~default.svc.cluster.local` has it. */
export function contextOf({ labels, imports }: Scenario): ProxyContext {
  return {
    namespace: "default",
    domainSuffix: "svc.cluster.local",
    labels,
    outboundTrafficPolicy: imports === undefined ? "ALLOW_ANY" : "REGISTRY_ONLY",
  };
}

/** File name to YAML text, in today's fields. */
export function rulesOf({ path, rules = "config", renewed = [], imports }: Scenario): Map<string, string> {
  const files = recordedRulesOf(path, rules);
  for (const [then, now] of renewed) {
    const found = [...files].filter(([, text]) => text.includes(then));
    assert.ok(found.length > 0, `${path}: no file has ${then}`);
    for (const [name, text] of found) files.set(name, text.replaceAll(then, now));
  }
  if (imports !== undefined) {
    const name = new RegExp(`^metadata: \\{name: (?:${imports.join("|")}),`, "m");
    for (const [file, text] of files) {
      files.set(file, text.split(/^---$/m).filter((object) => name.test(object)).join("---"));
    }
  }
  return files;
}

function recordedRulesOf(path: string, folder: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const [name, bytes] of filesIn(path.replace(/[^/]+$/, `${folder}/`))) {
    if (name.endsWith(".yaml")) files.set(name, new TextDecoder().decode(bytes));
    else if (name.endsWith(".tar.gz")) {
      for (const [inner, text] of filesOfTar(new Uint8Array(gunzipSync(bytes)))) files.set(inner, text);
    }
  }
  return files;
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
