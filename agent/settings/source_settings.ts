/** Where services and rules come from: types, addresses and the way to a control plane. */
import { diagnostic } from "../core/diagnostics.ts";
import { normalAddress } from "../core/ip.ts";
import { isAbsolutePath, joinPath } from "../core/path.ts";
import {
  type AddressReading,
  DEFAULT_ADDRESSES,
  type PilotType,
  readControlPlanes,
} from "./control_plane.ts";
import { type Context, valueOf } from "./effective.ts";
import { PAIRS } from "./sources.ts";
import type {
  AgentConfig,
  ControlPlaneAddress,
  RouterInfra,
  SettingOrigin,
  SourceType,
  Transport,
} from "./types.ts";

const REGISTRATOR = "cse.service.registry.registrator.disabled";
const TYPE = "cse.service.registry.serviceDiscovery.type";
const ADDRESS = "cse.service.registry.serviceDiscovery.address";
const INTERVAL = "cse.service.registry.serviceDiscovery.refreshInterval";
const INFRA = "router.infra";
const ROUTER_ADDRESS = "router.address";

/** Everything about services, rules and the control plane. Tells what does not go together. */
export function readSources(
  context: Context,
  workload: Pick<AgentConfig["workload"], "podName" | "namespace" | "instanceIp">,
): Pick<AgentConfig, "serviceDiscovery" | "discovery" | "router"> {
  const { input, origins } = context;
  const value = <T>(key: string) => valueOf(context, key) as T;
  const settle = (key: string, effective: unknown) => {
    const { from, where } = origins.get(key) as SettingOrigin;
    origins.set(key, { value: effective, from, where });
  };

  judgeRegistrator(context, value<boolean>(REGISTRATOR));
  const type = value<SourceType>(TYPE);
  const written = valueOf(context, ADDRESS, type === "file" ? ignoredCenter(context) : []) as string;
  const isDefault = origins.get(ADDRESS)?.from === "default";
  const address = type === "file"
    ? isAbsolutePath(written) ? written : joinPath(input.directory, written)
    : isDefault
    ? DEFAULT_ADDRESSES[type]
    : written;
  settle(ADDRESS, address);
  const refreshIntervalMs = value<number>(INTERVAL);

  const infra = value<RouterInfra | undefined>(INFRA) ?? type;
  const routerAddress = value<string | undefined>(ROUTER_ADDRESS) ?? address;
  settle(INFRA, infra);
  settle(ROUTER_ADDRESS, routerAddress);
  judgePair(context, type, infra);

  const absolute = (key: string) => {
    const path = value<string>(key);
    const effective = path === "" || isAbsolutePath(path) ? path : joinPath(input.directory, path);
    settle(key, effective);
    return effective;
  };
  const way = {
    hosts: value<readonly string[]>("discovery.hosts"),
    delta: value<boolean>("discovery.delta"),
    clusterId: value<string>("discovery.clusterId"),
    certDirectory: absolute("discovery.certDirectory"),
    tokenFile: absolute("discovery.tokenFile"),
    serverName: value<string>("discovery.serverName"),
    connectTimeoutMs: value<number>("discovery.connectTimeout"),
    transport: value<Transport>("discovery.transport"),
  };
  let addresses: readonly ControlPlaneAddress[] = [];
  let routerAddresses: readonly ControlPlaneAddress[] = [];
  if (context.refused.has(TYPE)) {
    // What the address means is not known.
  } else if (type === "file") {
    judgeDirectory(context, written);
  } else {
    addresses = judged(context, ADDRESS, readControlPlanes(address, type));
    routerAddresses = readRouterAddresses(context, type, infra, addresses);
    judgeInterval(context, type, refreshIntervalMs);
    judgeIdentity(context, type, workload);
  }
  return {
    serviceDiscovery: { type, address, refreshIntervalMs },
    discovery: { ...way, addresses, routerAddresses },
    router: { infra, address: routerAddress },
  };
}

function judgeRegistrator({ input, origins, refused, diagnostics }: Context, disabled: boolean): void {
  const { from, where } = origins.get(REGISTRATOR) as SettingOrigin;
  if (!disabled) {
    diagnostics.push(
      diagnostic(
        "S110",
        'Cannot use registrator.disabled "false": Istio takes services from its platform, and has no way for a ' +
          "sidecar to register one; want true",
        where,
      ),
    );
  } else if (from === "default" && !refused.has(REGISTRATOR) && input.files.has("chassis.yaml")) {
    const label = input.label ?? input.directory;
    diagnostics.push(
      diagnostic("S111", "registrator.disabled is not set: it counts as true, as Istio needs it", {
        file: label === "" ? "chassis.yaml" : joinPath(label, "chassis.yaml"),
      }),
    );
  }
}

function judgePair({ origins, refused, diagnostics }: Context, type: SourceType, infra: RouterInfra): void {
  if (refused.has(TYPE) || refused.has("router.infra")) return;
  const infraAt = (origins.get("router.infra") as SettingOrigin).where;
  const state = PAIRS[type][infra];
  if (state === undefined) {
    diagnostics.push(
      diagnostic(
        "S112",
        `Cannot use router.infra "${infra}" with serviceDiscovery.type "${type}": they do not go together; ` +
          `want router.infra one of ${Object.keys(PAIRS[type]).join(", ")}`,
        infraAt,
      ),
    );
  } else if ("comesWith" in state) {
    diagnostics.push(
      diagnostic(
        "S113",
        `Cannot use router.infra "${infra}": it comes with ${state.comesWith}; want ${type}`,
        infraAt,
      ),
    );
  }
}

/** Variables that do not count, which is told. */
function ignoredCenter({ input, diagnostics }: Context): readonly string[] {
  if ((input.env.get("CSE_SERVICE_CENTER") ?? "") !== "") {
    diagnostics.push(
      diagnostic("S120", 'Variable CSE_SERVICE_CENTER has no effect here: serviceDiscovery.type is "file"', {
        kind: "variable",
        field: "CSE_SERVICE_CENTER",
      }),
    );
  }
  return ["CSE_SERVICE_CENTER"];
}

function judgeDirectory({ origins, diagnostics }: Context, written: string): void {
  if (!/^[a-z][\w+.-]*:\/\//i.test(written)) return;
  const type = /^http:/i.test(written) ? "pilot" : "pilotv3 (or pilotv2)";
  diagnostics.push(
    diagnostic(
      "S114",
      `Cannot use serviceDiscovery.address "${written}": serviceDiscovery.type is "file"; want a directory of ` +
        `rules, or serviceDiscovery.type ${type}`,
      (origins.get(ADDRESS) as SettingOrigin).where,
    ),
  );
}

/** The sound ones; tells of the others. */
function judged(
  { origins, diagnostics }: Context,
  key: string,
  readings: readonly AddressReading[],
): ControlPlaneAddress[] {
  return readings.flatMap((reading) => {
    if ("address" in reading) return [reading.address];
    diagnostics.push(
      diagnostic(
        "S114",
        `Cannot use ${shortName(key)} "${reading.text}": ${reading.problem}`,
        (origins.get(key) as SettingOrigin).where,
      ),
    );
    return [];
  });
}

const shortName = (key: string) => key.replace("cse.service.registry.", "");

/**
 * Where the rules come from. One stream brings services and rules, so pilotv2 and pilotv3 have one address for both. The
 * services of `pilot` come by v1, its rules by v1 from the same address or by v2 (`http://` is `grpc://` then) from another.
 */
function readRouterAddresses(
  context: Context,
  type: PilotType,
  infra: RouterInfra,
  services: readonly ControlPlaneAddress[],
): readonly ControlPlaneAddress[] {
  const { origins, refused, diagnostics } = context;
  if (PAIRS[type][infra] === undefined || infra === "cse" || refused.has(INFRA)) return [];
  const { value, from, where } = origins.get(ROUTER_ADDRESS) as SettingOrigin;
  const tell = (problem: string, at = where) => {
    diagnostics.push(diagnostic("S115", problem, at));
    return [];
  };
  const server = services[0]?.host;
  const wanted = `grpc://${
    server?.includes(":") ? `[${server}]` : server ?? "istio-pilot.istio-system"
  }:15010`;
  if (from === "default") {
    if (type !== "pilot" || infra === "pilot") return services;
    return tell(
      `Cannot use router.infra "${infra}" without router.address: the services come by HTTP, and ${infra} speaks ` +
        `gRPC; want router.address ${wanted}`,
      (origins.get(INFRA) as SettingOrigin).where,
    );
  }
  const list = judged(
    context,
    ROUTER_ADDRESS,
    readControlPlanes(value as string, type === "pilotv3" ? "pilotv3" : "pilotv2", { httpMeansGrpc: true }),
  );
  const places = new Set(services.map(placeOf));
  const same = list.filter((address) => places.has(placeOf(address)));
  if (type === "pilot") {
    if (same.length === 0) return list;
    if (infra === "pilot" && same.length === list.length) return services;
    return tell(
      `Cannot use router.address "${value}": ${
        same[0]?.text
      } is where the services come from by HTTP; want ` +
        `addresses of gRPC, such as ${wanted}`,
    );
  }
  if (services.length === 0 || list.length === 0 || same.length === list.length) return services;
  return tell(
    `Cannot use router.address "${value}": with serviceDiscovery.type ${type} one stream brings services and ` +
      "rules; want the serviceDiscovery.address, or no router.address",
  );
}

const placeOf = ({ host, port }: ControlPlaneAddress) => `${host.toLowerCase()} ${port}`;

function judgeInterval({ origins, diagnostics }: Context, type: PilotType, intervalMs: number): void {
  if (type !== "pilot" || intervalMs > 0) return;
  diagnostics.push(
    diagnostic(
      "S103",
      'Cannot use serviceDiscovery.refreshInterval "0s": pilot is asked again and again; want a duration above 0s',
      (origins.get(INTERVAL) as SettingOrigin).where,
    ),
  );
}

/** A control plane tells workloads apart by pod, namespace and address. */
function judgeIdentity(
  { origins, diagnostics }: Context,
  type: PilotType,
  { podName, namespace, instanceIp }: Pick<AgentConfig["workload"], "podName" | "namespace" | "instanceIp">,
): void {
  const parts = [
    ["POD_NAME", "workload.podName", podName, NODE_PART.test(podName), "a name of letters, digits, - and ."],
    [
      "POD_NAMESPACE",
      "workload.namespace",
      namespace,
      /^[a-z0-9-]+$/.test(namespace),
      "a name of a-z, 0-9, -",
    ],
    [
      "INSTANCE_IP",
      "workload.instanceIp",
      instanceIp,
      normalAddress(instanceIp) !== undefined,
      "an IP address",
    ],
  ] as const;
  for (const [name, key, value, sound, wanted] of parts) {
    if (sound) continue;
    const { where } = origins.get(key) as SettingOrigin;
    diagnostics.push(
      diagnostic(
        "S103",
        `Cannot use ${name} "${value}" with serviceDiscovery.type ${type}: want ${wanted}`,
        where,
      ),
    );
  }
  const unset = parts.filter(([, key]) => origins.get(key)?.from === "default").map(([name]) => name);
  if (unset.length === 0) return;
  diagnostics.push(
    diagnostic(
      "S116",
      `${unset.join(", ")} ${
        unset.length === 1 ? "is" : "are"
      } not set: to the control plane this workload is pod ` +
        `${podName} of namespace ${namespace} at ${instanceIp}`,
      { kind: "variable", field: unset[0] as string },
    ),
  );
}

const NODE_PART = /^[\w.-]+$/;
