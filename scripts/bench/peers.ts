/**
 * The peers' configurations: equal work for everyone.
 *
 * A host map of 200 services with 5 names each; every service split 90/10 over two subsets; keep-alive pools; a request
 * id and x-forwarded-for on every request; 15 s time-out, two retries when the connection fails; access log to a file.
 */

export const SERVICES = 200;
/** The service that the load goes to. */
export const TARGET = "svc-100";
export const SMALL_BYTES = 78;
export const LARGE_BYTES = 65_536;
/** The gRPC method that is called; nghttpd tells the content type by the ending. */
export const UNARY_PATH = "/bench.Echo/Unary.grpc";
/** Request and answer: a message of 32 bytes behind its prefix of 5. */
export const GRPC_MESSAGE: Uint8Array = new Uint8Array(37).fill(120).fill(0, 0, 5);
GRPC_MESSAGE[4] = 32;

/** The five names of a service, as Istio's virtual hosts list them. */
export function namesOf(index: number): string[] {
  const name = `svc-${index}`;
  return ["", ".default", ".default.svc", ".default.svc.cluster.local", ".mesh"].map((tail) => name + tail);
}

const services = Array.from({ length: SERVICES }, (_, index) => index);

/** What clients, proxies and the upstream speak with each other. */
export type Speech = "HTTP/1.1" | "HTTP/2";

/** The upstream: one nginx worker, 78 bytes at / and 64 KiB at /large. */
export function upstreamConfig(port: number, directory: string): string {
  return `worker_processes 1; daemon off; master_process off;
pid ${directory}/upstream.pid; error_log stderr crit;
events { worker_connections 16384; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600s; client_max_body_size 0;
  client_body_temp_path ${directory}/upstream-body; client_body_buffer_size 128k;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = / { default_type text/plain; return 200 "${"x".repeat(SMALL_BYTES)}"; }
    location = /large { default_type application/octet-stream; alias ${directory}/large; }
    location = /post { default_type text/plain; return 200 "${"x".repeat(SMALL_BYTES)}"; }
  }
}
`;
}

/** Streams request bodies as every other target does; with buffering nginx would hold or spill them. */
export function nginxConfig(port: number, upstream: number, directory: string, speech: Speech): string {
  const http2 = speech === "HTTP/2";
  const way = http2 ? "grpc" : "proxy";
  return `worker_processes 1; daemon off; master_process off;
pid ${directory}/nginx.pid; error_log stderr crit;
events { worker_connections 16384; }
http {
  log_format line '[$time_iso8601] "$request" $status $body_bytes_sent $request_time "$http_user_agent" $request_id $host $upstream_addr';
  access_log ${directory}/nginx-access.log line buffer=64k flush=1s;
  keepalive_requests 100000000; keepalive_timeout 3600s; client_max_body_size 0;
  proxy_request_buffering off; client_body_temp_path ${directory}/nginx-body; proxy_temp_path ${directory}/nginx-proxy;
  map_hash_max_size 8192; map_hash_bucket_size 128;
  split_clients $request_id $subset { 90% v1; * v2; }
  map $host $service { default "";
${services.map((i) => namesOf(i).map((name) => `    ${name} svc-${i};`).join("\n")).join("\n")}
  }
${
    services.map((i) =>
      ["v1", "v2"].map((v) =>
        `  upstream svc-${i}-${v} { server 127.0.0.1:${upstream}; keepalive 256; keepalive_requests 100000000; keepalive_timeout 3600s; }`
      ).join("\n")
    ).join("\n")
  }
  server {
    listen 127.0.0.1:${port} backlog=4096${http2 ? " http2" : ""};
    location / {
      if ($service = "") { return 404; }
      ${http2 ? "grpc_pass grpc" : "proxy_pass http"}://$service-$subset;
      ${http2 ? "" : 'proxy_http_version 1.1; proxy_set_header Connection "";'}
      ${way}_set_header Host $host;
      ${way}_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      ${way}_set_header X-Request-Id $request_id;
      ${way}_connect_timeout 10s; ${way}_read_timeout 15s;
      ${way}_next_upstream error; ${way}_next_upstream_tries 3;
    }
  }
}
`;
}

/** haproxy's configuration and its map file. */
export function haproxyConfig(
  port: number,
  upstream: number,
  directory: string,
  speech: Speech,
): { config: string; map: string } {
  const options = `pool-max-conn 256${speech === "HTTP/2" ? " proto h2" : ""}`;
  const map = services.flatMap((i) => namesOf(i).map((name) => `${name} svc-${i}`)).join("\n") + "\n";
  const config = `global
  nbthread 1
  maxconn 8000
  log stdout format raw local0 info
defaults
  mode http
  log global
  option httplog
  option forwardfor
  timeout client 3600s
  timeout server 15s
  timeout connect 10s
  timeout http-keep-alive 3600s
  retries 2
  http-reuse always
frontend in
  bind 127.0.0.1:${port} backlog 4096
  maxconn 8000
  unique-id-format %{+X}o%ci%cp%fi%fp%Ts%rt%pid
  unique-id-header x-request-id
  use_backend %[req.hdr(host),lower,map(${directory}/haproxy.map)]
${
    services.map((i) =>
      `backend svc-${i}
  balance roundrobin
  server v1 127.0.0.1:${upstream} weight 90 ${options}
  server v2 127.0.0.1:${upstream} weight 10 ${options}`
    ).join("\n")
  }
`;
  return { config, map };
}

/** Envoy with the filters that Istio gives a sidecar, as JSON. */
export function envoyConfig(
  port: number,
  admin: number,
  upstream: number,
  directory: string,
  speech: Speech,
): string {
  const any = (type: string, rest: object) => ({ "@type": `type.googleapis.com/${type}`, ...rest });
  const filters = "envoy.extensions.filters";
  const cluster = (name: string) => ({
    name,
    type: "STATIC",
    connect_timeout: "10s",
    lb_policy: "LEAST_REQUEST",
    ...(speech === "HTTP/1.1" ? {} : {
      typed_extension_protocol_options: {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": any(
          "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
          { explicit_http_config: { http2_protocol_options: {} } },
        ),
      },
    }),
    circuit_breakers: {
      thresholds: [{
        max_connections: 4294967295,
        max_pending_requests: 4294967295,
        max_requests: 4294967295,
        max_retries: 4294967295,
        track_remaining: true,
      }],
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [{
        lb_endpoints: [{
          endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: upstream } } },
        }],
      }],
    },
  });
  return JSON.stringify({
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: admin } } },
    static_resources: {
      listeners: [{
        name: "in",
        address: { socket_address: { address: "127.0.0.1", port_value: port } },
        filter_chains: [{
          filters: [{
            name: "hcm",
            typed_config: any(`${filters}.network.http_connection_manager.v3.HttpConnectionManager`, {
              stat_prefix: "in",
              use_remote_address: true,
              generate_request_id: true,
              normalize_path: true,
              http_protocol_options: { allow_absolute_url: true },
              tracing: { random_sampling: { value: 1 } },
              access_log: [{
                name: "file",
                typed_config: any("envoy.extensions.access_loggers.file.v3.FileAccessLog", {
                  path: `${directory}/envoy-access.log`,
                }),
              }],
              http_filters: [
                {
                  name: "grpc_stats",
                  typed_config: any(`${filters}.http.grpc_stats.v3.FilterConfig`, {
                    emit_filter_state: true,
                    stats_for_all_methods: false,
                  }),
                },
                { name: "fault", typed_config: any(`${filters}.http.fault.v3.HTTPFault`, {}) },
                { name: "cors", typed_config: any(`${filters}.http.cors.v3.Cors`, {}) },
                { name: "router", typed_config: any(`${filters}.http.router.v3.Router`, {}) },
              ],
              route_config: {
                name: "80",
                validate_clusters: false,
                ignore_port_in_host_matching: true,
                virtual_hosts: services.map((i) => ({
                  name: `svc-${i}`,
                  domains: namesOf(i),
                  include_request_attempt_count: true,
                  routes: [{
                    match: { prefix: "/" },
                    route: {
                      weighted_clusters: {
                        clusters: [
                          { name: `outbound|80|v1|svc-${i}`, weight: 90 },
                          { name: `outbound|80|v2|svc-${i}`, weight: 10 },
                        ],
                      },
                      timeout: "15s",
                      retry_policy: { retry_on: "connect-failure,refused-stream", num_retries: 2 },
                    },
                  }],
                })),
              },
            }),
          }],
        }],
      }],
      clusters: services.flatMap((i) => ["v1", "v2"].map((v) => cluster(`outbound|80|${v}|svc-${i}`))),
    },
  });
}

/** The same as Istio rules: ServiceEntry, DestinationRule and VirtualService per service. */
export function agentRules(upstream: number, speech: Speech): string {
  const port = speech === "HTTP/2" ? "name: grpc, protocol: GRPC" : "name: http, protocol: HTTP";
  return services.map((i) => {
    const host = `svc-${i}.default.svc.cluster.local`;
    return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: svc-${i}, namespace: default }
spec:
  hosts: [${host}]
  ports: [{ number: 80, ${port}, targetPort: ${upstream} }]
  resolution: STATIC
  endpoints:
    - { address: 127.0.0.1, labels: { version: v1 } }
    - { address: 127.0.0.1, labels: { version: v2 } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: svc-${i}, namespace: default }
spec:
  host: ${host}
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: svc-${i}, namespace: default }
spec:
  hosts: [${host}]
  http:
    - timeout: 15s
      retries: { attempts: 2, retryOn: "connect-failure,refused-stream" }
      route:
        - { destination: { host: ${host}, subset: v1 }, weight: 90 }
        - { destination: { host: ${host}, subset: v2 }, weight: 10 }
`;
  }).join("---\n");
}

/** chassis.yaml and router.yaml of a conf directory whose rules lie in its `rules`. */
export function agentSettings(port: number, admin: number): Record<string, string> {
  return {
    "chassis.yaml": `servicecomb:
  protocols:
    http: { listenAddress: "127.0.0.1:${port}" }
    rest-admin: { listenAddress: "127.0.0.1:${admin}" }
  registry:
    registrator: { disabled: true }
    serviceDiscovery: { type: file, address: rules }
`,
    "router.yaml": `router: { infra: file }
`,
    "microservice.yaml": `servicecomb:
  service: { name: bench, version: 1.0.0 }
`,
  };
}
