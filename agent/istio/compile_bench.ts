/**
 * Compiling 10,000 services (10 endpoints, 3 routes, 2 subsets each) without parsing, and updates among them. Run with
 * `deno bench -A agent/istio/compile_bench.ts`.
 */
import { createCompiler } from "./compile.ts";
import { hashText } from "./parse.ts";
import type { Kind, ProxyContext, RuleDocument } from "./resources.ts";

const COUNT = 10_000;
const PROXY: ProxyContext = {
  namespace: "default",
  domainSuffix: "svc.cluster.local",
  labels: {},
  outboundTrafficPolicy: "ALLOW_ANY",
};

let line = 1;

function document<S>(kind: Kind, name: string, spec: S, head: string): RuleDocument<S> {
  const text = `kind: ${kind}\nmetadata:\n  name: ${name}\nspec:\n${head}`;
  const place = line;
  line += text.split("\n").length;
  return {
    kind,
    name,
    namespace: "default",
    labels: {},
    annotations: {},
    spec,
    origin: { file: "all.yaml", line: place, kind, resource: `default/${name}` },
    source: { document: { text, line: place }, prefix: [] },
    hash: hashText(text, JSON.stringify(spec)),
  };
}

function serviceEntry(i: number, lastOctet: number): RuleDocument {
  const endpoints = Array.from({ length: 10 }, (_, k) => ({
    address: `10.${(i >> 8) & 255}.${i & 255}.${k === 0 ? lastOctet : k + 1}`,
    labels: { app: `svc-${i}`, version: k % 2 === 0 ? "v1" : "v2" },
  }));
  const lines = "  hosts:\n    - x\n  ports:\n    - number: 80\n  resolution: STATIC\n  endpoints:\n";
  const spec = {
    hosts: [`svc-${i}.default.svc.cluster.local`],
    location: "MESH_INTERNAL",
    resolution: "STATIC",
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    endpoints,
  };
  return document(
    "ServiceEntry",
    `svc-${i}`,
    spec,
    lines + "    - address: x\n      labels: {}\n".repeat(10),
  );
}

function destinationRule(i: number): RuleDocument {
  const spec = {
    host: `svc-${i}.default.svc.cluster.local`,
    subsets: [{ name: "v1", labels: { version: "v1" } }, { name: "v2", labels: { version: "v2" } }],
  };
  return document(
    "DestinationRule",
    `svc-${i}`,
    spec,
    "  host: x\n  subsets:\n    - name: v1\n    - name: v2\n",
  );
}

function virtualService(i: number, weight: number): RuleDocument {
  const host = `svc-${i}.default.svc.cluster.local`;
  const spec = {
    hosts: [host],
    http: [
      {
        name: "canary",
        match: [{ headers: { "end-user": { exact: "jason" } } }],
        route: [{ destination: { host, subset: "v2" } }],
      },
      { name: "api", match: [{ uri: { prefix: "/api" } }], route: [{ destination: { host, subset: "v1" } }] },
      {
        name: "split",
        route: [
          { destination: { host, subset: "v1" }, weight },
          { destination: { host, subset: "v2" }, weight: 100 - weight },
        ],
      },
    ],
  };
  const http = "    - name: a\n      match:\n        - headers:\n            x: {exact: y}\n      route:\n" +
    "        - destination:\n            host: x\n            subset: v2\n";
  return document("VirtualService", `svc-${i}`, spec, `  hosts:\n    - x\n  http:\n${http}${http}${http}`);
}

const documents: RuleDocument[] = [];
for (let i = 0; i < COUNT; i++) {
  documents.push(serviceEntry(i, 1), destinationRule(i), virtualService(i, 90));
}

Deno.bench("compile 10,000 services from nothing", { n: 3, warmup: 1 }, () => {
  createCompiler(PROXY).update(documents);
});

const compiler = createCompiler(PROXY);
compiler.update(documents);
let turn = 0;

function replace(at: number, made: RuleDocument): RuleDocument[] {
  const before = documents[at] as RuleDocument;
  const next = documents.slice();
  next[at] = { ...made, origin: before.origin, source: before.source };
  return next;
}

Deno.bench("one VirtualService of 10,000 changes its weights", () => {
  compiler.update(replace(3 * 5000 + 2, virtualService(5000, turn++ % 100)));
});

Deno.bench("one ServiceEntry of 10,000 changes an endpoint", () => {
  compiler.update(replace(3 * 5000, serviceEntry(5000, turn++ % 250)));
});

Deno.bench("one DestinationRule of 10,000 is gone and comes back", () => {
  compiler.update(turn++ % 2 === 0 ? documents.toSpliced(3 * 5000 + 1, 1) : documents);
});

Deno.bench("a service with its rules comes and goes", () => {
  const more = [serviceEntry(COUNT, 1), destinationRule(COUNT), virtualService(COUNT, 50)];
  compiler.update(turn++ % 2 === 0 ? documents : [...documents, ...more]);
});
