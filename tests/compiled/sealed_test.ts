/** A program sealed for one conf directory: it serves with that, and refuses every other scope with a sentence. */
import assert from "node:assert/strict";
import { compile } from "../../scripts/compile.ts";
import { readElf } from "../../scripts/image_elf.ts";
import { within } from "../harness/bytes.ts";
import { askOnce, proxyGet } from "../harness/client.ts";
import { chassisText, makeConf, serviceEntry } from "../harness/conf.ts";
import { echoing, startUpstream } from "../harness/upstream.ts";
import { serving } from "./serving.ts";

Deno.test("sealed program: serves with its conf directory, refuses all others", async (t) => {
  const directory = await Deno.makeTempDir({ prefix: "mesh-sealed-" });
  const program = `${directory}/mesh-agent`;
  await using upstream = startUpstream(echoing("v1"));
  await using conf = await makeConf({
    files: { "rules/shop.yaml": serviceEntry("shop.example", 80, { v1: upstream.port }) },
  });
  await using other = await makeConf();
  const run = async (args: string[], env: Record<string, string> = {}) => {
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args,
      cwd: "/",
      clearEnv: true,
      env: { NO_COLOR: "1", ...env },
      // One that starts in place of refusing.
      signal: AbortSignal.timeout(20_000),
    }).output();
    return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
  };
  try {
    assert.match(await compile(program, { sealed: conf.path }), /; start prepared$/);

    await t.step("run: without --config it is its own, and traffic flows", async () => {
      await serving([program, "run"], async ({ child, address, log }) => {
        const answer = await askOnce(address, proxyGet("shop.example", "/", "Connection: close\r\n"));
        assert.equal(answer.header("x-instance"), "v1", log());
        child.kill("SIGTERM");
        assert.equal((await within(child.status, "the end of the agent", 15_000)).code, 0, log());
      });
    });

    await t.step("another conf directory", async () => {
      const { code, text } = await run(["run", "--config", other.path]);
      assert.equal(code, 2, text);
      assert.match(
        text,
        /^\[N119\] Cannot start from "[^"]+": this program is sealed for "[^"]+"; want that one$/m,
      );
      assert.ok(text.includes(other.path) && text.includes(conf.path), text);
    });

    await t.step("settings from elsewhere that need more", async () => {
      const { code, text } = await run(["run"], { CSE_MESH_PERMISSIONS_NET: "203.0.113.0/24" });
      assert.equal(code, 2, text);
      assert.match(
        text,
        /^\[N119\] Cannot run with these settings: they need connect 203\.0\.113\.0\/24; want/m,
      );
      const flag = await run(["run", "--http", "127.0.0.1:31999"]);
      assert.match(flag.text, /^\[N119\] .* they need listen 127\.0\.0\.1:31999; want/m);
    });

    await t.step("a conf directory that grew beyond it", async () => {
      await conf.write("chassis.yaml", chassisText({ mesh: { permissions: { read: ["/srv/shared"] } } }));
      const { code, text } = await run(["run"]);
      assert.equal(code, 2, text);
      assert.match(text, /^\[N119\] .* they need read \/srv\/shared; want/m);
      await conf.write("chassis.yaml", chassisText());
    });

    await t.step("the process itself has no right to other files", async () => {
      const { code, text } = await run(["check", `${other.path}/rules`]);
      assert.equal(code, 2, text);
      assert.match(text, /without the right to read it/);
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("compile: for arm64, too", async () => {
  const directory = await Deno.makeTempDir({ prefix: "mesh-arm64-" });
  const program = `${directory}/mesh-agent`;
  try {
    await compile(program, { target: "linux-arm64" });
    const elf = readElf(await Deno.readFile(program));
    assert.equal(elf.architecture, "arm64");
    assert.equal(elf.interpreter, "/lib/ld-linux-aarch64.so.1");
    const sysroot = "/usr/aarch64-linux-gnu";
    const run = await new Deno.Command("sh", {
      args: [
        "-c",
        'command -v qemu-aarch64 >/dev/null && test -d "$0" && exec qemu-aarch64 -L "$0" "$1" version',
        sysroot,
        program,
      ],
    }).output();
    const text = new TextDecoder().decode(run.stdout);
    if (text === "") return console.log("not run: qemu-aarch64 and the C library for arm64 are not there");
    assert.match(text, /^mesh-agent \d+\.\d+\.\d+ \(deno .*, linux aarch64\)/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
