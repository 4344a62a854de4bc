/** DestinationRule: rows DR-E1 to DR-E5, DR-E18 to DR-E21, DR-W3, DR-W4; the blocks of a policy in validate_policy.ts. */
import { type At, type Remarks } from "./remark.ts";
import type { DestinationRuleSpec, Subset, TrafficPolicy } from "./resources.ts";
import {
  judgeConnectionPool,
  judgeLoadBalancer,
  judgeOutlierDetection,
  judgeTls,
} from "./validate_policy.ts";
import {
  dnsLabelProblem,
  fqdnProblem,
  isIp,
  judgeExportTo,
  judgeLabels,
  judgeSelectorLabels,
  portProblem,
  wildcardHostProblem,
} from "./validate_primitives.ts";

const BLOCKS = ["loadBalancer", "connectionPool", "outlierDetection", "tls"] as const;

export function judgeDestinationRule(
  spec: DestinationRuleSpec,
  at: At,
  out: Remarks,
  namespace: string,
): void {
  const host = spec.host ?? "";
  const problem = wildcardHostProblem(host);
  if (problem !== undefined) {
    out.refuse("R201", spec.host === undefined ? at : at.to("host"), "host", host, problem);
  }
  if (spec.trafficPolicy !== undefined) {
    judgePolicy(spec.trafficPolicy, at.to("trafficPolicy"), out, namespace);
  }
  const names = new Set<string>();
  for (const [i, subset] of ((spec.subsets ?? []) as readonly (Subset | null)[]).entries()) {
    const place = at.to("subsets").to(i);
    if (subset === null) {
      out.refuse("R219", place, "subset", undefined, "it is empty; give name and labels");
      continue;
    }
    const name = subset.name ?? "";
    const nameProblem = names.has(name) && name !== ""
      ? "an earlier subset has it too; give each its own"
      : dnsLabelProblem(name);
    if (nameProblem !== undefined) {
      out.refuse(
        "R219",
        subset.name === undefined ? place : place.to("name"),
        "subset name",
        name,
        nameProblem,
      );
    }
    names.add(name);
    if (subset.labels !== undefined) judgeLabels(subset.labels, place.to("labels"), out, "R219");
    if (subset.trafficPolicy !== undefined) {
      judgePolicy(subset.trafficPolicy, place.to("trafficPolicy"), out, namespace);
    }
  }
  const selector = spec.workloadSelector;
  judgeExportTo(spec.exportTo ?? [], at.to("exportTo"), out, "R220", {
    namespace,
    ownOnly: selector !== undefined,
  });
  if (selector !== undefined) {
    const labels = selector.matchLabels ?? {};
    judgeSelectorLabels(labels, at.to("workloadSelector").to("matchLabels"), out, "R221");
    if (Object.keys(labels).length === 0) {
      out.add("R254", at.to("workloadSelector"), "The selector has no labels", { key: true });
    }
  }
}

function judgePolicy(policy: TrafficPolicy, at: At, out: Remarks, namespace: string): void {
  if (
    Object.keys(policy).length === 0 ||
    Object.values(policy).every((value) => Array.isArray(value) && value.length === 0)
  ) {
    out.refuse("R202", at, "trafficPolicy", undefined, "it is empty; give a block or delete it", {
      key: true,
    });
    return;
  }
  if (policy.tunnel !== undefined && policy.proxyProtocol !== undefined) {
    out.refuse(
      "R203",
      at.to("proxyProtocol"),
      "proxyProtocol",
      undefined,
      "tunnel is given too; give one of them",
      {
        key: true,
      },
    );
    return;
  }
  judgeBlocks(policy, at, out, namespace);
  const version = policy.proxyProtocol?.version as string | undefined;
  if (version !== undefined && version !== "V1" && version !== "V2") {
    out.refuse(
      "R204",
      at.to("proxyProtocol").to("version"),
      "version",
      version,
      "it is unknown; want V1 or V2",
    );
  }
  if (policy.tunnel !== undefined) judgeTunnel(policy.tunnel, at.to("tunnel"), out);
  for (const [i, level] of (policy.portLevelSettings ?? []).entries()) {
    const place = at.to("portLevelSettings").to(i);
    if (level === null) {
      out.refuse("R218", place, "portLevelSettings entry", undefined, "it is empty; give port and a block");
      continue;
    }
    if (level.port === undefined) {
      out.refuse("R218", place, "portLevelSettings entry", undefined, "it has no port; give port.number");
    } else {
      const problem = portProblem(level.port.number ?? 0);
      if (problem !== undefined) {
        out.refuse("R218", place.to("port").to("number"), "port", level.port.number ?? 0, problem);
      }
    }
    if (BLOCKS.every((block) => level[block] === undefined)) {
      out.refuse(
        "R218",
        place,
        "portLevelSettings entry",
        undefined,
        `it says nothing; give one of ${BLOCKS.join(", ")}`,
      );
    }
    judgeBlocks(level, place, out, namespace);
  }
}

function judgeBlocks(policy: TrafficPolicy, at: At, out: Remarks, namespace: string): void {
  const { loadBalancer, connectionPool, outlierDetection, tls } = policy;
  if (outlierDetection !== undefined) judgeOutlierDetection(outlierDetection, at.to("outlierDetection"), out);
  if (connectionPool !== undefined) judgeConnectionPool(connectionPool, at.to("connectionPool"), out);
  if (tls !== undefined) judgeTls(tls, at.to("tls"), out, namespace);
  if (loadBalancer === undefined) return;
  judgeLoadBalancer(loadBalancer, at.to("loadBalancer"), out);
  const locality = loadBalancer.localityLbSetting;
  if (outlierDetection !== undefined || locality === undefined) return;
  for (const field of ["failover", "failoverPriority"] as const) {
    if ((locality[field]?.length ?? 0) === 0) continue;
    out.add(
      "R253",
      at.to("loadBalancer").to("localityLbSetting").to(field),
      `${field} has no effect: the policy has no outlierDetection`,
      { key: true },
    );
  }
}

function judgeTunnel(tunnel: NonNullable<TrafficPolicy["tunnel"]>, at: At, out: Remarks): void {
  const { protocol = "", targetHost = "", targetPort = 0 } = tunnel;
  if (protocol !== "" && protocol !== "CONNECT" && protocol !== "POST") {
    out.refuse("R205", at.to("protocol"), "tunnel protocol", protocol, "it is unknown; want CONNECT or POST");
  }
  const host = isIp(targetHost) ? undefined : fqdnProblem(targetHost);
  if (host !== undefined) {
    out.refuse(
      "R205",
      tunnel.targetHost === undefined ? at : at.to("targetHost"),
      "targetHost",
      targetHost,
      host,
    );
  }
  const port = portProblem(targetPort);
  if (port !== undefined) {
    out.refuse(
      "R205",
      tunnel.targetPort === undefined ? at : at.to("targetPort"),
      "targetPort",
      targetPort,
      port,
    );
  }
}
