/**
 * The HTTP/1.1 tables against the agent as a process (AGENT= chooses which), started as users start it. Hosts are addresses
 * here, so that every row can have an upstream of its own.
 */
import { startAgentProcess } from "../harness/agent.ts";
import { makeConf } from "../harness/conf.ts";
import { ENGINES } from "../harness/rig.ts";
import { play, rowOnServe } from "./play.ts";
import { ROWS } from "./rows.ts";

for (const engine of ENGINES) {
  Deno.test(`the HTTP/1.1 tables on a process, engine ${engine}`, async (t) => {
    await using conf = await makeConf({ mesh: { engine, accessLog: "off" } });
    await using agent = await startAgentProcess(["run", "--config", conf.path]);
    const rig = { address: agent.http, serve: (port: number) => `127.0.0.1:${port}` };
    for (const written of ROWS) {
      const row = engine === "serve" ? rowOnServe(written) : written;
      if (row === undefined) continue;
      await t.step({
        name: `${row.section}: ${row.name}`,
        fn: () => play(row, rig),
        // The output of the process is read across steps.
        sanitizeOps: false,
        sanitizeResources: false,
      });
    }
  });
}
