/**
 * The rules that Pilot 0.8.0 was given while the recording of its updates was made. The recorder wrote down what each step changed in
 * words; this is the same as files.
 */
const ISTIOSERVER = "istioserver.default.svc.cluster.local";

const header = (kind: string, name: string) =>
  `apiVersion: networking.istio.io/v1alpha3\nkind: ${kind}\nmetadata: {name: ${name}, namespace: default}\nspec:\n`;

function weights(...shares: readonly (readonly [subset: string, weight: number])[]): string {
  const routes = shares.map(([subset, weight]) =>
    `    - {destination: {host: ${ISTIOSERVER}, subset: ${subset}}, weight: ${weight}}\n`
  );
  return `${header("VirtualService", "istioserver")}  hosts: [${ISTIOSERVER}]\n  http:\n  - route:\n${
    routes.join("")
  }`;
}

function serviceEntry(
  name: string,
  address: string,
  port: number,
  endpoints: readonly [number, string][],
): string {
  const lines = endpoints.map(([local, version]) =>
    `  - {address: 127.0.0.1, ports: {http: ${local}}, labels: {app: ${name}, version: ${version}}}\n`
  );
  return `${
    header("ServiceEntry", name)
  }  hosts: [${name}.default.svc.cluster.local]\n  addresses: ["${address}/32"]\n` +
    `  location: MESH_INTERNAL\n  ports: [{number: ${port}, name: http, protocol: HTTP}]\n  resolution: STATIC\n` +
    `  endpoints:\n${lines.join("")}`;
}

const THREE: [number, string][] = [[9001, "v1"], [9002, "v2"], [9003, "v3"]];
const SERVICE = serviceEntry("istioserver", "10.0.0.5", 8084, THREE);
const FOUR_ENDPOINTS = serviceEntry("istioserver", "10.0.0.5", 8084, [...THREE, [9004, "v1"]]);
const EXTRA = serviceEntry("extra", "10.0.0.6", 8085, [[9011, "v1"]]);
const SUBSETS = `${header("DestinationRule", "istioserver")}  host: ${ISTIOSERVER}\n  subsets:\n` +
  ["v1", "v2", "v3"].map((v) => `  - {name: ${v}, labels: {version: ${v}}}\n`).join("");
const USUAL = weights(["v1", 25], ["v2", 25], ["v3", 50]);
const OTHER = weights(["v1", 10], ["v2", 20], ["v3", 70]);

type Files = Readonly<Record<string, string | undefined>>;

const START: Files = { se: SERVICE, dr: SUBSETS, vs: USUAL };

/** What each step did; nothing where the rules stayed as they were, or were held back. */
const STEPS: Readonly<Record<string, Files>> = {
  "weights 25/25/50 -> 10/20/70": { vs: OTHER },
  "weights -> 0/0/100 (two zero weights)": { vs: weights(["v1", 0], ["v2", 0], ["v3", 100]) },
  "weights back to 25/25/50": { vs: USUAL },
  "ServiceEntry extra (port 8085) added": { extra: EXTRA },
  "fourth endpoint added to istioserver": { se: FOUR_ENDPOINTS },
  "fourth endpoint removed": { se: SERVICE },
  "ServiceEntry extra deleted": { extra: undefined },
  "VirtualService routes to subset v9 which the DestinationRule lacks": {
    vs: weights(["v1", 50], ["v9", 50]),
  },
  "VirtualService repaired (25/25/50); the held-back ServiceEntry follows": { vs: USUAL, extra: EXTRA },
  "VirtualService repaired (10/20/70)": { vs: OTHER },
  "VirtualService deleted": { vs: undefined },
  "DestinationRule deleted": { dr: undefined },
  "ServiceEntry istioserver deleted": { se: undefined },
  "ServiceEntry, DestinationRule, VirtualService put back together": START,
};

export class PilotUpdates {
  #files: Files = START;

  /** Name to YAML text. */
  get files(): ReadonlyMap<string, string> {
    return new Map(
      Object.entries(this.#files).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
  }

  take(step: string): void {
    this.#files = { ...this.#files, ...STEPS[step] };
  }
}
