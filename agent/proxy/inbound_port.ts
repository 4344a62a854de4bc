/**
 * A port of the workload that leads to the local application: what the pipeline asks about it before and after.
 *
 * In: where it listens, what the application speaks, how it is. Out: a Program of one route for the port (the pipeline's own form, so
 * that everything behind it is the same as for outbound traffic), and refusals.
 */
import { MeshError } from "../core/errors.ts";
import type { Program } from "../model/model.ts";
import type { Exchange } from "./exchange.ts";

export const APPLICATION_ADDRESS = "127.0.0.1";

export interface InboundPort {
  readonly protocol: "rest" | "grpc" | "tcp";
  /** Name of its cluster, as Istio has it: `inbound|8084||`. */
  readonly cluster: string;
  /** The application's, on 127.0.0.1. */
  readonly localPort: number;
  /** Why the application's check fails; null = it does not. */
  readonly failing: () => string | null;
}

/** Istio's name since 1.10. */
export function inboundCluster(port: number): string {
  return `inbound|${port}||`;
}

/**
 * Everything that comes to the port goes to the application, without timeout or retries, as in Istio. What a peer claims about the
 * client's certificate is taken out (Envoy's forward_client_cert_details SANITIZE, the default): no certificate was looked at here.
 */
export function inboundProgram(
  { protocol, cluster, localPort }: Pick<InboundPort, "protocol" | "cluster" | "localPort">,
  port: number,
  connectTimeout = "10s",
): Program {
  const loadAssignment = {
    clusterName: cluster,
    endpoints: [{ lbEndpoints: [{ address: APPLICATION_ADDRESS, port: localPort }] }],
  };
  return {
    routeConfigurations: protocol === "tcp" ? new Map() : new Map([["http_proxy", {
      name: "http_proxy",
      ignorePortInHostMatching: true,
      virtualHosts: [{
        name: `inbound|http|${port}`,
        domains: ["*"],
        routes: [{
          name: "default",
          match: { prefix: "/" },
          route: { cluster, timeout: "0s" },
          requestHeadersToRemove: ["x-forwarded-client-cert"],
        }],
      }],
    }]]),
    clusters: new Map([[cluster, {
      name: cluster,
      type: "STATIC",
      lbPolicy: "ROUND_ROBIN",
      connectTimeout,
      ...(protocol === "grpc" ? { httpProtocolOptions: { protocol: "HTTP2" } } : {}),
      loadAssignment,
    }]]),
    loadAssignments: new Map(),
  };
}

/** Ends with 503 while the application's check fails, and with 404 for CONNECT: this is no way out. */
export function admit(inbound: InboundPort, ex: Exchange): void {
  const why = inbound.failing();
  if (why !== null) {
    ex.cluster = inbound.cluster;
    ex.details = "failed_local_healthcheck";
    throw new MeshError(
      "P313",
      `Cannot take the request: the check of ${applicationOf(inbound)} fails: ${why}`,
    );
  }
  if (ex.method !== "CONNECT") return;
  ex.details = "route_not_found";
  throw new MeshError(
    "P201",
    `Cannot connect to "${ex.authority}": this port leads to the application of this workload only`,
  );
}

/** A connection that did not come about means here that the application is down. */
export function applicationDown(inbound: InboundPort, error: MeshError): MeshError {
  if (error.code !== "P303" && error.code !== "P304") return error;
  const what = error.code === "P303" ? "nothing listens there" : "it does not accept the connection in time";
  return new MeshError("P312", `Cannot reach ${applicationOf(inbound)}: ${what}`, {
    side: "upstream",
    retry: error.retry,
    cause: error,
  });
}

function applicationOf({ localPort }: InboundPort): string {
  return `the application on ${APPLICATION_ADDRESS}:${localPort}`;
}
