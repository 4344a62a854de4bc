import assert from "node:assert/strict";
import { createObserver } from "../observe/observer.ts";
import { ClusterLimits } from "../proxy/cluster_limits.ts";
import { limitGauges } from "./limit_gauges.ts";

const NO = 4_294_967_295;

Deno.test("limits of a cluster and their use are exposed, what has none is not", () => {
  const endpoint = { active: 3, connections: 2, dialing: 1, waiting: null, shared: null };
  const limits = new ClusterLimits(new Map([["a", endpoint], ["b", endpoint]]));
  limits.update({ maxConnections: 10, maxPendingRequests: 5, maxRequests: NO, maxRetries: 4 });
  limits.pending = 1;
  const text = createObserver({ gauges: () => limitGauges(new Map([["outbound|80||a", limits]])) }).expose();
  const series = text.split("\n").filter((line) => line.startsWith("mesh_agent_cluster_limit"));
  assert.deepEqual(series.sort(), [
    'mesh_agent_cluster_limit_used{cluster="outbound|80||a",of="connections"} 6',
    'mesh_agent_cluster_limit_used{cluster="outbound|80||a",of="pending_requests"} 1',
    'mesh_agent_cluster_limit_used{cluster="outbound|80||a",of="retries"} 0',
    'mesh_agent_cluster_limit{cluster="outbound|80||a",of="connections"} 10',
    'mesh_agent_cluster_limit{cluster="outbound|80||a",of="pending_requests"} 5',
    'mesh_agent_cluster_limit{cluster="outbound|80||a",of="retries"} 4',
  ]);
  assert.deepEqual(limitGauges(new Map()), []);
});
