/**
 * The agent's worker, with mistakes on demand: a file `fail` in the conf directory makes it throw where nobody catches it; with
 * the text `always` it does so at every start, too. A file `hang` makes it stick for ever.
 */
import "../../agent/supervisor/worker.ts";

globalThis.addEventListener("message", async (event) => {
  const { type, config } = (event as MessageEvent<{ type: string; config: { confDirectory: string } }>).data;
  if (type !== "start") return;
  const fail = (why: string) =>
    setTimeout(() => {
      throw new Error(`asked to fail: ${why}`);
    });
  const path = `${config.confDirectory}/fail`;
  if (await Deno.readTextFile(path).catch(() => "") === "always") fail("at start");
  for await (const { paths, kind } of Deno.watchFs(config.confDirectory)) {
    if (kind !== "remove" && paths.includes(path)) fail("by file");
    if (paths.includes(`${config.confDirectory}/hang`)) {
      console.error("hanging now");
      for (;;);
    }
  }
});
