import assert from "node:assert/strict";
import { beyondSeal, readSeal, type Seal, sealOf } from "./seal.ts";
import type { Grant, Scope } from "./scope.ts";

const grant = (text: string): Grant => {
  const [right, value] = text.split(" ") as [Grant["right"], string];
  return { right, value, because: "a test" };
};

const scopeWith = (...texts: string[]): Scope => ({
  guard: "runtime",
  grants: texts.map(grant),
  runtime: { net: ["127.0.0.1:30101"], read: [], write: [], env: [] },
  net: [],
  roots: [],
});

const SEALED = scopeWith(
  "listen 127.0.0.1:30101",
  "connect 10.0.0.0/8",
  "connect 203.0.113.5:443",
  "connect pilot.example:15010",
  "read /etc/mesh-agent",
  "read /etc/hosts",
  "write /var/cache/mesh-agent",
  "env LOG_TOKENS",
);

Deno.test("seal: what it covers, and what goes beyond it", () => {
  const seal = sealOf("/etc/mesh-agent", SEALED);
  assert.deepEqual(beyondSeal(seal, SEALED), []);
  const covered = [
    "connect 10.1.2.3:80",
    "connect 10.96.0.10:53",
    "connect 203.0.113.5:443",
    "connect pilot.example:15010",
    "read /etc/mesh-agent/rules",
    "write /var/cache/mesh-agent/world",
  ];
  assert.deepEqual(beyondSeal(seal, scopeWith(...covered)), []);
  const beyond = [
    "listen 127.0.0.1:30102",
    // A range that lies within is not looked into: settings with other ranges are other settings.
    "connect 10.1.0.0/16",
    "connect 11.0.0.1:80",
    "connect 203.0.113.5:80",
    "connect 203.0.113.5",
    "connect pilot.example:15012",
    "connect other.example:15010",
    "read /etc/mesh-agent-2",
    "read /etc",
    "write /etc/mesh-agent",
    "env POD_NAME",
  ];
  assert.deepEqual(beyondSeal(seal, scopeWith(...beyond, ...covered)), beyond);
});

Deno.test("seal: it lies in the program, and sources have none", async () => {
  assert.equal(await readSeal(), undefined);
  const directory = await Deno.makeTempDir();
  try {
    const file = new URL(`file://${directory}/seal.json`);
    assert.equal(await readSeal(file), undefined);
    const seal: Seal = sealOf("/etc/mesh-agent", SEALED);
    await Deno.writeTextFile(file, JSON.stringify(seal));
    assert.deepEqual(await readSeal(file), seal);
    assert.deepEqual(seal.runtime, SEALED.runtime);
    await Deno.writeTextFile(file, "{");
    await assert.rejects(readSeal(file), SyntaxError);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
