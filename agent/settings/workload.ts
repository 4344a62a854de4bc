/** Who the workload is: node metadata and labels, as Istio's own agent makes them. */
import { type Diagnostic, diagnostic } from "../core/diagnostics.ts";
import { METADATA_NAMES } from "./schema.ts";

/**
 * `ISTIO_META_NAME=text` and `ISTIO_METAJSON_NAME=JSON` -> NAME: value. The names that Istio's agent uses are asked for;
 * others count when the environment can be listed.
 */
export function readMetadata(
  env: ReadonlyMap<string, string>,
): { metadata: Record<string, unknown>; diagnostics: Diagnostic[] } {
  const metadata = new Map<string, unknown>();
  const diagnostics: Diagnostic[] = [];
  for (const name of [...new Set([...METADATA_NAMES, ...env.keys()])].sort()) {
    const value = env.get(name) ?? "";
    if (value === "") continue;
    if (name.startsWith("ISTIO_META_")) {
      metadata.set(name.slice("ISTIO_META_".length), value);
    } else if (name.startsWith("ISTIO_METAJSON_")) {
      const key = name.slice("ISTIO_METAJSON_".length);
      const problem = (text: string) =>
        diagnostics.push(
          diagnostic("S103", `Cannot read variable ${name}: ${text}`, { kind: "variable", field: name }),
        );
      let parsed: unknown;
      try {
        parsed = JSON.parse(value);
      } catch {
        problem("it is no JSON; want a JSON value");
        continue;
      }
      if (key === "LABELS" && !isTexts(parsed)) problem("want a JSON object of texts");
      else metadata.set(key, parsed);
    }
  }
  return { metadata: Object.fromEntries(metadata), diagnostics };
}

function isTexts(value: unknown): value is Record<string, string> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.values(value).every((each) => typeof each === "string");
}

/**
 * What sourceLabels and workloadSelectors test: ISTIO_METAJSON_LABELS, then the microservice's properties, then app and
 * version from its name and version. The first that has a label decides.
 */
export function workloadLabels(
  metadata: Readonly<Record<string, unknown>>,
  service: {
    readonly name: string;
    readonly version: string;
    readonly properties: Readonly<Record<string, string>>;
  },
): Record<string, string> {
  const given = metadata["LABELS"];
  return {
    ...(service.name === "" ? {} : { app: service.name }),
    ...(service.version === "" ? {} : { version: service.version }),
    ...service.properties,
    ...(isTexts(given) ? given : {}),
  };
}
