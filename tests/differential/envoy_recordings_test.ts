/** What recorded control planes sent, as `program --format envoy` prints it: Envoy takes all of it. */
import assert from "node:assert/strict";
import { envoyBootstrap } from "../../agent/admin/envoy_bootstrap.ts";
import type { Json } from "../../agent/admin/envoy_json.ts";
import type { Origin } from "../../agent/core/diagnostics.ts";
import type {
  Cluster,
  ClusterLoadAssignment,
  Listener,
  Program,
  RouteConfiguration,
} from "../../agent/model/model.ts";
import { createCodec } from "../../agent/xds/codec.ts";
import { type DecodeResult, typeOfUrl } from "../../agent/xds/types.ts";
import { makeCertificate } from "../harness/certificate.ts";
import { startEnvoy } from "./envoy.ts";

const RECORDINGS = new URL("../recordings/", import.meta.url);
const codec = createCodec();

async function bytesOf(path: string): Promise<Uint8Array> {
  const bytes = await Deno.readFile(new URL(path, RECORDINGS));
  if (!path.endsWith(".gz")) return bytes;
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(plain).arrayBuffer());
}

/** Every usable resource of the first answers, without any warming. */
async function programOf(folder: string): Promise<Program> {
  const routeConfigurations = new Map<string, RouteConfiguration>();
  const clusters = new Map<string, Cluster>();
  const loadAssignments = new Map<string, ClusterLoadAssignment>();
  const listeners = new Map<string, Listener>();
  const names = [];
  for await (const { name } of Deno.readDir(new URL(folder, RECORDINGS))) {
    if (/\.bin(\.gz)?$/.test(name)) names.push(name);
  }
  for (const name of names.sort()) {
    const envelope = codec.decodeResponse(await bytesOf(`${folder}${name}`), false);
    for (const raw of envelope.resources) {
      const origin: Origin = { kind: "test", resource: raw.name, version: envelope.version };
      const keep = <T>(map: Map<string, T>, result: DecodeResult<T>) => {
        if ("value" in result) map.set(raw.name, result.value);
      };
      switch (typeOfUrl(raw.typeUrl)) {
        case "CDS":
          keep(clusters, codec.decodeCluster(raw, origin));
          break;
        case "EDS":
          keep(loadAssignments, codec.decodeLoadAssignment(raw, origin));
          break;
        case "LDS":
          keep(listeners, codec.decodeListener(raw, origin));
          break;
        case "RDS": {
          const decoding = codec.decodeRouteConfiguration(raw, origin);
          while (decoding.step());
          keep(routeConfigurations, decoding.result());
        }
      }
    }
  }
  return { routeConfigurations, clusters, loadAssignments, listeners };
}

/** Certificates that rules name are on no machine of a test. */
function withFiles(value: Json, files: Readonly<Record<"key" | "certificate", string>>): Json {
  const text = JSON.stringify(
    value,
    (key, each) =>
      key !== "filename" || typeof each !== "string"
        ? each
        : /key/.test(each)
        ? files.key
        : files.certificate,
  );
  return JSON.parse(text);
}

for (
  const folder of [
    "istiod-2026-08/istioserver/sotw/",
    "istiod-2026-08/istioserver/sotw-http-proxy/",
    "istiod-2026-08/kitchen_sink/sotw/",
    "istiod-2026-08/bookinfo/sotw/",
    "istiod-2026-08/thousand/sotw/",
    "pilot-1.0.9/v2/istioserver/basic/",
    "pilot-1.0.9/v2/bookinfo/basic/",
    "pilot-1.0.9/v2/kitchen_sink/basic/",
    "pilot-0.8.0/v2/istioserver/basic/",
    "pilot-0.8.0/v2/bookinfo/basic/",
    "pilot-0.8.0/v2/kitchen_sink/basic/",
  ]
) {
  Deno.test(`Envoy takes the program of ${folder}`, async () => {
    const program = await programOf(folder);
    assert.ok(program.clusters.size > 0 && program.routeConfigurations.size > 0, folder);
    const directory = await Deno.makeTempDir();
    try {
      const { cert, key } = await makeCertificate("a.example", { authority: true });
      const files = { certificate: `${directory}/cert.pem`, key: `${directory}/key.pem` };
      await Deno.writeTextFile(files.certificate, cert);
      await Deno.writeTextFile(files.key, key);
      const address = { hostname: "127.0.0.1", port: 0 };
      const bootstrap = envoyBootstrap(program, { listen: address, admin: address });
      const envoy = await startEnvoy(withFiles(bootstrap, files));
      await envoy.stop();
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}
