/** Where commands print: results on standard output, the rest on standard error; colours only for a terminal without NO_COLOR. */
import { type Diagnostic, formatDiagnostic } from "../core/diagnostics.ts";

export interface Terminal {
  /** Results, with the newline. */
  print(text: string): void;
  /** Everything else. */
  note(text: string): void;
  /** Overwrites the current line of standard error; only for a terminal. */
  progress(text: string): void;
  readonly interactive: boolean;
  readonly paint: Paint;
}

export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  yellow(text: string): string;
  green(text: string): string;
  cyan(text: string): string;
}

export function systemTerminal(): Terminal {
  const encoder = new TextEncoder();
  const write = (to: { writeSync(bytes: Uint8Array): number }, text: string) => {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) {
      try {
        at += to.writeSync(bytes.subarray(at));
      } catch (error) {
        // A full non-blocking pipe takes the rest later; a closed one (`| head`) wants no more.
        if (error instanceof Deno.errors.WouldBlock) continue;
        if (error instanceof Deno.errors.BrokenPipe) return;
        throw error;
      }
    }
  };
  const interactive = Deno.stderr.isTerminal();
  let progressing = false;
  const endProgress = () => {
    if (progressing) write(Deno.stderr, "\r\x1b[K");
    progressing = false;
  };
  return {
    print: (text) => {
      endProgress();
      write(Deno.stdout, text + "\n");
    },
    note: (text) => {
      endProgress();
      write(Deno.stderr, text + "\n");
    },
    progress: (text) => {
      if (!interactive) return;
      write(Deno.stderr, `\r\x1b[K${text}`);
      progressing = true;
    },
    interactive,
    paint: createPaint(!Deno.noColor && Deno.stdout.isTerminal()),
  };
}

export function createPaint(colours: boolean): Paint {
  const with_ = (code: number) => (text: string) => colours ? `\x1b[${code}m${text}\x1b[0m` : text;
  return {
    bold: with_(1),
    dim: with_(2),
    red: with_(31),
    yellow: with_(33),
    green: with_(32),
    cyan: with_(36),
  };
}

// Findings come sorted by file: the lines of the last one answer the next.
let lastText = "";
let lastLines: readonly string[] = [];

function lineOf(text: string, line: number): string | undefined {
  if (text !== lastText) [lastText, lastLines] = [text, text.split("\n")];
  return lastLines[line - 1];
}

/** One finding as people read it; with the text of its file also the line and a caret. */
export function diagnosticText(d: Diagnostic, paint: Paint, files?: ReadonlyMap<string, string>): string {
  const colour = d.severity === "error" ? paint.red : d.severity === "warning" ? paint.yellow : paint.cyan;
  const [first = "", ...rest] = formatDiagnostic(d).split("\n");
  const mark = `${d.severity} [${d.code}]`;
  const lines = [first.replace(mark, () => colour(mark))];
  const { file, line, column } = d.where;
  const text = file === undefined ? undefined : files?.get(file);
  const source = text === undefined || line === undefined ? undefined : lineOf(text, line);
  if (source !== undefined && source.trim() !== "" && source.length < 200) {
    lines.push(paint.dim(`    ${String(line).padStart(4)} | ${source.trimEnd()}`));
    if (column !== undefined) lines.push(paint.dim(`         | ${" ".repeat(column - 1)}${colour("^")}`));
  }
  return [...lines, ...rest.map(paint.dim)].join("\n");
}
