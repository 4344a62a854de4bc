/** The effective value of a setting: flag, variable, file, default, with its origin. */
import { type Diagnostic, diagnostic, type Origin } from "../core/diagnostics.ts";
import type { YamlValue } from "../core/yaml.ts";
import { expand } from "./expand.ts";
import { type FlagName, type Setting, SETTINGS, variablesOf } from "./schema.ts";
import { type Found, writtenIn } from "./tree.ts";
import type { SettingOrigin } from "./types.ts";
import { parseListenAddress, readValue, type Written } from "./value.ts";

export type SettingFlags = Readonly<Partial<Record<FlagName, string | undefined>>>;

/** What is given from outside of the files' trees; see `SettingsInput` of read.ts. */
interface Given {
  readonly directory: string;
  readonly label?: string;
  readonly files: ReadonlyMap<string, string>;
  readonly env: ReadonlyMap<string, string>;
  readonly flags?: SettingFlags | undefined;
  readonly unreadable?: ReadonlySet<string>;
}

/** A reading under way. */
export interface Context {
  readonly input: Given;
  readonly found: ReadonlyMap<string, Found>;
  readonly origins: Map<string, SettingOrigin>;
  /** Keys with a wrong value: what would follow from their default is not told, too. */
  readonly refused: Set<string>;
  readonly diagnostics: Diagnostic[];
}

const BY_KEY = new Map(SETTINGS.map((setting) => [setting.key, setting]));

/** The effective value of a key: flag, variable, file, default. A wrong one is told and counts as not set. */
export function valueOf(context: Context, key: string, without: readonly string[] = []): unknown {
  const { input: { env, flags = {} }, found, origins } = context;
  const setting = BY_KEY.get(key) as Setting;
  const take = (value: unknown, from: SettingOrigin["from"], where: Origin): unknown => {
    origins.set(key, originOf(value, from, where));
    return value;
  };

  const flag = setting.flag === undefined ? undefined : flags[setting.flag];
  if (flag !== undefined) {
    const where = { kind: "flag", field: `--${setting.flag}` };
    const value = judged(context, setting, given(flag), `--${setting.flag}`, where);
    if (value !== undefined) return take(value, "flag", where);
  }
  for (const name of variablesOf(setting)) {
    const text = env.get(name);
    if (text === undefined || text === "" || without.includes(name)) continue;
    const where = { kind: "variable", field: name };
    const isJson = setting.form.kind === "texts" || setting.form.kind === "healthChecks";
    const written = isJson ? fromJson(text) : given(text);
    const value = judged(context, setting, written, name, where);
    if (value !== undefined) return take(value, "environment", where);
  }
  const one = found.get(key);
  if (one !== undefined) {
    const value = valueInFile(context, one);
    if (value !== undefined) return take(value, "file", one.where);
  }
  const fallback = setting.form.kind === "address"
    ? parseListenAddress(setting.fallback as string)
    : setting.fallback;
  return take(fallback, "default", {});
}

function originOf(value: unknown, from: SettingOrigin["from"], where: Origin): SettingOrigin {
  return { value, from, where };
}

/** A text from outside of the files. */
function given(text: string): Written {
  return { value: text, source: () => text, isBare: () => false };
}

function fromJson(text: string): Written {
  try {
    return { ...given(text), value: JSON.parse(text) as YamlValue, source: () => undefined };
  } catch {
    return given(text);
  }
}

function valueInFile(context: Context, one: Found): unknown {
  const { input: { env, unreadable }, diagnostics } = context;
  const written = writtenIn(one);
  let expanded = false;
  const expandText = (text: string): string => {
    const { text: result, named } = expand(text, env);
    if (named.length > 0) expanded = true;
    for (const name of named) {
      if (unreadable?.has(name) !== true) continue;
      diagnostics.push(
        diagnostic(
          "S107",
          `Cannot read variable "${name}" for "${
            one.path.join(".")
          }": the permission set does not name it; ` +
            "want one that it names",
          one.where,
        ),
      );
    }
    return result;
  };
  const value = mapTexts(one.value, expandText);
  if (expanded && value === "") return undefined;
  return judged(
    context,
    one.setting,
    expanded ? { ...written, value, isBare: () => false } : written,
    one.path.join("."),
    one.where,
  );
}

/** Texts of a scalar, or of a list or map one level deep, changed. */
function mapTexts(value: YamlValue, change: (text: string) => string): YamlValue {
  if (typeof value === "string") return change(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => typeof each === "string" ? change(each) : each);
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, typeof each === "string" ? change(each) : each]),
  );
}

/** The value in its form, or undefined after telling what is wrong with it. */
function judged(context: Context, setting: Setting, written: Written, name: string, where: Origin): unknown {
  const reading = readValue(setting.form, written);
  if ("value" in reading) return reading.value;
  context.refused.add(setting.key);
  const { code, problem, path = [] } = reading;
  const at = path.reduce<unknown>(
    (value, part) => (value as Readonly<Record<string, unknown>>)[part],
    written.value,
  );
  const shown = typeof at === "object" ? "" : ` "${String(at)}"`;
  context.diagnostics.push(
    diagnostic(code, `Cannot read ${[name, ...path].join(".")}${shown}: ${problem}`, where),
  );
  return undefined;
}
