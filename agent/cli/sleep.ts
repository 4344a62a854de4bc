/** `sleep`: waits; for a preStop hook in an image that has no other program. */
import { parseDuration } from "../core/duration.ts";
import { systemClock } from "../net/clock.ts";
import type { Run } from "./command.ts";

/** What a timer of the runtime takes; above, it would fire at once. */
const MAX_MS = 2 ** 31 - 1;

export const run: Run = async (args, terminal) => {
  const [text = "", ...more] = args.words;
  const ms = parseDuration(text);
  if (ms === undefined || ms < 0 || ms > MAX_MS || more.length > 0) {
    terminal.note(
      `Cannot sleep "${
        args.words.join(" ")
      }": it is no duration that can be waited; want one such as 15s\n    mesh-agent sleep 15s`,
    );
    return 2;
  }
  await new Promise<void>((resolve) => systemClock.after(ms, resolve));
  return 0;
};
