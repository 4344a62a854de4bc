/** `program`: what rule files compile to, or what a running agent decides by; as text, JSON or an Envoy bootstrap. */
import { parseAddress, type ParsedArgs } from "./args.ts";
import type { ExitCode, Run } from "./command.ts";
import { diagnosticText, type Terminal } from "./terminal.ts";

const FORMATS = ["text", "json", "envoy"];
const POLICIES = ["ALLOW_ANY", "REGISTRY_ONLY"] as const;

export const run: Run = async (args, terminal) => {
  if (args.words.length === 0) return await byAgent(args, terminal);
  const errors: string[] = [];
  const format = args.get("format") ?? (args.has("json") ? "json" : "text");
  const outbound = args.get("outbound") ?? "ALLOW_ANY";
  const policy = POLICIES.find((p) => p === outbound);
  if (args.words.length > 1) errors.push("Cannot compile: want one PATH, a rules directory or file");
  if (!FORMATS.includes(format)) errors.push(`Cannot print format "${format}": want ${FORMATS.join(", ")}`);
  if (policy === undefined) errors.push(`Cannot use outbound "${outbound}": want ${POLICIES.join(" or ")}`);
  const address = (name: string) => {
    const text = args.get(name);
    const parsed = text === undefined ? undefined : parseAddress(text);
    if (text !== undefined && parsed === undefined) {
      errors.push(`Cannot read --${name} "${text}": want ADDR:PORT, such as 127.0.0.1:10000`);
    }
    return parsed;
  };
  const listen = address("listen") ?? { hostname: "127.0.0.1", port: 30101 };
  const admin = address("admin");
  if (errors.length > 0 || policy === undefined) {
    for (const error of errors) terminal.note(error);
    return 2;
  }

  const [{ ANYBODY, compileRules }, { readRulePaths }] = await Promise.all([
    import("../discovery/offline.ts"),
    import("./rule_paths.ts"),
  ]);
  const files = await readRulePaths(args.words);
  const { program, diagnostics } = compileRules(files, {
    ...ANYBODY,
    namespace: args.get("namespace") ?? ANYBODY.namespace,
    outboundTrafficPolicy: policy,
  });
  const bad = diagnostics.filter((d) => d.severity === "error");
  for (const d of bad) terminal.note(diagnosticText(d, terminal.paint, files));
  if (format === "envoy") {
    const { envoyBootstrap } = await import("../admin/envoy_bootstrap.ts");
    const options = { listen, outbound: policy, ...(admin === undefined ? {} : { admin }) };
    terminal.print(JSON.stringify(envoyBootstrap(program, options), null, 2));
  } else {
    const { programJson, programText } = await import("../route/program_text.ts");
    terminal.print(format === "json" ? JSON.stringify(programJson(program), null, 2) : programText(program));
  }
  return bad.length > 0 ? 1 : 0;
};

async function byAgent(args: ParsedArgs, terminal: Terminal): Promise<ExitCode> {
  const { adminAddress, askAgent } = await import("./ask_agent.ts");
  const errors: string[] = [];
  const format = args.get("format") ?? (args.has("json") ? "json" : "text");
  const address = adminAddress(args.get("admin"));
  if (typeof address === "string") errors.push(address);
  if (!FORMATS.includes(format)) errors.push(`Cannot print format "${format}": want ${FORMATS.join(", ")}`);
  for (const name of ["listen", "outbound", "namespace"]) {
    if (args.has(name)) errors.push(`Cannot use --${name} without PATH: a running agent has its own`);
  }
  if (errors.length > 0 || typeof address === "string") {
    for (const error of errors) terminal.note(error);
    return 2;
  }
  const { status, body } = await askAgent(address, `/program?format=${format}`);
  (status === 200 ? terminal.print : terminal.note)(body.trimEnd());
  return status === 200 ? 0 : 1;
}
