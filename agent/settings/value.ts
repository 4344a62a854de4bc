/** One written value -> the value of a setting, or what is wrong with it in words. */
import { parseDuration } from "../core/duration.ts";
import { nearest } from "../core/suggest.ts";
import { looksBoolean, type YamlValue } from "../core/yaml.ts";
import { formatNetEntry, NET_ENTRY, parseNetEntry } from "./net_entry.ts";
import { HEALTH_CHECK, readHealthChecks, readServicePorts, SERVICE_PORT } from "./inbound.ts";
import type { Form } from "./schema.ts";
import type { ListenAddress, TcpForward } from "./types.ts";

/** A value as it stands somewhere. `written` gives its source text in a file; it is slow there. */
export interface Written {
  readonly value: YamlValue;
  /** How a number is written, e.g. `1.0`. */
  source(path: readonly string[]): string | undefined;
  /** Whether it is a bare y, n, yes, no, on or off. */
  isBare(path: readonly string[]): boolean;
}

export type Reading =
  | { readonly value: unknown }
  | {
    /** S103 wrong form, S104 bare word, S105 not one of the words. */
    readonly code: "S103" | "S104" | "S105";
    /** What it is and what is wanted. */
    readonly problem: string;
    readonly path?: readonly string[];
  };

export function readValue(form: Form, written: Written): Reading {
  if (form.kind === "texts") return readTexts(written);
  if (form.kind === "hosts") return readHosts(written);
  if (form.kind === "forwards") return readForwards(written);
  if (form.kind === "places") {
    return readList(written, NET_ENTRY, (text) => formatNetEntry(parseNetEntry(text)));
  }
  if (form.kind === "servicePorts") return listReading(readServicePorts(written.value));
  if (form.kind === "healthChecks") return listReading(readHealthChecks(written.value));
  if (form.kind === "paths") return readList(written, "want paths of files and directories", (text) => text);
  const { value } = written;
  if (typeof value === "object" && value !== null) {
    return wrong(`it is ${Array.isArray(value) ? "a list" : "a map"}; want ${wanted(form)}`);
  }
  switch (form.kind) {
    case "text":
      return readText(written, value, []);
    case "boolean": {
      if (typeof value === "boolean") return { value };
      // Mesher reads YAML 1.1, where these words are booleans, too.
      const found = /^(?:(y|yes|on|true)|(?:n|no|off|false))$/i.exec(String(value));
      return found === null ? wrong(`want ${wanted(form)}`) : { value: found[1] !== undefined };
    }
    case "count": {
      const number = typeof value === "number"
        ? value
        : typeof value === "string" && /^\d+$/.test(value)
        ? Number(value)
        : NaN;
      const good = Number.isSafeInteger(number) && number >= form.min;
      return good ? { value: number } : wrong(`want ${wanted(form)}`);
    }
    case "duration": {
      const ms = typeof value === "string" || value === 0 ? parseDuration(String(value)) : undefined;
      // setTimeout's bound; above, a timer would fire at once.
      const good = ms !== undefined && ms >= 0 && (ms > 0 || form.zero) && ms <= 2 ** 31 - 1;
      return good ? { value: ms } : wrong(`want ${wanted(form)}`);
    }
    case "address": {
      const address = typeof value === "string" ? parseListenAddress(value) : undefined;
      return address === undefined ? wrong(`want ${wanted(form)}`) : { value: address };
    }
    case "word": {
      if (typeof value === "string" && form.words.includes(value)) return { value };
      // A word among them that YAML 1.1 reads as a boolean (accessLog: off) may stand bare.
      if (typeof value === "boolean" && form.words.includes(value ? "on" : "off")) {
        return { value: value ? "on" : "off" };
      }
      const near = nearest(String(value), form.words);
      return {
        code: "S105",
        problem: `want ${wanted(form)}` + (near === undefined ? "" : `; did you mean "${near}"?`),
      };
    }
  }
}

const wrong = (problem: string): Reading => ({ code: "S103", problem });

function readText(written: Written, value: YamlValue, path: readonly string[]): Reading {
  if (typeof value === "number") return { value: written.source(path) ?? String(value) };
  if (typeof value === "boolean") {
    // As a label or property it is text to Mesher; as a name it is a slip.
    if (path.length > 0) return { value: written.source(path) ?? String(value) };
    return wrong("it is a boolean; want text (in quotes)");
  }
  if (typeof value !== "string") {
    const is = Array.isArray(value) ? "a list" : "a map";
    return { code: "S103", problem: `it is ${is}; want text`, path };
  }
  if (looksBoolean(value) && written.isBare(path)) {
    return { code: "S104", problem: "the bare word is a boolean to Kubernetes; want text", path };
  }
  return { value };
}

function readTexts(written: Written): Reading {
  const { value } = written;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return wrong(`want ${wanted({ kind: "texts" })}`);
  }
  const texts: [string, string][] = [];
  for (const [key, each] of Object.entries(value)) {
    if (each === null) continue;
    const reading = readText(written, each, [key]);
    if (!("value" in reading)) return reading;
    texts.push([key, reading.value as string]);
  }
  return { value: Object.fromEntries(texts) };
}

const HOST = /^(?:\*[.-]?)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?$|^\*$/;

function readHosts(written: Written): Reading {
  const { value } = written;
  const list = Array.isArray(value) ? value : typeof value === "string" ? value.split(",") : undefined;
  if (list === undefined) return wrong(`want ${wanted({ kind: "hosts" })}`);
  const hosts = new Set<string>();
  for (const [i, each] of list.entries()) {
    const host = typeof each === "string" ? each.trim().toLowerCase() : each;
    if (host === "" || host === null) continue;
    if (typeof host !== "string" || !HOST.test(host)) {
      return {
        code: "S103",
        problem: `want host names without port, such as reviews or *.shop.svc.cluster.local`,
        ...(Array.isArray(value) ? { path: [String(i)] } : {}),
      };
    }
    hosts.add(host);
  }
  return { value: [...hosts] };
}

const FORWARD = "want [ADDRESS:]PORT=HOST:PORT, such as 3306=mysql:3306 or [::1]:3306=mysql:3306";

function readForwards(written: Written): Reading {
  const { value } = written;
  const list = Array.isArray(value) ? value : typeof value === "string" ? value.split(",") : undefined;
  if (list === undefined) return wrong(`want ${wanted({ kind: "forwards" })}`);
  const forwards: TcpForward[] = [];
  const taken = new Set<string>();
  for (const [i, each] of list.entries()) {
    if (each === null || (typeof each === "string" && each.trim() === "")) continue;
    const path = Array.isArray(value) ? { path: [String(i)] } : {};
    const forward = typeof each === "string" ? parseForward(each.trim()) : undefined;
    if (forward === undefined) return { code: "S103", problem: FORWARD, ...path };
    const listen = formatListenAddress(forward.listen);
    if (forward.listen.port !== 0 && taken.has(listen)) {
      return { code: "S103", problem: `${listen} is listened on twice; want another port`, ...path };
    }
    taken.add(listen);
    forwards.push(forward);
  }
  return { value: forwards };
}

function parseForward(text: string): TcpForward | undefined {
  const at = text.indexOf("=");
  if (at < 0) return undefined;
  const left = text.slice(0, at).trim();
  const listen = parseListenAddress(/^\d+$/.test(left) ? `127.0.0.1:${left}` : left);
  const to = parseListenAddress(text.slice(at + 1).trim().replace(/_/g, "-"));
  if (listen === undefined || to === undefined || to.port === 0) return undefined;
  const host = text.slice(at + 1).trim().replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return { listen, host: host.replace(/\.$/, ""), port: to.port };
}

/** Texts of a list, or between commas, each in its normal spelling and once. */
function readList(written: Written, problem: string, read: (text: string) => string | undefined): Reading {
  const { value } = written;
  const list = Array.isArray(value) ? value : typeof value === "string" ? value.split(",") : undefined;
  if (list === undefined) return wrong(problem);
  const texts = new Set<string>();
  for (const [i, each] of list.entries()) {
    if (each === null || (typeof each === "string" && each.trim() === "")) continue;
    const text = typeof each === "string" ? read(each.trim()) : undefined;
    if (text === undefined) {
      return { code: "S103", problem, ...(Array.isArray(value) ? { path: [String(i)] } : {}) };
    }
    texts.add(text);
  }
  return { value: [...texts] };
}

function listReading(
  read: { readonly value: unknown } | { readonly problem: string; readonly path?: readonly string[] },
): Reading {
  return "value" in read ? read : { code: "S103", ...read };
}

/** As it is written. */
export function formatForward({ listen, host, port }: TcpForward): string {
  return `${formatListenAddress(listen)}=${formatListenAddress({ hostname: host, port })}`;
}

/** What a form wants, in words. */
export function wanted(form: Form): string {
  switch (form.kind) {
    case "text":
      return "text";
    case "texts":
      return "a map of texts";
    case "boolean":
      return "true or false";
    case "count":
      return `a whole number of at least ${form.min}`;
    case "duration":
      return `a duration such as 250ms, 10s or 1m30s${form.zero ? " (0s: none)" : ", above 0s"}`;
    case "address":
      return "ADDRESS:PORT, such as 127.0.0.1:30101 or [::1]:30101";
    case "hosts":
      return "a list of host names, or a text with commas";
    case "forwards":
      return "a list of [ADDRESS:]PORT=HOST:PORT, or a text with commas";
    case "places":
      return "a list of addresses, ranges and hosts, or a text with commas";
    case "servicePorts":
      return SERVICE_PORT.replace("want ", "a list of ");
    case "healthChecks":
      return HEALTH_CHECK.replace("want ", "");
    case "paths":
      return "a list of paths, or a text with commas";
    case "word":
      return `one of ${form.words.join(", ")}`;
  }
}

/** `127.0.0.1:80`, `[::1]:80`, `localhost:80`; undefined when it is none. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) return undefined;
  const [, six, name] = match;
  if (six !== undefined && !six.includes(":")) return undefined;
  if (name !== undefined && /^[\d.]+$/.test(name) && !isIpv4(name)) return undefined;
  return { hostname: (six ?? name) as string, port };
}

/** Four numbers of at most 255. */
export function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
}

export function formatListenAddress({ hostname, port }: ListenAddress): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
