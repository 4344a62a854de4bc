/** What the benches of whole processes share: rounds in which the targets take turns, and the table of what came out. */
import { cpuSeconds, machineBusySeconds } from "./process.ts";

/** What is known of each sample besides its load's own result. */
export interface Cost {
  /** User and system time of the process per request, us. */
  readonly cpuUs: number;
  /** Cores that everything else on the machine used meanwhile, the load and its upstream included. */
  readonly othersCores: number;
}

/** Runs a load against a process, and tells what the process and the machine spent on it. */
export async function costing<R extends { readonly requests: number; readonly seconds: number }>(
  pid: number,
  load: () => Promise<R>,
): Promise<R & Cost> {
  const cpuBefore = cpuSeconds(pid);
  const busyBefore = machineBusySeconds();
  const result = await load();
  const cpu = cpuSeconds(pid) - cpuBefore;
  return {
    ...result,
    cpuUs: cpu / result.requests * 1e6,
    othersCores: (machineBusySeconds() - busyBefore - cpu) / result.seconds,
  };
}

/** Samples of each target, in the order of the targets. */
export async function alternating<T, S>(
  targets: readonly T[],
  rounds: number,
  sample: (target: T) => Promise<S>,
): Promise<S[][]> {
  const samples: S[][] = targets.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (let k = 0; k < targets.length; k++) {
      // Every other round runs backwards, so that no one always follows the same neighbour.
      const i = round % 2 === 0 ? k : targets.length - 1 - k;
      samples[i]!.push(await sample(targets[i]!));
    }
  }
  return samples;
}

/** Value of `--NAME VALUE`. */
export function option(name: string): string | undefined {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? undefined : Deno.args[at + 1];
}

/** In Markdown. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(header), `|${header.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}
