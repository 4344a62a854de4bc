/** The worker's entry point in a compiled program: what worker.ts is, prepared (net/prepared.ts). */
import { loadPrepared } from "../net/prepared.ts";

// The bundler puts this two folders below the prepared scripts, as it is here below agent/.
if (loadPrepared("worker", new URL("../../", import.meta.url)) === undefined) await import("./worker.ts");
