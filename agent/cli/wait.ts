/** `wait`: until outbound requests are routed by rules; else the step that is missing. */
import { ageText, type SyncReport } from "../admin/sync.ts";
import { parseDuration } from "../core/duration.ts";
import { MeshError } from "../core/errors.ts";
import type { StreamAddress } from "../core/ports.ts";
import { chosenAdmin, readSync } from "./ask_agent.ts";
import type { Run } from "./command.ts";

const DEFAULT_TIMEOUT = "60s";
/** Between two questions, ms: soon enough for a start of 100 ms, and no load on an agent that waits for minutes. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/** An agent that does not answer at all, ms; also when less time is left, so that its reason is heard. */
const ANSWER_MS = { least: 500, most: 5_000 } as const;

export const run: Run = async (args, terminal) => {
  const timeout = args.get("timeout") ?? DEFAULT_TIMEOUT;
  const timeoutMs = parseDuration(timeout);
  if (args.words.length > 0 || timeoutMs === undefined || timeoutMs < 0) {
    terminal.note(
      args.words.length > 0
        ? `Cannot wait for "${args.words[0]}": want no word, an agent is named by --admin ADDR:PORT`
        : `Cannot read --timeout "${timeout}": want a duration such as 60s or 2m`,
    );
    return 2;
  }
  const address = await chosenAdmin(args);
  if (typeof address === "string") {
    terminal.note(address);
    return 2;
  }
  const endMs = performance.now() + timeoutMs;
  let pauseMs = FIRST_PAUSE_MS;
  for (;;) {
    const missing = await missingStep(
      address,
      Math.max(ANSWER_MS.least, Math.min(ANSWER_MS.most, endMs - performance.now())),
    );
    if (missing === undefined) return 0;
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) {
      terminal.note(`Outbound does not work after ${ageText(timeoutMs)}: ${missing}`);
      return 1;
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(pauseMs, leftMs)));
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
  }
};

/** Undefined when outbound works. */
async function missingStep(address: StreamAddress, patienceMs: number): Promise<string | undefined> {
  let report: SyncReport | string;
  try {
    report = await readSync(address, patienceMs);
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    return `${error.message}\n    Start the agent (mesh-agent run), or name its admin address with --admin.`;
  }
  if (typeof report === "string") return report;
  if (report.ready) return undefined;
  const late = report.connections.filter(({ step }) => step !== "synced");
  // Its hint stands in the second line.
  const failures = late.flatMap(({ name, reason }) => reason === undefined ? [] : [`${name}: ${reason}`]);
  const steps = late.map(({ name, step }) => `${name} is at the step ${step}`);
  return [report.reasons.join("; "), ...(failures.length > 0 ? failures : steps)].join("\n    ");
}
