import assert from "node:assert/strict";
import { configOf } from "../../tests/harness/world.ts";
import { openAnnouncer } from "../net/announce.ts";
import { runIsolated } from "./isolated.ts";

Deno.test({
  name: "isolated: a cache where the process may not write is a line, and no start is refused for it",
  permissions: { read: true, env: "inherit", net: true, write: false, sys: false, run: false },
  async fn() {
    const lines: string[] = [];
    const started = Promise.withResolvers<void>();
    const log = {
      level: "debug",
      log: (_level: string, message: string) => void lines.push(message),
    } as const;
    const announcer = openAnnouncer({ readinessFile: "", log, env: () => undefined, pid: Deno.pid });
    const base = configOf();
    const config = {
      ...base,
      cacheDir: "/nowhere/cache",
      serviceDiscovery: { ...base.serviceDiscovery, type: "pilotv3" },
      discovery: {
        ...base.discovery,
        addresses: [{ text: "grpc://127.0.0.1:1", scheme: "grpc", host: "127.0.0.1", port: 1 }],
      },
    } as const;
    const supervisor = runIsolated(config, {
      log,
      logOptions: { level: "info", format: "text" },
      announcer: { ...announcer, listening: started.resolve },
      reread: () => Promise.resolve(undefined),
    });
    await Promise.race([started.promise, supervisor.ended]);
    supervisor.end();
    assert.equal(await supervisor.ended, 0);
    assert.match(
      lines.join("\n"),
      /Cannot keep the rules in "\/nowhere\/cache": the agent was started without the right to write/,
    );
  },
});
