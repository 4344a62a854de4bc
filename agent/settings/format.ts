/** The effective settings with their origins, as `run --print-config` shows them. */
import { formatOrigin } from "../core/diagnostics.ts";
import { formatDuration } from "../core/duration.ts";
import { formatServicePort } from "./inbound.ts";
import { SETTINGS, variablesOf } from "./schema.ts";
import type { AgentConfig, ListenAddress, ServicePort, SettingOrigin, TcpForward } from "./types.ts";
import { formatForward, formatListenAddress } from "./value.ts";

/** One line per setting: key, value, origin. Ends with the labels of the workload, which follow from several. */
export function formatConfig(config: AgentConfig): string {
  const rows = rowsOf(config);
  rows.push({
    key: "workload.labels",
    value: config.workload.labels,
    origin: "(from the above and ISTIO_METAJSON_LABELS)",
  });
  const cells = rows.map(({ key, value, origin }) => [key, shown(value), origin] as const);
  const width = (i: 0 | 1) => Math.max(...cells.map((row) => row[i].length));
  return cells.map(([key, value, origin]) =>
    `${key.padEnd(width(0))}  ${value.padEnd(width(1))}  ${origin}`.trimEnd()
  )
    .join("\n") + "\n";
}

/** The same for programs: key -> value and origin, durations as texts. */
export function jsonConfig(config: AgentConfig): Record<string, { value: unknown; origin: string }> {
  const entries = rowsOf(config).map(({ key, value, origin }) => [key, { value, origin }] as const);
  return {
    ...Object.fromEntries(entries),
    "workload.labels": { value: config.workload.labels, origin: "derived" },
    "workload.metadata": { value: config.workload.metadata, origin: "environment" },
  };
}

function rowsOf(config: AgentConfig): { key: string; value: unknown; origin: string }[] {
  return SETTINGS.flatMap(({ key, form }) => {
    const origin = config.origins.get(key);
    if (origin === undefined) return [];
    const value = origin.value === undefined
      ? ""
      : form.kind === "address"
      ? formatListenAddress(origin.value as ListenAddress)
      : form.kind === "duration"
      ? formatDuration(origin.value as number)
      : form.kind === "forwards"
      ? (origin.value as readonly TcpForward[]).map(formatForward)
      : form.kind === "servicePorts"
      ? (origin.value as readonly ServicePort[]).map(formatServicePort)
      : origin.value;
    return [{ key, value, origin: originText(origin) }];
  });
}

function originText({ from, where }: SettingOrigin): string {
  return from === "default" ? "default" : formatOrigin(where);
}

function shown(value: unknown): string {
  return typeof value === "string" && value !== "" ? value : JSON.stringify(value);
}

/** Every setting as a Markdown table, for the documentation. */
export function settingsTable(): string {
  return [
    "| key | default | meaning | variables and flag |",
    "|---|---|---|---|",
    ...SETTINGS.map((setting) => {
      const { key, form, fallback, about, flag } = setting;
      const standard = form.kind === "duration" ? formatDuration(fallback as number) : fallback;
      const values = form.kind === "word" ? `; ${form.words.join(", ")}` : "";
      const names = [...variablesOf(setting), ...(flag === undefined ? [] : [`--${flag}`])];
      const cell = standard === undefined || standard === "" ? "" : `\`${shown(standard)}\``;
      return `| \`${key}\` | ${cell} | ${about}${values} | ${
        names.map((name) => `\`${name}\``).join(", ")
      } |`;
    }),
  ].join("\n") + "\n";
}
