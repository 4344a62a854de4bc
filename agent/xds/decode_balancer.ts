/** How a cluster spreads its load: lb_policy, or load_balancing_policy of newer servers, with their settings. */
import type { Cluster, LbPolicy } from "../model/model.ts";
import { messageOfTypeUrl, type Messages, type Schema } from "../../protos/schema.ts";
import { durationText, type Findings, percentage, unwrap } from "./values.ts";

export type Balancer = Pick<Cluster, "lbPolicy" | "ringHash" | "maglev" | "slowStart">;

/** Envoy's limits. */
const MAX_RING_SIZE = 8_388_608;
const MAX_TABLE_SIZE = 5_000_011;

const POLICIES: Readonly<Record<string, LbPolicy>> = {
  ROUND_ROBIN: "ROUND_ROBIN",
  LEAST_REQUEST: "LEAST_REQUEST",
  RING_HASH: "RING_HASH",
  RANDOM: "RANDOM",
  MAGLEV: "MAGLEV",
  ORIGINAL_DST_LB: "CLUSTER_PROVIDED",
  CLUSTER_PROVIDED: "CLUSTER_PROVIDED",
};

export function decodeBalancer(schema: Schema, message: Messages["Cluster"], found: Findings): Balancer {
  const name = schema.enumName("Cluster.LbPolicy", message.lb_policy);
  if (message.load_balancing_policy !== null || name === "LOAD_BALANCING_POLICY_CONFIG") {
    const balancer = typedPolicy(schema, message.load_balancing_policy, found);
    if (balancer !== undefined) return balancer;
    found.note(
      "load_balancing_policy",
      "Cannot use any of these load balancing policies; LEAST_REQUEST takes their place",
    );
    return { lbPolicy: "LEAST_REQUEST" };
  }
  const lbPolicy = POLICIES[name ?? ""];
  if (lbPolicy === undefined) {
    found.problem("lb_policy", `Cannot use load balancing policy ${name ?? message.lb_policy}`);
    return { lbPolicy: "LEAST_REQUEST" };
  }
  switch (lbPolicy) {
    case "ROUND_ROBIN":
      return { lbPolicy, ...slowStart(message.round_robin_lb_config, "round_robin_lb_config", found) };
    case "LEAST_REQUEST":
      return { lbPolicy, ...slowStart(message.least_request_lb_config, "least_request_lb_config", found) };
    case "RING_HASH":
      return { lbPolicy, ...ringHash(message.ring_hash_lb_config, "ring_hash_lb_config", found) };
    case "MAGLEV":
      return { lbPolicy, ...maglev(message.maglev_lb_config, "maglev_lb_config", found) };
    default:
      return { lbPolicy };
  }
}

/** The first policy that we know, as Envoy chooses; undefined when there is none. */
function typedPolicy(
  schema: Schema,
  message: Messages["LoadBalancingPolicy"] | null,
  found: Findings,
  depth = 0,
): Balancer | undefined {
  const policies = message?.policies ?? [];
  for (let i = 0; i < policies.length; i++) {
    const any = policies[i]!.typed_extension_config?.typed_config;
    if (any == null) continue;
    const field = `load_balancing_policy.policies[${i}].typed_extension_config.typed_config`;
    switch (messageOfTypeUrl(any.type_url)) {
      case "RoundRobinLbPolicyConfig": {
        const config = schema.decode("RoundRobinLbPolicyConfig", any.value);
        return { lbPolicy: "ROUND_ROBIN", ...slowStart(config, field, found) };
      }
      case "LeastRequestLbPolicyConfig": {
        const config = schema.decode("LeastRequestLbPolicyConfig", any.value);
        return { lbPolicy: "LEAST_REQUEST", ...slowStart(config, field, found) };
      }
      case "RingHashLbPolicyConfig": {
        const config = schema.decode("RingHashLbPolicyConfig", any.value);
        return { lbPolicy: "RING_HASH", ...ringHash(config, field, found) };
      }
      case "MaglevLbPolicyConfig": {
        const config = schema.decode("MaglevLbPolicyConfig", any.value);
        return { lbPolicy: "MAGLEV", ...maglev(config, field, found) };
      }
      case "RandomLbPolicyConfig":
        return { lbPolicy: "RANDOM" };
      case "WrrLocalityLbPolicyConfig": {
        const inner = schema.decode("WrrLocalityLbPolicyConfig", any.value).endpoint_picking_policy;
        const balancer = depth > 4 ? undefined : typedPolicy(schema, inner, found, depth + 1);
        if (balancer !== undefined) return balancer;
        break;
      }
      default:
    }
  }
  return undefined;
}

function slowStart(
  config: { readonly slow_start_config: Messages["Cluster.SlowStartConfig"] | null } | null,
  field: string,
  found: Findings,
): Pick<Cluster, "slowStart"> {
  const slow = config?.slow_start_config ?? null;
  const window = durationText(slow?.slow_start_window ?? null);
  if (slow === null || window === undefined) return {};
  const aggression = slow.aggression?.default_value;
  const minWeightPercent = percentage(
    slow.min_weight_percent,
    `${field}.slow_start_config.min_weight_percent.value`,
    found,
  );
  return {
    slowStart: {
      window,
      ...(aggression === undefined ? {} : { aggression }),
      ...(minWeightPercent === undefined ? {} : { minWeightPercent }),
    },
  };
}

interface RingSizes {
  readonly minimum_ring_size: Messages["UInt64Value"] | null;
  readonly maximum_ring_size: Messages["UInt64Value"] | null;
}

function ringHash(config: RingSizes | null, field: string, found: Findings): Pick<Cluster, "ringHash"> {
  const minimum = unwrap(config?.minimum_ring_size ?? null);
  const maximum = unwrap(config?.maximum_ring_size ?? null);
  for (const [name, size] of [["minimum_ring_size", minimum], ["maximum_ring_size", maximum]] as const) {
    if (size !== undefined && size > MAX_RING_SIZE) {
      found.problem(`${field}.${name}`, `Cannot use ring size ${size}; at most ${MAX_RING_SIZE} is wanted`);
    }
  }
  if (minimum !== undefined && maximum !== undefined && minimum > maximum) {
    found.problem(`${field}.minimum_ring_size`, `Cannot use ring size ${minimum}; maximum is ${maximum}`);
  }
  return {
    ringHash: {
      // Pilot 1.0 writes 0 for its default.
      ...(minimum ? { minimumRingSize: minimum } : {}),
      ...(maximum ? { maximumRingSize: maximum } : {}),
    },
  };
}

function maglev(
  config: { readonly table_size: Messages["UInt64Value"] | null } | null,
  field: string,
  found: Findings,
): Pick<Cluster, "maglev"> {
  const tableSize = unwrap(config?.table_size ?? null);
  if (tableSize !== undefined && tableSize > MAX_TABLE_SIZE) {
    found.problem(
      `${field}.table_size`,
      `Cannot use table size ${tableSize}; at most ${MAX_TABLE_SIZE} is wanted`,
    );
  }
  return { maglev: tableSize ? { tableSize } : {} };
}
