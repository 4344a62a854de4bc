/** ServiceEntry: rows SE-E1 to SE-E14 and SE-W1 to SE-W6. */
import { nearest } from "../core/suggest.ts";
import { isWildcard } from "./host_pattern.ts";
import { type At, type Remarks } from "./remark.ts";
import type { ServiceEntrySpec, ServicePort, WorkloadEntrySpec } from "./resources.ts";
import {
  dnsLabelProblem,
  fqdnProblem,
  isIp,
  judgeExportTo,
  judgeLabels,
  judgeSelectorLabels,
  portProblem,
  subnetProblem,
  unixPathProblem,
  wildcardHostProblem,
} from "./validate_primitives.ts";
import { judgeEndpointPorts } from "./validate_workload_entry.ts";

const UNIX = "unix://";

/** Protocols of a service port (istio-semantics 0.4), upper-case. */
export const PROTOCOLS: readonly string[] = [
  "TCP",
  "UDP",
  "GRPC",
  "GRPC-WEB",
  "HTTP",
  "HTTP_PROXY",
  "HTTP2",
  "HTTPS",
  "TLS",
  "MONGO",
  "REDIS",
  "MYSQL",
  "HBONE",
  "DOUBLE-HBONE",
];
const HTTP_CLASS = ["HTTP", "HTTP2", "HTTP_PROXY", "GRPC", "GRPC-WEB"];
const TLS_CLASS = ["HTTPS", "TLS"];
const TCP_CLASS = ["TCP", "HTTPS", "TLS", "MONGO", "REDIS", "MYSQL"];

const protocolOf = (port: ServicePort | null) => (port?.protocol ?? "").toUpperCase();

export function judgeServiceEntry(spec: ServiceEntrySpec, at: At, out: Remarks, namespace: string): void {
  const hosts = spec.hosts ?? [];
  const addresses = spec.addresses ?? [];
  const ports = (spec.ports ?? []) as readonly (ServicePort | null)[];
  const endpoints = (spec.endpoints ?? []) as readonly (WorkloadEntrySpec | null)[];
  const resolution = spec.resolution ?? "NONE";
  const dynamic = resolution === "DYNAMIC_DNS";

  if (spec.workloadSelector !== undefined) {
    const labels = spec.workloadSelector.labels ?? {};
    const before = out.list.length;
    judgeSelectorLabels(labels, at.to("workloadSelector").to("labels"), out, "R301");
    if (out.list.length > before) return;
    if (endpoints.length > 0) {
      out.refuse(
        "R302",
        at.to("workloadSelector"),
        "workloadSelector",
        undefined,
        "endpoints are given too; give one of them",
        {
          key: true,
        },
      );
    }
    if (Object.keys(labels).length === 0) {
      out.add("R351", at.to("workloadSelector"), "The selector has no labels", { key: true });
    }
    if (resolution === "NONE") {
      out.add("R354", at.to("workloadSelector"), "The selector has no effect with resolution NONE", {
        key: true,
      });
    }
  }
  judgeHosts(hosts, at, out, dynamic);
  for (const [i, address] of addresses.entries()) {
    const problem = subnetProblem(address) ??
      (address.includes("/") && resolution !== "NONE" && resolution !== "STATIC"
        ? `resolution ${resolution} knows no CIDR block; give single addresses`
        : undefined);
    if (problem !== undefined) out.refuse("R304", at.to("addresses").to(i), "address", address, problem);
  }
  judgePorts(ports, at.to("ports"), out);
  judgeResolution({ resolution, hosts, addresses, ports, endpoints }, at, out);
  judgePortHosts({ resolution, hosts, addresses, ports }, at, out);
  judgeExportTo(spec.exportTo ?? [], at.to("exportTo"), out, "R314", { namespace, service: true });
}

function judgeHosts(hosts: readonly string[], at: At, out: Remarks, dynamic: boolean): void {
  if (hosts.length === 0) {
    out.refuse("R303", at, "ServiceEntry", undefined, "it has no hosts; give at least one");
  }
  for (const [i, host] of hosts.entries()) {
    const problem = host === "*" ? "it is every host; name one" : wildcardHostProblem(host);
    if (problem !== undefined) out.refuse("R303", at.to("hosts").to(i), "host", host, problem);
    else if (/^\*[^.]/.test(host) && !dynamic) {
      out.add("R352", at.to("hosts").to(i), `Host "${host}" is a partial wildcard`);
    }
  }
}

function judgePorts(ports: readonly (ServicePort | null)[], at: At, out: Remarks): void {
  const names = new Set<string>();
  const numbers = new Set<number>();
  for (const [i, port] of ports.entries()) {
    const place = at.to(i);
    if (port === null) {
      out.refuse("R305", place, "port", undefined, "it is empty; give number, name and protocol");
      continue;
    }
    const { name = "", number = 0, protocol = "", targetPort = 0 } = port;
    const nameAt = port.name === undefined ? place : place.to("name");
    const nameProblem = names.has(name) && name !== ""
      ? "an earlier port has it too; give each port its own"
      : dnsLabelProblem(name);
    if (nameProblem !== undefined) out.refuse("R305", nameAt, "port name", name, nameProblem);
    const numberProblem = portProblem(number) ??
      (numbers.has(number) ? "an earlier port has it too; give each port its own" : undefined);
    if (numberProblem !== undefined) {
      out.refuse(
        "R305",
        port.number === undefined ? place : place.to("number"),
        "port",
        number,
        numberProblem,
      );
    }
    if (protocol !== "" && !PROTOCOLS.includes(protocol.toUpperCase())) {
      const near = nearest(protocol, PROTOCOLS);
      out.refuse(
        "R305",
        place.to("protocol"),
        "protocol",
        protocol,
        near === undefined
          ? `it is unknown; want one of ${PROTOCOLS.join(", ")}`
          : `it is unknown; did you mean "${near}"?`,
      );
    }
    if (targetPort !== 0) {
      const problem = portProblem(targetPort);
      if (problem !== undefined) {
        out.refuse("R305", place.to("targetPort"), "targetPort", targetPort, problem);
      }
    }
    names.add(name);
    numbers.add(number);
  }
}

interface Parts {
  readonly resolution: string;
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
  readonly ports: readonly (ServicePort | null)[];
  readonly endpoints: readonly (WorkloadEntrySpec | null)[];
}

function judgeResolution(parts: Parts, at: At, out: Remarks): void {
  const { resolution, hosts, endpoints } = parts;
  switch (resolution) {
    case "NONE":
      if (endpoints.length > 0) {
        out.refuse(
          "R306",
          at.to("endpoints"),
          "endpoints",
          undefined,
          "resolution NONE never uses them; want STATIC or DNS",
          {
            key: true,
          },
        );
      }
      return;
    case "STATIC":
      return judgeEndpoints(parts, at.to("endpoints"), out, "R307");
    case "DNS":
    case "DNS_ROUND_ROBIN":
      if (endpoints.length === 0) {
        for (const [i, host] of hosts.entries()) {
          const problem = isWildcard(host) ? "a wildcard has no address; give endpoints" : fqdnProblem(host);
          if (problem !== undefined) out.refuse("R308", at.to("hosts").to(i), "host", host, problem);
        }
      }
      if (resolution === "DNS_ROUND_ROBIN" && endpoints.length > 1) {
        out.refuse(
          "R309",
          at.to("endpoints"),
          "endpoints",
          undefined,
          `there are ${endpoints.length}; want at most one`,
          {
            key: true,
          },
        );
      }
      return judgeEndpoints(parts, at.to("endpoints"), out, "R310");
    case "DYNAMIC_DNS":
      return judgeDynamic(parts, at, out);
    default:
      out.refuse("R312", at.to("resolution"), "resolution", resolution, "it is unknown");
  }
}

function judgeEndpoints(parts: Parts, at: At, out: Remarks, code: "R307" | "R310"): void {
  const declared = new Set(parts.ports.map((port) => port?.name ?? ""));
  for (const [i, endpoint] of parts.endpoints.entries()) {
    const place = at.to(i);
    if (endpoint === null) {
      out.refuse(code, place, "endpoint", undefined, "it is empty; give an address");
      continue;
    }
    const { address = "", ports = {}, network = "", labels } = endpoint;
    if (address === "") {
      if (network !== "") out.add("R356", place, `The address is left to network "${network}"`);
      else out.refuse(code, place, "endpoint", undefined, "it has no address; give one, or a network");
    } else if (code === "R307" && address.startsWith(UNIX)) {
      const problem = unixPathProblem(address.slice(UNIX.length)) ??
        (Object.keys(ports).length > 0
          ? "a unix socket has no ports; delete them"
          : parts.ports.length !== 1
          ? `the ServiceEntry has ${parts.ports.length} ports; want exactly one`
          : undefined);
      if (problem !== undefined) out.refuse(code, place.to("address"), "address", address, problem);
    } else if (!isIp(address)) {
      const problem = code === "R307"
        ? "it is no IP address and no unix:// path; want one, or resolution DNS"
        : fqdnProblem(address);
      if (problem !== undefined) out.refuse(code, place.to("address"), "address", address, problem);
    }
    judgeEndpointPorts(ports, place.to("ports"), out, code, declared);
    if (labels !== undefined) judgeLabels(labels, place.to("labels"), out, code);
  }
}

function judgeDynamic(parts: Parts, at: At, out: Remarks): void {
  for (const [i, host] of parts.hosts.entries()) {
    if (isWildcard(host)) continue;
    out.refuse(
      "R311",
      at.to("hosts").to(i),
      "host",
      host,
      "resolution DYNAMIC_DNS is for wildcards; want *.domain",
    );
  }
  for (const field of ["addresses", "endpoints"] as const) {
    if (parts[field].length === 0) continue;
    out.refuse(
      "R311",
      at.to(field),
      field,
      undefined,
      "resolution DYNAMIC_DNS takes the address from DNS; delete them",
      {
        key: true,
      },
    );
  }
  for (const [i, port] of parts.ports.entries()) {
    if (port === null || ["HTTP", "HTTP2", "GRPC", "TLS"].includes(protocolOf(port))) continue;
    const place = at.to("ports").to(i);
    out.refuse(
      "R311",
      port.protocol === undefined ? place : place.to("protocol"),
      "protocol",
      port.protocol ?? "",
      "resolution DYNAMIC_DNS wants HTTP, HTTP2, GRPC or TLS",
    );
  }
}

/** Ports that cannot tell several hosts apart (SE-E13, SE-W3, SE-W5). */
function judgePortHosts(parts: Omit<Parts, "endpoints">, at: At, out: Remarks): void {
  const { resolution, hosts, addresses, ports } = parts;
  for (const [i, port] of ports.entries()) {
    if (port === null) continue;
    const protocol = protocolOf(port);
    const place = port.protocol === undefined ? at.to("ports").to(i) : at.to("ports").to(i).to("protocol");
    if (
      hosts.length > 1 && resolution !== "NONE" && !HTTP_CLASS.includes(protocol) &&
      !TLS_CLASS.includes(protocol)
    ) {
      out.refuse(
        "R313",
        place,
        "port",
        port.name ?? port.number,
        `protocol "${protocol}" cannot tell the ${hosts.length} hosts apart; want one host, or HTTP or TLS`,
      );
    }
    if ((protocol === "" || protocol === "TCP") && addresses.length === 0) {
      out.add(
        "R353",
        place,
        `Port ${port.number ?? 0} is ${
          protocol === "" ? "of no protocol" : "TCP"
        } and the ServiceEntry has no addresses: ` +
          "it takes the port of every address",
      );
    }
    if (resolution === "DNS" && hosts.length > 1 && addresses.length > 0 && TCP_CLASS.includes(protocol)) {
      out.add(
        "R355",
        place,
        `Port ${port.number ?? 0} of protocol ${protocol} serves ${hosts.length} hosts at one address`,
      );
    }
  }
}
