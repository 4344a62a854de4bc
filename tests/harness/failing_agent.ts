/** `run --config DIR` with a worker that fails when told to (failing_worker.ts); everything else is the agent's own. */
import { parseArgs } from "../../agent/cli/args.ts";
import { loadSettings } from "../../agent/cli/load_settings.ts";
import { onSignals } from "../../agent/cli/signals.ts";
import { openAnnouncer } from "../../agent/net/announce.ts";
import { createLog } from "../../agent/net/log.ts";
import { runIsolated } from "../../agent/supervisor/isolated.ts";

const args = parseArgs(Deno.args.slice(1), [{ name: "config", value: "DIR", help: "" }]);
if ("errors" in args) throw new Error(args.errors.join("; "));
const { config } = await loadSettings(args);
if (config === undefined) throw new Error("the settings have errors");
const logOptions = { level: "info", format: "text" } as const;
const log = createLog(logOptions);
const supervisor = runIsolated(config, {
  log,
  logOptions,
  announcer: openAnnouncer({
    readinessFile: config.readinessFile,
    log,
    env: (name) => Deno.env.get(name),
    pid: Deno.pid,
  }),
  reread: () => Promise.resolve(undefined),
  worker: new URL("./failing_worker.ts", import.meta.url),
});
onSignals(supervisor);
Deno.exit(await supervisor.ended);
