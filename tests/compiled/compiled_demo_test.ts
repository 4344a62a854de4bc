/**
 * The agent as one compiled program does its main job. Makes dist/mesh-agent first; where the runtime's base cannot be
 * fetched, scripts/compile.ts takes the older one out of a wheel, so this also shows that the oldest supported runtime
 * carries the demo.
 */
import assert from "node:assert/strict";
import { compile } from "../../scripts/compile.ts";

const root = new URL("../../", import.meta.url);
const program = new URL("dist/mesh-agent", root).pathname;

async function run(args: string[]): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args,
    // Somewhere else: the program may not lean on the files of the repository.
    cwd: "/",
    clearEnv: true,
    env: { NO_COLOR: "1" },
  }).output();
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

Deno.test("compiled program: compiles, tells its version, and the demo splits traffic by the rules", async (t) => {
  await Deno.mkdir(new URL("dist", root), { recursive: true });
  const base = await compile(program);
  await t.step(`version (${base})`, async () => {
    const { code, text } = await run(["version"]);
    assert.equal(code, 0, text);
    assert.match(text, /mesh-agent \d+\.\d+\.\d+/);
  });
  await t.step(
    "version --capabilities: V8's flags are baked in, isolation works, and what 2.6 lacks is seen",
    async () => {
      const { code, text } = await run(["version", "--capabilities", "--json"]);
      assert.equal(code, 0, text);
      const { deno, capabilities } = JSON.parse(text);
      const missing = new Map<string, string | null>(
        capabilities.map(({ name, missing }: { name: string; missing: string | null }) => [name, missing]),
      );
      const old = deno.startsWith("2.6.");
      for (
        const [name, there] of [
          ["isolation", true],
          ["linear-regexp", true],
          ["watch", true],
          ["tls-client", true],
          ["http2-client", !old],
          ["inbound-mtls", !old],
        ] as const
      ) {
        assert.equal(missing.get(name) === null, there, `${name}: ${missing.get(name)}`);
      }
    },
  );
  await t.step("demo --once 200", async () => {
    const { code, text } = await run(["demo", "--once", "200"]);
    assert.equal(code, 0, text);
    for (const version of ["v1", "v2", "v3"]) assert.match(text, new RegExp(`\\b${version}\\b.*\\d`), text);
  });
  await t.step("run: the worker inside the program has the rights of its scope and no others", async () => {
    const conf = await Deno.makeTempDir();
    await Deno.writeTextFile(`${conf}/chassis.yaml`, 'cse: {mesh: {accessLog: "off"}}\n');
    await Deno.mkdir(`${conf}/rules`);
    const agent = new Deno.Command(program, {
      args: ["run", "--config", conf, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
      cwd: "/",
      clearEnv: true,
      env: { NO_COLOR: "1" },
      stdout: "null",
      stderr: "piped",
    }).spawn();
    try {
      let log = "";
      let asked = false;
      for await (const text of agent.stderr.pipeThrough(new TextDecoderStream())) {
        log += text;
        const port = /proxy listening on 127\.0\.0\.1:(\d+)/.exec(log)?.[1];
        if (asked || port === undefined || !log.includes("rules in force")) continue;
        asked = true;
        using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
        await connection.write(
          new TextEncoder().encode(
            "GET http://203.0.113.5/ HTTP/1.1\r\nHost: 203.0.113.5\r\nConnection: close\r\n\r\n",
          ),
        );
        const answer = await new Response(connection.readable).text();
        assert.match(answer, /^HTTP\/1\.1 403 [^]*\[P209\]/);
        agent.kill("SIGTERM");
      }
      assert.match(log, /warn \[P209\] denied: connect 203\.0\.113\.5:80/);
      assert.match(log, /info drained/);
      assert.equal((await agent.status).code, 0);
    } finally {
      await Deno.remove(conf, { recursive: true });
    }
  });
});
