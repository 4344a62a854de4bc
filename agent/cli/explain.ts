/** `explain`: why a request goes where it goes, by a running agent or offline, through the resolver of the data path. */
import type { ProxyContext } from "../istio/resources.ts";
import type { ParsedArgs } from "./args.ts";
import type { ExitCode, Run } from "./command.ts";
import type { Terminal } from "./terminal.ts";

interface Question {
  readonly method: string;
  readonly url: string;
  readonly headers: [string, string][];
}

export const run: Run = async (args, terminal) => {
  const question = questionOf(args);
  if (typeof question === "string") {
    terminal.note(`${question}\n    mesh-agent explain GET http://reviews:9080/ --rules config/rules`);
    return 2;
  }
  const given = ["rules", "config", "admin"].filter((name) => args.has(name));
  if (args.has("admin") && given.length > 1) {
    terminal.note("Cannot explain: --admin asks a running agent; want it alone, or --rules or --config");
    return 2;
  }
  if (args.has("inbound") && given.some((name) => name !== "admin")) {
    terminal.note(
      "Cannot explain: --inbound asks a running agent; want --admin, or neither --rules nor --config",
    );
    return 2;
  }
  if (args.has("rules") || args.has("config")) return await offline(question, args, terminal);
  return await byAgent(question, args, terminal);
};

function questionOf(args: ParsedArgs): Question | string {
  const [first, second, ...rest] = args.words;
  if (first === undefined) return "Cannot explain: no URL is given";
  if (rest.length > 0) return `Cannot explain "${rest[0]}": want one METHOD and one URL`;
  const [method, url] = second === undefined ? ["GET", first] : [first, second];
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(url)) {
    return `Cannot explain "${url}": it is no absolute URL; want http://HOST:PORT/PATH`;
  }
  const headers: [string, string][] = [];
  for (const line of args.all("header")) {
    const at = line.indexOf(":");
    if (at <= 0) return `Cannot read header "${line}": want NAME:VALUE`;
    headers.push([line.slice(0, at).trim(), line.slice(at + 1).trim()]);
  }
  return { method, url, headers };
}

async function offline(question: Question, args: ParsedArgs, terminal: Terminal): Promise<ExitCode> {
  const [
    { ANYBODY, compileRules },
    { readRulePaths },
    { explain, formatExplanation },
    { explainConnection, isConnection },
    { viewOf },
    { diagnosticText },
  ] = await Promise.all([
    import("../discovery/offline.ts"),
    import("./rule_paths.ts"),
    import("../route/explain.ts"),
    import("../route/explain_l4.ts"),
    import("../route/view.ts"),
    import("./terminal.ts"),
  ]);
  let context: ProxyContext = ANYBODY;
  let paths = args.all("rules");
  if (args.has("config")) {
    const [{ loadSettings, settingsText }, { proxyContextOf }] = await Promise.all([
      import("./load_settings.ts"),
      import("../discovery/file.ts"),
    ]);
    const { config, diagnostics } = await loadSettings(args);
    if (config === undefined) {
      terminal.note(settingsText(diagnostics, terminal.paint));
      return 2;
    }
    context = proxyContextOf(config);
    const { type, address } = config.serviceDiscovery;
    if (paths.length === 0 && type !== "file") {
      terminal.note(
        `Cannot explain offline: the rules come from ${type} ${address}; want --rules PATH, or the running agent (--admin)`,
      );
      return 2;
    }
    if (paths.length === 0) paths = [address];
  }
  const namespace = args.get("namespace");
  if (namespace !== undefined) context = { ...context, namespace };
  const files = await readRulePaths(paths);
  const { program, tables, diagnostics } = compileRules(files, context);
  for (const d of diagnostics) {
    if (d.severity === "error") terminal.note(diagnosticText(d, terminal.paint, files));
  }
  let explanation;
  try {
    explanation = isConnection(question.url)
      ? explainConnection(program, tables, question.url, context.namespace)
      : explain(program, tables, viewOf(question));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    terminal.note(error.message);
    return 2;
  }
  terminal.print(args.has("json") ? JSON.stringify(explanation, null, 2) : formatExplanation(explanation));
  return 0;
}

async function byAgent(question: Question, args: ParsedArgs, terminal: Terminal): Promise<ExitCode> {
  const { adminAddress, askAgent } = await import("./ask_agent.ts");
  const address = adminAddress(args.get("admin"));
  if (typeof address === "string") {
    terminal.note(address);
    return 2;
  }
  const format = args.has("json") ? "json" : "text";
  const direction = args.has("inbound") ? "&direction=inbound" : "";
  const { status, body } = await askAgent(
    address,
    `/explain?format=${format}${direction}`,
    JSON.stringify(question),
  );
  (status === 200 ? terminal.print : terminal.note)(body.trimEnd());
  return status === 200 ? 0 : status === 400 ? 2 : 1;
}
