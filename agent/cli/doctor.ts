/**
 * `doctor`: checks, one line each, and the next step where one does not hold.
 *
 * In: settings, this machine, control planes, a running agent if there is one. Out: {@link Check}s in the order of a start: what is
 * needed first comes first.
 */
import type { Run } from "./command.ts";
import { adminAddress } from "./ask_agent.ts";
import { type Check, counted } from "./check_line.ts";
import { checkAgent } from "./doctor_agent.ts";
import { checkLocal } from "./doctor_local.ts";
import { checkPlanes } from "./doctor_planes.ts";
import { checkSettings } from "./doctor_settings.ts";
import type { Paint, Terminal } from "./terminal.ts";

export const run: Run = async (args, terminal) => {
  const given = args.has("admin") ? adminAddress(args.get("admin")) : undefined;
  if (args.words.length > 0 || typeof given === "string") {
    terminal.note(
      typeof given === "string" ? given : `Cannot check "${args.words[0]}": doctor takes flags only`,
    );
    return 2;
  }
  const checks: Check[] = [];
  const add = (...more: readonly Check[]): void => {
    checks.push(...more);
    if (!args.has("json")) { for (const check of more) print(check, terminal); }
  };
  const { config, checks: ofSettings } = await checkSettings(args);
  add(...ofSettings);
  const admin = given ?? (config === undefined ? adminAddress() : config.listen.admin) ?? undefined;
  const { running, checks: ofAgent } = await checkAgent(typeof admin === "string" ? undefined : admin);
  if (config !== undefined) {
    for await (const check of checkLocal(config, running)) add(check);
    for await (const check of checkPlanes(config)) add(check);
  }
  add(...ofAgent);
  const failed = checks.filter(({ state }) => state === "fail").length;
  const warned = checks.filter(({ state }) => state === "warn").length;
  if (args.has("json")) {
    terminal.print(JSON.stringify({ ok: failed === 0, checks }, null, 2));
  } else {
    terminal.print(`\n${counted(checks.length, "check")}, ${failed} failed, ${warned} with a warning`);
  }
  return failed === 0 ? 0 : 1;
};

function print({ name, state, text, next }: Check, { print, paint }: Terminal): void {
  const step = next === undefined ? "" : `\n      ${paint.dim(next)}`;
  print(`${coloured(state, paint)}  ${name.padEnd(11)}  ${text}${step}`);
}

function coloured(state: Check["state"], paint: Paint): string {
  const text = state.padEnd(4);
  return state === "ok" ? paint.green(text) : state === "warn" ? paint.yellow(text) : paint.red(text);
}
