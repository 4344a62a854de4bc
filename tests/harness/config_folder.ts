/**
 * The folder of rules that istiod read while a recording of updates was made, step by step.
 *
 * @example
 * ```ts ignore
 * const folder = new ConfigFolder(`${recording}/config`);
 * folder.take("01-vs-weights-10-20-70");
 * compileRules(folder.files);
 * ```
 */

/** Steps with a file that istiod refused: one of them holds back the whole folder. */
export const HELD_BACK = /^1[2357]-/;
/** An unknown field, which istiod ignored: the same rule without it. */
const WITHOUT_UNKNOWN_FIELD = { "vs-broken-field.yaml": "vs-weights.yaml" } as Record<string, string>;

/** What each step did to istiod's folder: `cp vs-weights.yaml conf/vs.yaml`, `rm conf/extra.yaml`. */
export class ConfigFolder {
  readonly #source: string;
  readonly #commands: ReadonlyMap<string, string>;
  /** Name to YAML text. */
  readonly files: ReadonlyMap<string, string>;
  readonly #files = new Map<string, string>();

  constructor(source: string) {
    this.#source = source;
    const lines = Deno.readTextFileSync(`${source}/steps.txt`).trim().split("\n");
    this.#commands = new Map(lines.map((line) => line.split("\t") as [string, string]));
    this.files = this.#files;
    for (const name of ["se", "dr", "vs"]) this.#copy(`${name}.yaml`, `${name}.yaml`);
  }

  #copy(from: string, to: string): void {
    const file = WITHOUT_UNKNOWN_FIELD[from] ?? from;
    this.#files.set(to, Deno.readTextFileSync(`${this.#source}/${file}`));
  }

  take(step: string): void {
    const [command, ...words] = this.#commands.get(step)!.split(" ");
    const names = words.map((word) => word.replace("conf/", ""));
    if (command === "cp") this.#copy(names[0]!, names[1]!);
    else for (const name of names) this.#files.delete(name);
  }
}
