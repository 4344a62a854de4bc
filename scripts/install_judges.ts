/**
 * The judges of tests/interop that must be built: h2spec and grpc-go's interop programs, out of the module
 * tests/interop/go (its go.sum pins every byte) into the ignored directory `.venv/judges`.
 *
 * @example
 * ```ts
 * import { installJudges } from "./install_judges.ts";
 * const missing = await installJudges(); // [] or ["Go 1.26 or newer"]
 * ```
 */

const root = new URL("../", import.meta.url).pathname;

/** The module that pins them. */
const MODULE = `${root}tests/interop/go`;

/** Name of the program that `go build` makes of each package: its last element. */
const PACKAGES = [
  "github.com/summerwind/h2spec/cmd/h2spec",
  "google.golang.org/grpc/interop/client",
  "google.golang.org/grpc/interop/server",
];

/** Where the built programs are. */
export const JUDGES: string = `${root}.venv/judges`;

/**
 * Builds what can be built and gives the names of the tools that are not on this machine. Throws an Error when a tool
 * is there and the build fails. Built once, it takes a second.
 */
export async function installJudges(): Promise<string[]> {
  const wanted = /^go (\d+)\.(\d+)/m.exec(await Deno.readTextFile(`${MODULE}/go.mod`))!;
  const have = /^go version go(\d+)\.(\d+)/.exec(await go("version") ?? "");
  const enough = have !== null &&
    Number(have[1]) * 1000 + Number(have[2]) >= Number(wanted[1]) * 1000 + Number(wanted[2]);
  if (!enough) {
    await Deno.remove(JUDGES, { recursive: true }).catch(() => {});
    return [`Go ${wanted[1]}.${wanted[2]} or newer`];
  }
  await Deno.mkdir(JUDGES, { recursive: true });
  await go("build", "-mod=readonly", "-o", `${JUDGES}/`, ...PACKAGES);
  return [];
}

/** What it printed; undefined when there is no Go. */
async function go(...args: string[]): Promise<string | undefined> {
  try {
    const { success, stdout, stderr } = await new Deno.Command("go", { args, cwd: MODULE }).output();
    if (success) return new TextDecoder().decode(stdout);
    throw new Error(
      `Cannot run "go ${args.join(" ")}" in ${MODULE}: ${new TextDecoder().decode(stderr).trim()}`,
    );
  } catch (e) {
    if (e instanceof Deno.errors.NotFound) return undefined;
    throw e;
  }
}

if (import.meta.main) console.log(await installJudges());
