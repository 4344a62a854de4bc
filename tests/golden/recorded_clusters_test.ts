/**
 * Every recorded CDS and EDS answer of Pilot 0.8.0, Pilot 1.0.9 and istiod, bytes against the protojson beside them: what we
 * decode is what the recorder's own protobuf library read.
 */
import assert from "node:assert/strict";
import { parseDuration } from "../../agent/core/duration.ts";
import type { Origin } from "../../agent/core/diagnostics.ts";
import type { Cluster, ClusterLoadAssignment } from "../../agent/model/model.ts";
import { createCodec } from "../../agent/xds/codec.ts";
import { type Envelope, typeOfUrl } from "../../agent/xds/types.ts";
import { assignmentOfIstiod, assignmentOfOurs, clustersOfIstiod, clustersOfOurs } from "../differential/istiod_model.ts";

// Protojson as it is.
// deno-lint-ignore no-explicit-any
type Json = any;

const RECORDINGS = new URL("../recordings/", import.meta.url);
const codec = createCodec();

function filesIn(folder: string, pattern: RegExp): string[] {
  const found: string[] = [];
  for (const entry of Deno.readDirSync(new URL(folder, RECORDINGS))) {
    const path = folder + entry.name;
    if (entry.isDirectory) found.push(...filesIn(`${path}/`, pattern));
    else if (pattern.test(path)) found.push(path);
  }
  return found.sort();
}

const bytesOf = (path: string): Uint8Array => Deno.readFileSync(new URL(path, RECORDINGS));
const jsonOf = (path: string): Json => JSON.parse(Deno.readTextFileSync(new URL(path, RECORDINGS)));
const exists = (path: string): boolean => {
  try {
    return Deno.statSync(new URL(path, RECORDINGS)).isFile;
  } catch {
    return false;
  }
};
const isDelta = (path: string): boolean => /\/(updates-)?delta\//.test(path);

/** The resources of a protojson answer: bare (istiod), in a wrapper (delta), or as `value` (v2). */
const resourcesOf = (answer: Json): Json[] =>
  (answer.resources ?? []).map((r: Json) => r.resource ?? r.value ?? r);

function decodeAll<T>(envelope: Envelope, decode: (raw: Envelope["resources"][number], origin: Origin) => Json): T[] {
  return envelope.resources.map((raw) => {
    const result = decode(raw, { kind: "test", resource: raw.name });
    if ("problems" in result) assert.fail(`${raw.name}: ${JSON.stringify(result.problems)}`);
    return result.value;
  });
}

const clustersOf = (envelope: Envelope): Cluster[] =>
  decodeAll(envelope, (raw, origin) => codec.decodeCluster(raw, origin));
const assignmentsOf = (envelope: Envelope): ClusterLoadAssignment[] =>
  decodeAll(envelope, (raw, origin) => codec.decodeLoadAssignment(raw, origin));

/** What the oracle does not look at. */
function comparable(cluster: Cluster): Cluster {
  const { edsInitialFetchTimeout: _wait, tlsModeIstio: _tls, ...rest } = cluster;
  return rest;
}

function checkHead(path: string, envelope: Envelope, answer: Json): void {
  assert.equal(envelope.version, answer.version_info ?? answer.system_version_info, path);
  assert.equal(envelope.nonce, answer.nonce, path);
  assert.equal(envelope.typeUrl, answer.type_url, path);
  assert.deepEqual(
    envelope.resources.map(({ name }) => name),
    resourcesOf(answer).map((r) => r.cluster_name ?? r.name),
    path,
  );
  assert.deepEqual(envelope.removed, answer.removed_resources ?? [], path);
}

Deno.test("every CDS answer of istiod", () => {
  let clusters = 0;
  for (const path of filesIn("istiod-2026-08/", /-cds-\d+\.bin$/)) {
    const envelope = codec.decodeResponse(bytesOf(path), isDelta(path));
    const ours = clustersOf(envelope);
    clusters += ours.length;
    if (!exists(path.replace(".bin", ".json"))) continue;
    const answer = jsonOf(path.replace(".bin", ".json"));
    checkHead(path, envelope, answer);
    const resources = resourcesOf(answer);
    const wanted = clustersOfIstiod({ resources: structuredClone(resources) });
    for (const cluster of wanted.values()) {
      // The host of a request is looked up and dialled: our original destination.
      if (cluster.type === "(extension)") cluster.type = "ORIGINAL_DST";
    }
    assert.deepEqual(
      Object.fromEntries(clustersOfOurs(new Map(ours.map((c) => [c.name, comparable(c)])))),
      Object.fromEntries(wanted),
      path,
    );
    resources.forEach((resource, i) => checkIstioTls(ours[i]!, resource));
  }
  assert.equal(clusters, 354);
});

/** transport_socket_matches and the wait for endpoints, that the oracle leaves out. */
function checkIstioTls(cluster: Cluster, resource: Json): void {
  const wait = resource.eds_cluster_config?.eds_config?.initial_fetch_timeout;
  assert.equal(cluster.edsInitialFetchTimeout, wait, cluster.name);
  const socket = resource.transport_socket_matches?.find((m: Json) => m.match?.tlsMode === "istio")
    ?.transport_socket?.typed_config;
  const config = socket?.transport_socket?.typed_config ?? socket;
  assert.equal(cluster.tlsModeIstio?.sni, config?.sni, cluster.name);
  assert.equal(cluster.tlsModeIstio?.mode, config === undefined ? undefined : "ISTIO_MUTUAL", cluster.name);
  const names = config?.common_tls_context.combined_validation_context.default_validation_context
    ?.match_subject_alt_names;
  assert.deepEqual(cluster.tlsModeIstio?.subjectAltNames, names?.map((n: Json) => n.exact), cluster.name);
}

Deno.test("every EDS answer of istiod", () => {
  let endpoints = 0;
  for (const path of filesIn("istiod-2026-08/", /-eds-\d+\.bin$/)) {
    const envelope = codec.decodeResponse(bytesOf(path), isDelta(path));
    const ours = assignmentsOf(envelope);
    for (const assignment of ours) {
      for (const locality of assignment.endpoints) endpoints += locality.lbEndpoints.length;
    }
    if (!exists(path.replace(".bin", ".json"))) continue;
    const answer = jsonOf(path.replace(".bin", ".json"));
    checkHead(path, envelope, answer);
    resourcesOf(answer).forEach((resource, i) => checkAssignment(path, ours[i]!, resource));
  }
  assert.equal(endpoints, 578);
});

function checkAssignment(path: string, ours: ClusterLoadAssignment, resource: Json): void {
  assert.equal(ours.clusterName, resource.cluster_name);
  assert.deepEqual(assignmentOfOurs(ours), assignmentOfIstiod(structuredClone(resource)), path);
  const localities: Json[] = resource.endpoints ?? [];
  assert.deepEqual(
    ours.endpoints.map((l) => [l.priority ?? 0, l.loadBalancingWeight]),
    localities.map((l) => [l.priority ?? 0, l.load_balancing_weight]),
    path,
  );
  const modeOf = (e: Json): string | undefined =>
    e.metadata?.filter_metadata?.["envoy.transport_socket_match"]?.tlsMode;
  assert.deepEqual(
    ours.endpoints.flatMap((l) => l.lbEndpoints.map((e) => e.tlsMode)),
    localities.flatMap((l) => (l.lb_endpoints ?? []).map(modeOf)),
    path,
  );
}

const V2_POLICIES: Readonly<Record<string, string>> = { ORIGINAL_DST_LB: "CLUSTER_PROVIDED" };

for (const [server, clusterCount, endpointCount] of [["0.8.0", 266, 267], ["1.0.9", 70, 64]] as const) {
  Deno.test(`every CDS and EDS answer of Pilot ${server}`, () => {
    let clusters = 0;
    let endpoints = 0;
    for (const path of filesIn(`pilot-${server}/`, /-[ce]ds\.bin$/)) {
      const envelope = codec.decodeResponse(bytesOf(path), false);
      const answer = jsonOf(path.replace(".bin", ".json"));
      checkHead(path, envelope, answer);
      const resources = resourcesOf(answer);
      if (typeOfUrl(envelope.typeUrl) === "CDS") {
        const ours = clustersOf(envelope);
        clusters += ours.length;
        resources.forEach((resource, i) => checkV2Cluster(path, ours[i]!, resource));
      } else {
        const ours = assignmentsOf(envelope);
        resources.forEach((resource, i) => {
          const addresses = (resource.endpoints ?? []).flatMap((l: Json) =>
            (l.lb_endpoints ?? []).map((e: Json) => addressOf(e.endpoint.address))
          );
          endpoints += addresses.length;
          assert.deepEqual(addressesOf(ours[i]!), addresses, path);
        });
      }
    }
    assert.deepEqual([clusters, endpoints], [clusterCount, endpointCount]);
  });
}

const addressOf = ({ socket_address }: Json): string => `${socket_address.address} ${socket_address.port_value}`;
const addressesOf = (assignment: ClusterLoadAssignment | undefined): string[] =>
  (assignment?.endpoints ?? []).flatMap((l) => l.lbEndpoints.map((e) => `${e.address} ${e.port}`));

function checkV2Cluster(path: string, ours: Cluster, resource: Json): void {
  const about = `${path} ${ours.name}`;
  const policy = resource.lb_policy ?? "ROUND_ROBIN";
  assert.equal(ours.name, resource.name, about);
  assert.equal(ours.type, resource.type ?? "STATIC", about);
  assert.equal(ours.lbPolicy, V2_POLICIES[policy] ?? policy, about);
  const timeout = resource.connect_timeout ?? "5s";
  assert.equal(parseDuration(ours.connectTimeout), parseDuration(timeout), about);
  // 0.8.0 leaves the name in clusters whose type it changed to ORIGINAL_DST.
  const service = ours.type === "EDS" ? resource.eds_cluster_config.service_name : undefined;
  assert.equal(ours.edsServiceName, service, about);
  assert.deepEqual(addressesOf(ours.loadAssignment), (resource.hosts ?? []).map(addressOf), about);
  const limits = resource.circuit_breakers?.thresholds[0];
  assert.equal(ours.circuitBreakers?.maxConnections, limits?.max_connections, about);
  assert.equal(ours.circuitBreakers?.maxRetries, limits?.max_retries, about);
  assert.equal(ours.outlierDetection?.consecutive5xx, resource.outlier_detection?.consecutive_5xx, about);
  assert.equal(ours.ringHash?.minimumRingSize, Number(resource.ring_hash_lb_config?.minimum_ring_size ?? 0) || undefined, about);
  const protocol = resource.http2_protocol_options === undefined ? undefined : "HTTP2";
  assert.equal(ours.httpProtocolOptions?.protocol, protocol, about);
  const tls = resource.tls_context;
  assert.equal(ours.tls === undefined, tls === undefined, about);
  assert.equal(ours.tls?.sni, tls?.sni, about);
  assert.equal(
    ours.tls?.caCertificates,
    tls?.common_tls_context?.validation_context?.trusted_ca?.filename,
    about,
  );
}

async function gunzip(path: string): Promise<Uint8Array> {
  const file = await Deno.open(new URL(path, RECORDINGS));
  return new Uint8Array(await new Response(file.readable.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

Deno.test("istiod with 1,000 services", async () => {
  const cds = codec.decodeResponse(await gunzip("istiod-2026-08/thousand/sotw/001-cds-1.bin.gz"), false);
  const clusters = clustersOf(cds);
  assert.equal(clusters.length, 3003);
  assert.equal(clusters.filter(({ type }) => type === "EDS").length, 3000);
  const eds = codec.decodeResponse(await gunzip("istiod-2026-08/thousand/sotw/002-eds-1.bin.gz"), false);
  const assignments = assignmentsOf(eds);
  assert.equal(assignments.length, 3000);
  const names = new Set(clusters.filter(({ type }) => type === "EDS").map(({ edsServiceName }) => edsServiceName));
  assert.deepEqual(new Set(assignments.map(({ clusterName }) => clusterName)), names);
  assert.ok(assignments.every((a) => addressesOf(a).length > 0));
});
