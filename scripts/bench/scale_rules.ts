/** 10,000 services: each 10 endpoints, 2 subsets, 3 routes. */

export interface ScaleOptions {
  readonly count: number;
  readonly upstreamPort: number;
}

/** The documents of one service; `marker` is the status of its direct response at /marker. */
export function scaleService(index: number, upstreamPort: number, marker: number): string {
  const host = `svc-${index}.default.svc.cluster.local`;
  const head = (kind: string) =>
    `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: svc-${index}, namespace: default}\nspec:\n`;
  const endpoints = Array.from(
    { length: 10 },
    (_, k) =>
      `    - {address: 127.${1 + (index >> 8) % 250}.${index & 255}.${k + 1}, labels: {version: v${
        1 + k % 2
      }}}\n`,
  );
  return head("ServiceEntry") +
    `  hosts: [${host}]\n  ports: [{number: 80, name: http, protocol: HTTP, targetPort: ${upstreamPort}}]\n` +
    `  resolution: STATIC\n  endpoints:\n${endpoints.join("")}---\n` +
    head("DestinationRule") +
    `  host: ${host}\n  subsets:\n    - {name: v1, labels: {version: v1}}\n    - {name: v2, labels: {version: v2}}\n---\n` +
    head("VirtualService") +
    `  hosts: [${host}]\n  http:\n` +
    `    - {match: [{uri: {exact: /marker}}], directResponse: {status: ${marker}}}\n` +
    `    - {match: [{headers: {end-user: {exact: jason}}}], route: [{destination: {host: ${host}, subset: v2}}]}\n` +
    `    - route:\n        - {destination: {host: ${host}, subset: v1}, weight: 90}\n` +
    `        - {destination: {host: ${host}, subset: v2}, weight: 10}\n`;
}

/** Services per rule file. */
export const PER_FILE = 100;

/** File name -> text. The first file holds service 0 alone, so that changing it changes one small file. */
export function scaleFiles({ count, upstreamPort }: ScaleOptions): Record<string, string> {
  const files: Record<string, string> = { "changing.yaml": scaleService(0, upstreamPort, 210) };
  for (let start = 1; start < count; start += PER_FILE) {
    const parts: string[] = [];
    for (let i = start; i < Math.min(count, start + PER_FILE); i++) {
      parts.push(scaleService(i, upstreamPort, 210));
    }
    files[`services-${String(start).padStart(5, "0")}.yaml`] = parts.join("---\n");
  }
  return files;
}
