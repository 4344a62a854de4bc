/** Help texts. */
import type { Flag } from "./args.ts";
import type { CommandHelp } from "./command.ts";
import type { Paint } from "./terminal.ts";

export function overview(commands: readonly CommandHelp[], paint: Paint): string {
  const width = Math.max(...commands.map((c) => c.usage.length));
  return [
    "mesh-agent: a sidecar that routes an application's HTTP requests by Istio rules",
    "",
    paint.bold("usage: mesh-agent COMMAND [FLAGS]"),
    "",
    ...commands.map((c) => `  ${c.usage.padEnd(width)}  ${paint.dim(c.summary)}`),
    `  ${"help [COMMAND]".padEnd(width)}  ${paint.dim("this, or one command with its flags and examples")}`,
    "",
    paint.bold("start here"),
    "  mesh-agent demo",
    "  http_proxy=http://127.0.0.1:30101 curl http://istioserver:8084/hello",
    "",
    "Exit codes: 0 done, 1 findings or a failure, 2 wrong usage or settings. NO_COLOR turns colours off.",
  ].join("\n");
}

export function commandHelp(command: CommandHelp, paint: Paint): string {
  const lines = [
    `mesh-agent ${command.name}: ${command.summary}`,
    "",
    paint.bold(`usage: mesh-agent ${command.usage}`),
  ];
  if (command.about.length > 0) lines.push("", ...command.about);
  if (command.flags.length > 0) {
    const names = command.flags.map(flagName);
    const width = Math.max(...names.map((n) => n.length));
    lines.push("", paint.bold("flags"));
    command.flags.forEach((f, i) =>
      lines.push(`  ${(names[i] as string).padEnd(width)}  ${paint.dim(f.help)}`)
    );
  }
  lines.push("", paint.bold("examples"));
  for (const [line, what] of command.examples) lines.push(`  ${line}`, `      ${paint.dim(what)}`);
  lines.push("", paint.bold("exit codes"));
  for (const [code, what] of command.exits) lines.push(`  ${code}  ${what}`);
  return lines.join("\n");
}

function flagName(flag: Flag): string {
  const short = flag.short === undefined ? "    " : `-${flag.short}, `;
  return `${short}--${flag.name}${flag.value === undefined ? "" : ` ${flag.value}`}`;
}
