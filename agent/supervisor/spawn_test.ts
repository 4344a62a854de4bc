import assert from "node:assert/strict";
import { BOUND_VARIABLE } from "../core/variables.ts";
import type { AgentConfig } from "../settings/types.ts";
import { configOf } from "../../tests/harness/world.ts";
import { scopeOf } from "./scope.ts";
import { spawnWorker } from "./spawn.ts";

const PROBING = new URL("../../tests/harness/probing_worker.ts", import.meta.url);

/** What a worker with the rights of `config` may do of what it tries. */
async function probe(given: AgentConfig, tries: Record<string, unknown>): Promise<Record<string, string>> {
  const config = { ...given, serviceDiscovery: { ...given.serviceDiscovery, address: "/nowhere/rules" } };
  const scope = scopeOf(config, { nameservers: [], realPaths: new Map(), program: [], places: [] });
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const start = {
    type: "start",
    config: { ...config, probe: tries },
    log: {},
    scope: { net: [], roots: [], report: { isolated: true, guard: "runtime", net: [], read: [] } },
  } as const;
  const worker = spawnWorker(scope, start, resolve, { worker: PROBING });
  try {
    return await promise as Record<string, string>;
  } finally {
    worker.terminate();
  }
}

Deno.test("spawn: the runtime itself keeps a worker to its scope, and takes few I/O events per turn", async () => {
  const outside = await Deno.makeTempDir();
  const conf = await Deno.makeTempDir();
  const kept = await Deno.makeTempDir();
  using open = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [inScope, outOfScope] = [open, closed].map((listener) => (listener.addr as Deno.NetAddr).port);
  const before = Deno.env.get(BOUND_VARIABLE);
  Deno.env.delete(BOUND_VARIABLE);
  try {
    const config = {
      ...configOf(),
      confDirectory: conf,
      cacheDir: kept,
      serviceDiscovery: { ...configOf().serviceDiscovery, type: "pilotv3" as const },
      permissions: { net: [`127.0.0.1:${inScope}`, "10.0.0.0/8"], read: [] },
    };
    const results = await probe(config, {
      connect: [
        { hostname: "127.0.0.1", port: inScope },
        { hostname: "127.0.0.1", port: outOfScope },
        { hostname: "localhost", port: inScope },
        { hostname: "203.0.113.5", port: 80 },
        { hostname: "2001:db8::1", port: 80 },
      ],
      listen: ["127.0.0.1", "0.0.0.0"],
      read: [conf, outside, "/etc/passwd"],
      env: [BOUND_VARIABLE, "HOME"],
      write: [`${conf}/written`, `${kept}/written`, `${kept}/../above`],
    });
    assert.deepEqual(results, {
      [`connect 127.0.0.1:${inScope}`]: "done",
      [`connect 127.0.0.1:${outOfScope}`]: "NotCapable",
      [`connect localhost:${inScope}`]: "NotCapable",
      "connect 203.0.113.5:80": "NotCapable",
      "connect 2001:db8::1:80": "NotCapable",
      "listen 127.0.0.1": "done",
      "listen 0.0.0.0": "NotCapable",
      [`read ${conf}`]: "done",
      [`read ${outside}`]: "NotCapable",
      "read /etc/passwd": "NotCapable",
      [`env ${BOUND_VARIABLE}`]: "64",
      "env HOME": "NotCapable",
      [`write ${conf}/written`]: "NotCapable",
      [`write ${kept}/written`]: "done",
      [`write ${kept}/../above`]: "NotCapable",
      run: "NotCapable",
      sys: "NotCapable",
      import: "TypeError",
    });
  } finally {
    if (before === undefined) Deno.env.delete(BOUND_VARIABLE);
    else Deno.env.set(BOUND_VARIABLE, before);
    await Promise.all([outside, conf, kept].map((path) => Deno.remove(path, { recursive: true })));
  }
});

Deno.test("spawn: a bound from outside that is fair stays, another one does not", async () => {
  const before = Deno.env.get(BOUND_VARIABLE);
  try {
    for (const [given, kept] of [["32", "32"], ["500", "64"], ["x", "64"]] as const) {
      Deno.env.set(BOUND_VARIABLE, given);
      const results = await probe(configOf(), {
        ...{ connect: [], listen: [], read: [] },
        env: [BOUND_VARIABLE],
        write: [],
      });
      assert.equal(results[`env ${BOUND_VARIABLE}`], kept, given);
    }
  } finally {
    if (before === undefined) Deno.env.delete(BOUND_VARIABLE);
    else Deno.env.set(BOUND_VARIABLE, before);
  }
});
