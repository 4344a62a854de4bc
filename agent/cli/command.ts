/** What a command of the command line is. One file per command; main.ts lists them and loads only the one that is run. */
import type { Flag, ParsedArgs } from "./args.ts";
import type { Terminal } from "./terminal.ts";

/** 0 = done, 1 = findings with errors or a failure while running, 2 = wrong usage or settings. */
export type ExitCode = 0 | 1 | 2;

/** What help prints; kept apart from the code so that help loads nothing. */
export interface CommandHelp {
  readonly name: string;
  /** `check PATH...` */
  readonly usage: string;
  readonly summary: string;
  readonly about: readonly string[];
  readonly flags: readonly Flag[];
  /** Command line and what it does. */
  readonly examples: readonly (readonly [string, string])[];
  /** What the exit codes mean here. */
  readonly exits: readonly (readonly [ExitCode, string])[];
  load(): Promise<{ run: Run }>;
}

export type Run = (args: ParsedArgs, terminal: Terminal) => Promise<ExitCode>;
