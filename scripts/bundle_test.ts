import assert from "node:assert/strict";
import { BUNDLE, bundle, shippedChunk } from "./bundle.ts";

const root = new URL("../", import.meta.url);

Deno.test("bundle: the worker is started where the bundler puts it", () => {
  const chunk = 'var a=new URL("./worker.ts",import.meta.url);\n';
  assert.equal(
    shippedChunk(chunk).text,
    'var a=new URL("./agent/supervisor/worker.js",import.meta.url);\n',
  );
});

Deno.test("bundle: CommonJS is put off, late packages are taken from beside, the rest stays", () => {
  const shim = 'import{createRequire as __made} from "node:module";var m=__made(import.meta.url);';
  assert.deepEqual(shippedChunk(`${shim}var p=Object.create;export{m as a};`), {
    text: 'var m=id=>process.getBuiltinModule("node:module").createRequire(import.meta.url)(id);' +
      "var p=Object.create;export{m as a};",
    packages: [],
  });
  assert.deepEqual(shippedChunk('a ??= createRequire(import.meta.url)("re2js").RE2JS;\n'), {
    text: 'a ??= createRequire(import.meta.url)("./re2js.cjs").RE2JS;\n',
    packages: ["re2js"],
  });
  assert.deepEqual(shippedChunk("export const a = 1;\n"), { text: "export const a = 1;\n", packages: [] });
});

/** A chunk and all that it imports statically: name -> text. */
async function staticImports(chunk: string, seen = new Map<string, string>()): Promise<Map<string, string>> {
  if (seen.has(chunk)) return seen;
  const text = await Deno.readTextFile(new URL(`${BUNDLE}/${chunk}`, root));
  seen.set(chunk, text);
  for (const [, name] of text.matchAll(/(?:^|;)import(?:\{[^}]*\}from)?"\.\/([^"]+)"/g)) {
    await staticImports(name!, seen);
  }
  return seen;
}

/** Refused by re2js, at a place that yaml finds. */
const FAULTY = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example]
  http:
  - match: [{uri: {regex: "(a"}}]
    route: [{destination: {host: shop.example}}]
`;

Deno.test("bundle: stands alone, starts without node:module, runs under the shipped rights", async () => {
  await bundle();
  const chunks = await staticImports("mod.js");
  assert.ok(chunks.size > 1, [...chunks.keys()].join(" "));
  for (const [name, text] of chunks) assert.doesNotMatch(text, /from ?"node:module"/, name);

  const directory = await Deno.makeTempDir();
  try {
    // No node_modules above it.
    await Deno.mkdir(`${directory}/dist/agent`, { recursive: true });
    for await (const { name } of Deno.readDir(new URL(BUNDLE, root))) {
      if (name.endsWith("js")) {
        await Deno.copyFile(new URL(`${BUNDLE}/${name}`, root), `${directory}/dist/agent/${name}`);
      }
    }
    const worker = "agent/supervisor/worker.js";
    await Deno.mkdir(`${directory}/dist/agent/agent/supervisor`, { recursive: true });
    await Deno.copyFile(new URL(`${BUNDLE}/${worker}`, root), `${directory}/dist/agent/${worker}`);
    await Deno.copyFile(new URL("deno.json", root), `${directory}/deno.json`);
    await Deno.writeTextFile(`${directory}/faulty.yaml`, FAULTY);
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-P", "--no-prompt", "--quiet", "dist/agent/mod.js", ...args],
        cwd: directory,
        env: { NO_COLOR: "1" },
      }).output();
      return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
    };
    const version = await run("version");
    assert.match(version.text, /^mesh-agent \d/);
    const check = await run("check", "faulty.yaml");
    assert.equal(check.code, 1, check.text);
    assert.match(check.text, /faulty\.yaml:7:27: error \[R117\]/);

    // The worker, which needs a package of its own for these rules.
    await Deno.mkdir(`${directory}/conf/rules`, { recursive: true });
    await Deno.rename(`${directory}/faulty.yaml`, `${directory}/conf/rules/faulty.yaml`);
    const agent = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-P", "--no-prompt", "--quiet", "dist/agent/mod.js", "run", "--config", "conf"],
        ...["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
      ],
      cwd: directory,
      env: { NO_COLOR: "1" },
      stdout: "null",
      stderr: "piped",
    }).spawn();
    let log = "";
    let told = false;
    for await (const text of agent.stderr.pipeThrough(new TextDecoderStream())) {
      log += text;
      // Also when it died in place of starting, which it would try again and again. Once: a second signal means "at once".
      if (told || !/\[R117\]|error (?!conf)/.test(log)) continue;
      told = true;
      agent.kill("SIGTERM");
    }
    assert.match(log, /rules in force/, log);
    assert.match(log, /conf\/rules\/faulty\.yaml:7:27: error \[R117\]/);
    assert.equal((await agent.status).code, 0);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
