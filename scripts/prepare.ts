/**
 * Prepares the start of a compiled program (agent/net/prepared.ts): the supervisor and the worker as one script each, and V8's byte code
 * of what they ran from their start to the first proxied request.
 *
 * The scripts are made from the same sources as the bundle. Their byte code comes from a program that is compiled for that, with the base
 * and the flags of the real one, and started beside the scripted control plane, which is a `node` process. So it needs node, and it is of
 * no use for another machine's program.
 *
 * The same sources shall give the same bytes: byte code depends on which functions have run, and two runs must agree on it; what V8 notes
 * on functions beside that does not stay ({@link TELLING_FLAGS}, {@link stageSettling}).
 */
import { BUNDLE, denoBundle } from "./bundle.ts";
import { chassisText, serviceEntry } from "../tests/harness/conf.ts";
import { programOf, resourcesOf } from "../tests/harness/xds_resources.ts";
import { startControlPlane } from "../tests/harness/control_plane.ts";

/** Name -> entry point, and what of it stays a module: loaded beside the script when it is asked for. */
const SCRIPTS = {
  supervisor: {
    entry: "agent/cli/main.ts",
    modules: [
      ...["check", "demo", "doctor", "explain", "lifetime", "permissions"].map((name) => `./${name}.ts`),
      ...["program", "sleep", "status", "version", "vm", "wait"].map((name) => `./${name}.ts`),
      "../agent.ts",
    ],
  },
  // What no worker of workerFor() in supervisor/spawn.ts comes to.
  worker: {
    entry: "agent/supervisor/worker.ts",
    modules: [
      ...["grpc_transport", "http_client", "open_inbound", "scoped_rules", "serve", "watch"].map((name) =>
        `./net/${name}.ts`
      ),
      ...["./proxy/serve.ts", "./file.ts", "./pilot.ts"],
    ],
  },
} as const;

export type ScriptName = keyof typeof SCRIPTS;

export const SCRIPT_NAMES = Object.keys(SCRIPTS) as ScriptName[];

const root = new URL("../", import.meta.url);

/** What `deno bundle` makes of a script's imports and places -> what loadPrepared gives it; `chunks`: names of the bundle's files. */
export function preparedText(script: string, chunks: readonly string[]): string {
  return script
    .replace(/\b(import_meta\d*) = \{\};/g, "$1 = __meta;")
    .replace(/\bimport\("(node:[\w/]+)"\)/g, '__load("$1")')
    .replace(/\bimport\("\.{1,2}\/(?:[\w-]+\/)*([\w-]+)\.ts"\)/g, (_, name: string) => {
      const chunk = chunks.find((each) => each.startsWith(`${name}-`) || each === `${name}.js`);
      if (chunk === undefined) throw new Error(`Cannot prepare the start: the bundle has no "${name}"`);
      return `__load("./${chunk}")`;
    })
    .replaceAll("./worker.ts", "./agent/supervisor/worker.js")
    .replaceAll("./prepared_worker.ts", "./agent/supervisor/prepared_worker.js")
    .replace(
      /createRequire\((import_meta\d*)\.url\)\("([a-z][\w-]*)"\)/g,
      'createRequire($1.url)("./$2.cjs")',
    );
}

/** Puts the scripts beside the bundle, without byte code. */
export async function prepareScripts(): Promise<void> {
  const directory = new URL(`${BUNDLE}/`, root);
  const chunks = [...Deno.readDirSync(directory)].map(({ name }) => name);
  for (const name of SCRIPT_NAMES) {
    const { entry, modules } = SCRIPTS[name];
    const raw = new URL(`${name}.raw.cjs`, directory);
    const small = new URL(`${name}.small.cjs`, directory);
    try {
      await denoBundle(...external(modules), "--format", "cjs", "--output", raw.pathname, entry);
      const text = preparedText(await Deno.readTextFile(raw), chunks);
      const module = /\b(?:import|require)\("(?!node:)[^"]*"\)/.exec(text);
      if (module !== null) throw new Error(`Cannot prepare the start: ${name} still has ${module[0]}`);
      await Deno.writeTextFile(raw, text);
      await denoBundle("--minify", "--format", "cjs", "--output", small.pathname, raw.pathname);
      // Modules are strict.
      await Deno.writeTextFile(
        new URL(`${name}.prepared.cjs`, directory),
        `(function(require,module,exports,__meta,__load){"use strict";\n${await Deno.readTextFile(
          small,
        )}\n})`,
      );
    } finally {
      await Deno.remove(raw).catch(() => {});
      await Deno.remove(small).catch(() => {});
    }
  }
}

function external(modules: readonly string[]): string[] {
  return modules.flatMap((module) => ["--external", module]);
}

/** In place of loadPrepared: tells the byte code on `stream` when `when` says so. */
function tellingLoader(name: ScriptName, directory: string, stream: string, when: string): string {
  return `const { Script } = process.getBuiltinModule("node:vm");
const directory = new URL("${directory}", import.meta.url);
const source = Deno.readTextFileSync(new URL("./${name}.prepared.cjs", directory));
const script = new Script(source, { filename: "agent/${name}.js" });
const module = { exports: {} };
const load = (specifier) => import(specifier.startsWith(".") ? new URL(specifier, directory).href : specifier);
const tell = () => {
  let bytes = new TextEncoder().encode("\\n" + script.createCachedData().toString("base64") + "\\n");
  while (bytes.length > 0) bytes = bytes.subarray(Deno.${stream}.writeSync(bytes));
};
${when}
script.runInThisContext()(
  (id) => process.getBuiltinModule(id),
  module,
  module.exports,
  { url: directory.href, prepared: true },
  load,
);
`;
}

/** Turns a staged program into one that tells its byte code on SIGTERM: the supervisor's on standard output, the worker's on the other. */
export async function stageTelling(directory: string): Promise<void> {
  await Deno.writeTextFile(
    `${directory}/${BUNDLE}/mod.js`,
    tellingLoader("supervisor", "./", "stdout", 'Deno.addSignalListener("SIGTERM", tell);') +
      "Deno.exit(await module.exports.main(Deno.args));\n",
  );
  await Deno.writeTextFile(
    `${directory}/${BUNDLE}/agent/supervisor/prepared_worker.js`,
    tellingLoader(
      "worker",
      "../../",
      "stderr",
      'addEventListener("message", ({ data }) => data.type === "drain" && tell());',
    ),
  );
}

/**
 * Otherwise a function has a bit noted when its machine code was made, which happens earlier or later; and a collection takes byte code
 * that only the start runs. Byte code is the same.
 */
export const TELLING_FLAGS: readonly string[] = ["--no-sparkplug", "--no-flush-bytecode"];

/** Of V8's byte code: magic number, versions, size of the text; then four bytes that stand for the flags, sizes and the code itself. */
const FLAGS_AT = 12;
const FLAGS_END = 16;

/**
 * Turns a staged program into one that takes byte code over as a start would, for its own flags, and prints it as it is then: numbered in
 * one order, whatever the order was in which functions had their first call.
 */
export async function stageSettling(directory: string): Promise<void> {
  await Deno.writeTextFile(
    `${directory}/${BUNDLE}/mod.js`,
    `const { Script } = process.getBuiltinModule("node:vm");
const flags = new Script("").createCachedData().subarray(${FLAGS_AT}, ${FLAGS_END});
for (const [i, name] of ${JSON.stringify(SCRIPT_NAMES)}.entries()) {
  const cachedData = Deno.readFileSync(Deno.args[i]);
  cachedData.set(flags, ${FLAGS_AT});
  const source = Deno.readTextFileSync(new URL("./" + name + ".prepared.cjs", import.meta.url));
  const script = new Script(source, { filename: "agent/" + name + ".js", cachedData });
  if (script.cachedDataRejected !== false) throw new Error("V8 rejects its own byte code of " + name);
  // The first time changes what the functions have noted of their age, the second one finds it changed.
  script.createCachedData();
  console.log(script.createCachedData().toString("base64"));
}
`,
  );
}

/** `told` as the program of {@link stageSettling} gives it, once it is compiled. */
export async function settled(program: string, told: ByteCode): Promise<ByteCode> {
  const files = SCRIPT_NAMES.map((name) => `${program}.${name}.cache`);
  for (const [i, name] of SCRIPT_NAMES.entries()) await Deno.writeFile(files[i]!, told[name]);
  const { success, stdout, stderr } = await new Deno.Command(program, { args: files, clearEnv: true })
    .output();
  if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
  const [supervisor, worker] = new TextDecoder().decode(stdout).trim().split("\n").map((base64) =>
    Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))
  );
  return { supervisor: supervisor!, worker: worker! };
}

/** Runs of the telling program, of which two must agree. */
const MAX_RUNS = 6;

export type ByteCode = Record<ScriptName, Uint8Array<ArrayBuffer>>;

/** The first result that comes a second time. */
export async function agreed(run: () => Promise<ByteCode>): Promise<ByteCode> {
  const seen: ByteCode[] = [];
  const equal = (a: Uint8Array, b: Uint8Array) =>
    a.length === b.length && a.every((byte, i) => byte === b[i]);
  while (seen.length < MAX_RUNS) {
    const found = await run();
    if (seen.some((before) => SCRIPT_NAMES.every((name) => equal(before[name], found[name])))) return found;
    seen.push(found);
  }
  throw new Error(`no two of ${MAX_RUNS} runs used the same functions`);
}

/** Longest wait for the telling program, ms. */
const PATIENCE_MS = 20_000;

/** Starts what {@link stageTelling} staged, once it is compiled, up to its first proxied request. */
export async function byteCode(program: string): Promise<ByteCode> {
  const upstream = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("ok"));
  const rules = serviceEntry(HOST, 80, { v1: upstream.addr.port });
  const plane = await startControlPlane({ temper: "istiod" });
  await plane.set(resourcesOf(programOf(rules), "istiod"));
  const conf = await Deno.makeTempDir({ prefix: "mesh-prepare-" });
  await Deno.writeTextFile(
    `${conf}/chassis.yaml`,
    chassisText({
      mesh: { accessLog: "off" },
      discovery: "pilotv3",
      address: plane.address,
    }),
  );
  const child = new Deno.Command(program, {
    args: ["run", "--config", conf],
    // Settings may come from variables.
    clearEnv: true,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const impatience = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  const supervisor = lines(child.stdout);
  const worker = lines(child.stderr);
  try {
    const [, address] = await worker.find(/ proxy listening on (\S+)/);
    await worker.find(/ rules in force /);
    const answer = await ask(address as string);
    if (!answer.startsWith("HTTP/1.1 200 ")) throw new Error(`it answered ${answer.split("\r\n", 1)[0]}`);
    child.kill("SIGTERM");
    const told = async ({ find }: Lines) => {
      const [, base64] = await find(/^([\w+/]{1000,}=*)$/);
      return Uint8Array.from(atob(base64 as string), (char) => char.charCodeAt(0));
    };
    return { supervisor: await told(supervisor), worker: await told(worker) };
  } finally {
    clearTimeout(impatience);
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await child.status;
    await supervisor.end();
    await worker.end();
    await upstream.shutdown();
    await plane[Symbol.asyncDispose]();
    await Deno.remove(conf, { recursive: true });
  }
}

const HOST = "prepare.example";

async function ask(address: string): Promise<string> {
  const [hostname, port] = address.split(":");
  using connection = await Deno.connect({ hostname: hostname as string, port: Number(port) });
  await connection.write(
    new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: ${HOST}:80\r\nConnection: close\r\n\r\n`),
  );
  const buffer = new Uint8Array(4096);
  return new TextDecoder().decode(buffer.subarray(0, await connection.read(buffer) ?? 0));
}

interface Lines {
  /** The next line that matches; throws with the last ones at the end. */
  find(pattern: RegExp): Promise<RegExpExecArray>;
  end(): Promise<void>;
}

function lines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Lines {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let seen = "";
  return {
    async find(pattern) {
      for (;;) {
        for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
          const line = text.slice(0, end);
          text = text.slice(end + 1);
          seen = `${seen}${line}\n`.slice(-1000);
          const found = pattern.exec(line);
          if (found !== null) return found;
        }
        const { value, done } = await reader.read();
        if (done) throw new Error(`it ended: ${seen}${text}`);
        text += value;
      }
    },
    end: () => reader.cancel().catch(() => {}),
  };
}
