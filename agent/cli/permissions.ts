/** `permissions`: what the agent may do, and which setting makes it so. */
import type { AgentConfig } from "../settings/types.ts";
import { readFacts } from "../supervisor/facts.ts";
import { readSeal } from "../supervisor/seal.ts";
import { type Guard, originOf, type Scope, scopeOf } from "../supervisor/scope.ts";
import type { Run } from "./command.ts";
import { loadSettings, settingsText } from "./load_settings.ts";
import type { Paint } from "./terminal.ts";

export const run: Run = async (args, terminal) => {
  if (args.words.length > 0) {
    terminal.note(
      `Cannot show the rights of "${
        args.words[0]
      }": permissions takes flags only\n    mesh-agent permissions --config DIR`,
    );
    return 2;
  }
  const { config, diagnostics, files } = await loadSettings(args);
  if (config === undefined) {
    terminal.note(settingsText(diagnostics, terminal.paint, files));
    return 2;
  }
  const scope = scopeOf(config, await readFacts(config));
  terminal.print(args.has("json") ? json(config, scope) : text(config, scope, terminal.paint));
  if (await readSeal() !== undefined) {
    terminal.note("Sealed: the whole program has no other rights to the network and to files.");
  }
  return 0;
};

/** Rights that no setting gives; without a cache also that to write. */
const NEVER = ["run", "ffi", "sys", "import"] as const;

function json(config: AgentConfig, scope: Scope): string {
  const { guard, runtime } = scope;
  const grants = scope.grants.map((grant) => ({ ...grant, origin: originOf(grant, config) }));
  const never = runtime.write.length === 0 ? ["write", ...NEVER] : NEVER;
  return JSON.stringify({ isolation: config.isolation, guard, grants, never, runtime }, null, 2);
}

const GUARDS: Readonly<Record<Guard, string>> = {
  runtime: "The runtime holds the agent to these: it cannot listen, connect or read anywhere else.",
  agent:
    "Where it connects to is held to by the agent alone: the runtime's list cannot hold ranges of IPv6, so the " +
    "runtime lets it connect and listen anywhere. The rest is held to by the runtime.",
  nobody: "any: it may connect to and listen on any address. The rest is held to by the runtime.",
};
const NOT_ISOLATED =
  "cse.mesh.isolation is false: the agent has all rights of its process, and is not held to these.";
const PASSED =
  "outboundTrafficPolicy ALLOW_ANY passes hosts without a rule through only where the above allows it; " +
  "cse.mesh.permissions.net any = everywhere.";

function text(config: AgentConfig, { guard, grants, runtime }: Scope, paint: Paint): string {
  const { isolation, proxy } = config;
  const rows = grants.map((grant) =>
    [grant.right, grant.value, grant.because, originOf(grant, config)] as const
  );
  const width = (i: 0 | 1 | 2) => Math.max(...rows.map((row) => row[i].length));
  const widths = [width(0), width(1), width(2)] as const;
  const lines = rows.map(([right, value, because, origin]) =>
    `${right.padEnd(widths[0])}  ${value.padEnd(widths[1])}  ${because.padEnd(widths[2])}  ${
      paint.dim(origin)
    }`
  );
  const writing = runtime.write.length === 0 ? "writing" : "writing elsewhere";
  lines.push(
    "",
    `never: ${writing}, starting programs, native code, system information, code from the network`,
  );
  lines.push(isolation ? GUARDS[guard] : paint.yellow(NOT_ISOLATED));
  if (proxy.outboundTrafficPolicy === "ALLOW_ANY" && guard !== "nobody") lines.push(PASSED);
  return lines.join("\n");
}
