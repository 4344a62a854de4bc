/** `status`: where a running agent has its rules from, and how fresh they are. */
import { formatSync } from "../admin/sync.ts";
import { adminAddress, askAgent, syncOf } from "./ask_agent.ts";
import type { Run } from "./command.ts";

export const run: Run = async (args, terminal) => {
  const address = adminAddress(args.get("admin"));
  if (args.words.length > 0 || typeof address === "string") {
    terminal.note(
      typeof address === "string"
        ? address
        : `Cannot show the status of "${
          args.words[0]
        }": want no word, an agent is named by --admin ADDR:PORT`,
    );
    return 2;
  }
  const answer = await askAgent(address, "/sync");
  const { status, body } = answer;
  const report = syncOf(answer);
  if (report === undefined) {
    terminal.note(
      `Cannot read the answer of ${args.get("admin") ?? "the agent"}: ${status} ${body.trimEnd()}`,
    );
    return 1;
  }
  terminal.print(args.has("json") ? body.trimEnd() : formatSync(report, terminal.paint));
  return report.ready ? 0 : 1;
};
