/** Command-line arguments: flags as a command declares them, with every mistake told at once. */
import { didYouMean } from "../core/suggest.ts";

export interface Flag {
  /** Without dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** Placeholder of the value; absent for a switch. */
  readonly value?: string;
  /** May be given several times. */
  readonly many?: boolean;
  readonly help: string;
}

export interface ParsedArgs {
  readonly words: readonly string[];
  /** First value of a flag; undefined when it is not given. */
  get(name: string): string | undefined;
  all(name: string): readonly string[];
  has(name: string): boolean;
}

/** `--flag value`, `--flag=value`, `-f value`; `--` ends the flags. */
export function parseArgs(
  args: readonly string[],
  flags: readonly Flag[],
): ParsedArgs | { errors: string[] } {
  const words: string[] = [];
  const values = new Map<string, string[]>();
  const errors: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    if (arg === "--") {
      words.push(...args.slice(i + 1));
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      words.push(arg);
      continue;
    }
    const [name, inline] = split(arg);
    const flag = flags.find((f) => arg.startsWith("--") ? `--${f.name}` === name : `-${f.short}` === name);
    if (flag === undefined) {
      const near = didYouMean(name, flags.map((f) => `--${f.name}`));
      errors.push(`Cannot read flag "${name}": this command has none of that name${near && `; ${near}`}`);
      continue;
    }
    let value = inline;
    if (flag.value === undefined) {
      if (inline !== undefined) errors.push(`Cannot read flag "${arg}": --${flag.name} takes no value`);
      value = "";
    } else if (value === undefined) {
      value = args[++i];
      if (value === undefined) {
        errors.push(`Cannot read flag "${name}": its ${flag.value} is missing`);
        break;
      }
    }
    const known = values.get(flag.name);
    if (known === undefined) values.set(flag.name, [value ?? ""]);
    else if (flag.many === true) known.push(value ?? "");
    else errors.push(`Cannot read flag "${name}": it is given twice`);
  }
  if (errors.length > 0) return { errors };
  return {
    words,
    get: (name) => values.get(name)?.[0],
    all: (name) => values.get(name) ?? [],
    has: (name) => values.has(name),
  };
}

function split(arg: string): [string, string | undefined] {
  const at = arg.indexOf("=");
  return arg.startsWith("--") && at > 0 ? [arg.slice(0, at), arg.slice(at + 1)] : [arg, undefined];
}

/** `127.0.0.1:8080`, `[::1]:8080`, `:8080` (127.0.0.1); undefined when it is no address. */
export function parseAddress(text: string): { hostname: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65535) return undefined;
  return { hostname: match[1] ?? (match[2] || "127.0.0.1"), port };
}
