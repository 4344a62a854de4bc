/** What systemd says of the unit that `vm init` writes, and what the unit says of the agent. */
import assert from "node:assert/strict";
import { PROGRAM, unit } from "../../agent/cli/vm_files.ts";
import { agentCommand, DENO } from "../harness/agent.ts";
import { within } from "../harness/bytes.ts";
import { judge, judged } from "./judges.ts";

async function output(program: string, args: readonly string[]): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

/** Asks about the unit, with a program that is there in place of the agent. */
async function analyze(...words: string[]): Promise<{ code: number; text: string }> {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/mesh-agent.service`;
    await Deno.writeTextFile(path, unit().replace(PROGRAM, DENO));
    return await output(judge("systemd-analyze"), [...words, path]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const setting = (name: string) =>
  [...unit().matchAll(new RegExp(`^${name}=(.*)$`, "gm"))].map(([, value]) => value!);

judged("systemd: the unit is accepted by systemd-analyze verify", ["systemd-analyze"], async () => {
  assert.deepEqual(await analyze("verify"), { code: 0, text: "" });
});

judged("systemd: the unit's exposure is at most 1.2 of 10", ["systemd-analyze"], async () => {
  const { text } = await analyze("security", "--offline=true");
  const [, score] = /Overall exposure level for mesh-agent\.service: ([\d.]+)/.exec(text) ?? [];
  assert.ok(Number(score) <= 1.2, text);
});

/** Names that a SystemCallFilter= with `words` means. */
async function systemCalls(words: string): Promise<Set<string>> {
  const found = new Set<string>();
  const visit = async (word: string): Promise<void> => {
    const { code, text } = await output(judge("systemd-analyze"), ["syscall-filter", "--no-pager", word]);
    assert.equal(code, 0, text);
    for (const [, name] of text.matchAll(/^ {4}([@\w-]+)$/gm)) {
      if (name!.startsWith("@")) await visit(name!);
      else found.add(name!);
    }
  };
  for (const word of words.split(" ")) await visit(word);
  return found;
}

judged(
  "systemd: the filter of system calls lets through what the agent calls",
  ["systemd-analyze", "strace"],
  async () => {
    const [allow, deny] = setting("SystemCallFilter");
    const allowed = await systemCalls(allow!);
    for (const name of await systemCalls(deny!.slice(1))) allowed.delete(name);
    assert.ok(allowed.has("connect") && !allowed.has("mount") && !allowed.has("sched_setaffinity"));

    const directory = await Deno.makeTempDir();
    const conf = `${directory}/conf`;
    try {
      await Deno.mkdir(`${conf}/rules`, { recursive: true });
      await Deno.writeTextFile(`${conf}/chassis.yaml`, "cse.mesh.accessLog: 'off'\n");
      // Outside of what the agent watches, or each call that it makes would be an event that it makes more calls for.
      const trace = `${directory}/trace`;
      const child = new Deno.Command(judge("strace"), {
        args: [
          ...["-f", "-D", "-qq", "-o", trace, ...agentCommand(), "run", "--config", conf],
          ...["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
        ],
        stdout: "null",
        stderr: "piped",
      }).spawn();
      let log = "";
      const decoder = new TextDecoder();
      const reading = (async () => {
        let told = false;
        for await (const piece of child.stderr) {
          log += decoder.decode(piece);
          if (told || !log.includes("rules in force")) continue;
          // Once: a second signal means "at once", and is no clean end.
          told = true;
          child.kill("SIGTERM");
        }
      })();
      await within(reading, "the end of the agent", 20_000);
      assert.equal((await child.status).code, 0, log);
      const called = new Set(
        [...(await Deno.readTextFile(trace)).matchAll(/^\d+ +(\w+)\(/gm)].map(([, name]) => name!),
      );
      assert.ok(called.has("listen") && called.has("epoll_wait"));
      // One that V8 does without: it asks for a protection key and takes a no.
      called.delete("pkey_alloc");
      // Of SQLite, in which `deno run` keeps its caches; the program that the unit starts has none.
      if ((Deno.env.get("AGENT") ?? "") === "") called.delete("fchown");
      assert.deepEqual([...called].filter((name) => !allowed.has(name)), []);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
);

/** prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN), which is what the setting does on Linux 6.3; then the program. */
const REFUSE_EXEC_GAIN = `
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0: sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
`;

judged(
  "systemd: MemoryDenyWriteExecute would end the agent, so the unit does not say it",
  ["python3"],
  async () => {
    const refused = await output(judge("python3"), ["-c", REFUSE_EXEC_GAIN, ...agentCommand(), "version"]);
    if (refused.code === 77) return console.log("not run: this kernel has no PR_SET_MDWE (want Linux 6.3)");
    assert.notEqual(refused.code, 0, refused.text);
    assert.deepEqual(setting("MemoryDenyWriteExecute"), ["no"]);
  },
);
