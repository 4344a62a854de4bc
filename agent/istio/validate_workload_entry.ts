/** WorkloadEntry, alone (row WE-E1) and as endpoint of a ServiceEntry. */
import { type At, type Remarks } from "./remark.ts";
import type { WorkloadEntrySpec } from "./resources.ts";
import {
  dnsLabelProblem,
  fqdnProblem,
  isIp,
  judgeLabels,
  portProblem,
  unixPathProblem,
} from "./validate_primitives.ts";

const UNIX = "unix://";

export function judgeWorkloadEntry(entry: WorkloadEntrySpec, at: At, out: Remarks): void {
  const address = entry.address ?? "";
  if (address === "") {
    if ((entry.network ?? "") === "") {
      out.refuse("R371", at, "WorkloadEntry", undefined, "it has no address; give one, or a network");
    } else out.add("R372", at, `The address is left to network "${entry.network}"`);
  } else if (address.startsWith(UNIX)) {
    const problem = unixPathProblem(address.slice(UNIX.length));
    if (problem !== undefined) out.refuse("R371", at.to("address"), "address", address, problem);
    if (Object.keys(entry.ports ?? {}).length > 0) {
      out.refuse("R371", at.to("ports"), "ports", undefined, "a unix socket has no ports; delete them");
    }
  } else if (!isIp(address)) {
    const problem = fqdnProblem(address);
    if (problem !== undefined) out.refuse("R371", at.to("address"), "address", address, problem);
  }
  judgeEndpointPorts(entry.ports ?? {}, at.to("ports"), out, "R371");
  if (entry.labels !== undefined) judgeLabels(entry.labels, at.to("labels"), out, "R371");
}

/** Names and numbers; `declared`: the port names of the ServiceEntry. */
export function judgeEndpointPorts(
  ports: Readonly<Record<string, number>>,
  at: At,
  out: Remarks,
  code: "R371" | "R307" | "R310",
  declared?: ReadonlySet<string>,
): void {
  for (const name of Object.keys(ports)) {
    const nameProblem = dnsLabelProblem(name) ??
      (declared === undefined || declared.has(name)
        ? undefined
        : `the ServiceEntry has no such port; want one of ${[...declared].join(", ")}`);
    if (nameProblem !== undefined) {
      out.refuse(code, at.to(name), "port name", name, nameProblem, { key: true });
    }
    const number = ports[name] as number;
    const problem = portProblem(number);
    if (problem !== undefined) out.refuse(code, at.to(name), "port", number, problem);
  }
}
