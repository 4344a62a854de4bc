/** Who the agent is to a control plane (istio-semantics 5.2 and 5.3, Node). */
import type { AgentConfig } from "../settings/types.ts";
import type { Generation, Node } from "./types.ts";

/**
 * Control planes leave out what a proxy of this version cannot do. The versions are those whose answers the decoders are
 * tested with: a 2026 istiod's, and the last that spoke v2.
 */
const ISTIO_VERSIONS: Readonly<Record<Generation, string>> = { v2: "1.10.0", v3: "1.31.0" };

/**
 * `sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.cluster.local`; its parts are judged by the settings. ISTIO_META_* and ISTIO_METAJSON_*
 * decide over what is derived here, but for GENERATOR, which would bring other resources than ours.
 */
export function nodeOf(config: AgentConfig, generation: Generation): Node {
  const { podName, namespace, instanceIp, labels } = config.workload;
  const app = config.service.name || labels["app"] || podName;
  const { port } = config.listen.http;
  const metadata: Record<string, unknown> = {
    // Up to Istio 1.3 labels are metadata of their own, and everything that is no text is passed over there.
    ...(generation === "v2" ? labels : {}),
    NAME: podName,
    NAMESPACE: namespace,
    CLUSTER_ID: config.discovery.clusterId,
    INSTANCE_IPS: instanceIp,
    ISTIO_VERSION: ISTIO_VERSIONS[generation],
    ...(config.service.name === "" ? {} : { WORKLOAD_NAME: config.service.name }),
    // Adds the listener of an explicit proxy; 0 = any port, known to nobody yet.
    ...(port === 0 ? {} : { HTTP_PROXY_PORT: String(port) }),
    ...(generation === "v2"
      ? { CONFIG_NAMESPACE: namespace, ISTIO_PROXY_VERSION: ISTIO_VERSIONS.v2, POD_NAME: podName }
      : {}),
    ...config.workload.metadata,
    // workload.labels has ISTIO_METAJSON_LABELS in it. Without Kubernetes only the static ones select a Sidecar resource.
    ...(Object.keys(labels).length === 0
      ? {}
      : { LABELS: labels, STATIC_LABELS: config.workload.metadata["STATIC_LABELS"] ?? labels }),
  };
  delete metadata["GENERATOR"];
  return {
    id: `sidecar~${instanceIp}~${podName}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: `${app}.${namespace}`,
    metadata,
  };
}
