/** A table of 10,000 virtual hosts as istiod writes them: all new, and one of them changed. */
import { loadSchema, type Messages, type Partly } from "../../protos/schema.ts";
import { decodeRouteConfiguration } from "./decode_route.ts";
import type { RouteConfiguration } from "../model/model.ts";

const HOSTS = 10_000;
const schema = loadSchema();
const origin = { kind: "RouteConfiguration", resource: "http_proxy", version: "1" };

function hostOf(i: number, changed: boolean): Partly<Messages["VirtualHost"]> {
  const service = `service-${i}`;
  const fqdn = `${service}.namespace-${i % 50}.svc.cluster.local`;
  const zero = { seconds: 0, nanos: 0 };
  const rule = `/apis/networking.istio.io/v1/namespaces/default/virtual-service/${service}`;
  return {
    name: `${fqdn}:8080`,
    domains: [
      service,
      `${service}.namespace-${i % 50}`,
      `${service}.namespace-${i % 50}.svc`,
      fqdn,
      `${fqdn}.`,
    ],
    routes: [{
      name: "default",
      match: { prefix: "/", case_sensitive: { value: true } },
      metadata: { filter_metadata: { istio: schema.jsonToStruct({ config: rule }) } },
      decorator: { operation: `${fqdn}:8080/*` },
      route: {
        weighted_clusters: {
          clusters: [
            { name: `outbound|8080|v1|${fqdn}`, weight: { value: changed ? 60 : 80 } },
            { name: `outbound|8080|v2|${fqdn}`, weight: { value: changed ? 40 : 20 } },
          ],
        },
        timeout: zero,
        max_grpc_timeout: zero,
        retry_policy: {
          retry_on: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
          num_retries: { value: 2 },
          host_selection_retry_max_attempts: 5,
          retry_host_predicate: [{ name: "envoy.retry_host_predicates.previous_hosts" }],
        },
      },
    }],
  };
}

function table(changed: number): Uint8Array {
  return schema.encode("RouteConfiguration", {
    name: "http_proxy",
    virtual_hosts: Array.from({ length: HOSTS }, (_, i) => hostOf(i, i === changed)),
  });
}

function decode(bytes: Uint8Array, previous?: RouteConfiguration): RouteConfiguration {
  const decoding = decodeRouteConfiguration(
    schema,
    { name: "http_proxy", version: "", typeUrl: "", bytes },
    origin,
    previous,
  );
  while (decoding.step());
  const result = decoding.result();
  if (!("value" in result)) throw new TypeError(result.problems[0]?.message);
  return result.value;
}

const before = table(-1);
const after = table(5_000);
const held = decode(before);

Deno.bench(`${HOSTS} virtual hosts, all new`, () => void decode(before));
Deno.bench(`${HOSTS} virtual hosts, one changed`, () => void decode(after, held));
