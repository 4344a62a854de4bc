/**
 * The command line: argv -> command -> exit code. Loads only the command that is asked for, so that help is instant and
 * `run` carries nothing of the others.
 *
 * In: arguments. Out: text on the terminal and an exit code: 0 = done, 1 = findings or a failure, 2 = wrong usage or settings.
 * Mistakes of a user end in a sentence and a hint, never in a stack trace.
 *
 * @example
 * ```ts ignore
 * Deno.exit(await main(["check", "config/rules"]));
 * ```
 */
import { formatDiagnostic } from "../core/diagnostics.ts";
import type { MeshError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import { parseArgs } from "./args.ts";
import type { CommandHelp, ExitCode } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { commandHelp, overview } from "./help.ts";
import { systemTerminal, type Terminal } from "./terminal.ts";

/** Never throws, never exits. */
export async function main(
  args: readonly string[],
  terminal: Terminal = systemTerminal(),
): Promise<ExitCode> {
  const [first, ...rest] = args;
  if (first === undefined || first === "help" || first === "--help" || first === "-h") {
    return help(rest, terminal);
  }
  if (first === "--version" || first === "-V") return await dispatch("version", rest, terminal);
  return await dispatch(first, rest, terminal);
}

function help([name]: readonly string[], terminal: Terminal): ExitCode {
  if (name === undefined || name.startsWith("-")) {
    terminal.print(overview(COMMANDS, terminal.paint));
    return 0;
  }
  const command = COMMANDS.find((c) => c.name === name);
  if (command === undefined) return unknown(name, terminal);
  terminal.print(commandHelp(command, terminal.paint));
  return 0;
}

async function dispatch(name: string, args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const command = COMMANDS.find((c) => c.name === name);
  if (command === undefined) return unknown(name, terminal);
  if (args.includes("--help") || args.includes("-h")) {
    terminal.print(commandHelp(command, terminal.paint));
    return 0;
  }
  const parsed = parseArgs(args, command.flags);
  if ("errors" in parsed) return usage(command, parsed.errors, terminal);
  try {
    return await (await command.load()).run(parsed, terminal);
  } catch (error) {
    return failed(error, terminal);
  }
}

/** Wrong usage: what is wrong, and how it is used. */
export function usage(command: CommandHelp, errors: readonly string[], terminal: Terminal): ExitCode {
  for (const error of errors) terminal.note(error);
  terminal.note(`usage: mesh-agent ${command.usage}\n       mesh-agent help ${command.name} says more`);
  return 2;
}

function unknown(name: string, terminal: Terminal): ExitCode {
  const near = didYouMean(name, COMMANDS.map((c) => c.name));
  terminal.note(`Cannot run "${name}": there is no such command${near && `; ${near}`}`);
  terminal.note(`want one of ${COMMANDS.map((c) => c.name).join(", ")}; mesh-agent help shows them`);
  return 2;
}

/** Codes that say: the command was asked for something that it cannot have. */
const USAGE_CODES = /^(N10[1-37]|N110|N11[89]|S\d+)$/;

function failed(error: unknown, terminal: Terminal): ExitCode {
  if (isMeshError(error)) {
    terminal.note(`[${error.code}] ${error.message}${error.hint === "" ? "" : `\n    ${error.hint}`}`);
    return USAGE_CODES.test(error.code) ? 2 : 1;
  }
  if (error instanceof Deno.errors.NotCapable) {
    terminal.note(
      `Cannot go on: ${error.message}\n    Run it as deno run -P mod.ts, which grants what it needs.`,
    );
    return 1;
  }
  terminal.note(
    formatDiagnostic({
      code: "N109",
      severity: "error",
      message: `The agent met a mistake of its own: ${
        error instanceof Error ? error.message : String(error)
      }`,
      where: { file: "mesh-agent" },
      hint: `Please report this with: ${placeOf(error)}`,
    }),
  );
  return 1;
}

/** Also of a second copy of the class: an agent that is not isolated is loaded beside a prepared command line (net/prepared.ts). */
function isMeshError(error: unknown): error is MeshError {
  return error instanceof Error && error.name === "MeshError";
}

/** The first place of the agent's own in a stack, which is enough to find it. */
function placeOf(error: unknown): string {
  const frame = error instanceof Error ? /agent\/[\w/-]+\.[jt]s:\d+:\d+/.exec(error.stack ?? "") : null;
  return frame?.[0] ?? "no place";
}
