/**
 * The scripted control plane: a gRPC server in a `node` process of its own that serves the rules of a test as one of Istio's
 * control planes would, with that one's temper. Everything it receives and sends is an event that tests can await.
 *
 * Istio YAML -> resources (xds_resources.ts) -> control plane (control_plane/main.mjs) -> the agent under test.
 *
 * - `pilot-0.8.0`, `pilot-1.0.9`: xDS v2; nonces unchecked, names counted, pings limited; 0.8.0 dies of what killed it.
 * - `istiod`: xDS v3, state-of-the-world and delta; nonces checked, EDS answers partial.
 * - `recording-v2`, `recording-v3`: play recorded answers.
 *
 * @example
 * ```ts
 * import { startControlPlane } from "./control_plane.ts";
 * import { istioserver } from "./conf.ts";
 * await using plane = await startControlPlane({ temper: "istiod" });
 * await plane.serve(istioserver({ v1: 8001, v2: 8002 }, { v1: 90, v2: 10 }));
 * // … start an agent with `type: pilotv3` and `address: plane.address` …
 * await plane.settled(); // every type has had its answer and its ACK
 * plane.requests("CDS").length; // 2: the question and the ACK
 * ```
 */
import { RESOURCE_TYPES, type ResourceType } from "../../agent/xds/types.ts";
import { within } from "./bytes.ts";
import {
  type Dialect,
  programOf,
  resourcesOf,
  type WireResource,
  type WireResources,
} from "./xds_resources.ts";

export type Temper = Dialect | "recording-v2" | "recording-v3";

export interface ControlPlaneOptions {
  readonly temper: Temper;
  /** Default 0 = any free one; the port of an earlier one brings it back. */
  readonly port?: number;
  /** istiod: false = refuses delta streams, as Istio before 1.8 did. recording-v3: true = the recording is a delta one. */
  readonly delta?: boolean;
  /** Port of the explicit-proxy listener among the resources; default none. */
  readonly httpProxyPort?: number;
  /** true = listens only once it serves something, as Pilot does when it knows its services; needs `port`. */
  readonly servesFirst?: boolean;
  /** Address that it listens on; default 127.0.0.1. */
  readonly host?: string;
  /** Words in front of its command, such as `ip netns exec NAME`. */
  readonly before?: readonly string[];
}

/** A request as it came; what its protocol does not have is empty. */
export interface RequestEvent {
  readonly kind: "request";
  readonly stream: number;
  readonly type: ResourceType | "other";
  readonly typeUrl: string;
  readonly version: string;
  readonly nonce: string;
  readonly names: readonly string[];
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  readonly initialVersions: Readonly<Record<string, string>>;
  readonly node?: {
    readonly id: string;
    readonly cluster: string;
    readonly metadata: Record<string, unknown>;
  };
  /** Text of a NACK. */
  readonly error?: string;
}

export interface ResponseEvent {
  readonly kind: "response";
  readonly stream: number;
  readonly type: ResourceType | "raw";
  readonly version: string;
  readonly nonce: string;
  readonly names: readonly string[];
  readonly removed: readonly string[];
  readonly bytes: number;
}

export type PlaneEvent =
  | { readonly kind: "listening"; readonly port: number }
  | { readonly kind: "connected" }
  | {
    readonly kind: "open";
    readonly stream: number;
    readonly path: string;
    readonly metadata: Record<string, string>;
  }
  | RequestEvent
  | ResponseEvent
  | { readonly kind: "closed"; readonly stream: number; readonly reason: string }
  /** `strikes`: pings that came too soon after the one before. */
  | { readonly kind: "ping"; readonly strikes: number }
  | { readonly kind: "goaway"; readonly reason: string }
  | { readonly kind: "cut" }
  /** It died of a request; the process is gone. */
  | { readonly kind: "panic"; readonly text: string }
  | { readonly kind: "exit"; readonly code: number };

export interface ControlPlane extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  /** `grpc://127.0.0.1:PORT`, as serviceDiscovery.address has it. */
  readonly address: string;
  /** Istio YAML becomes its whole configuration and is pushed. */
  serve(yaml: string, options?: { readonly push?: boolean }): Promise<void>;
  /** Replaces these types and pushes what changed. */
  set(resources: Partial<WireResources>, options?: { readonly push?: boolean }): Promise<void>;
  /** Pushes once more with a new version, as 0.8.0 did each minute. `types`: those that count as changed (istiod). */
  push(types?: readonly ResourceType[]): Promise<void>;
  /** Sends one message as it is on every open stream. */
  say(message: Uint8Array): Promise<void>;
  /** recording-*: the answers, in the order in which they came. */
  record(messages: readonly Uint8Array[]): Promise<void>;
  /** recording-*: sends the next answer that nobody asked for. */
  next(): Promise<void>;
  /** Keeps back answers of these types (default all) until {@link release}. */
  hold(types?: readonly ResourceType[]): Promise<void>;
  release(): Promise<void>;
  /** Writes at most so many bytes in a turn of its event loop; 0 = as fast as it goes. */
  trickle(bytesPerTurn: number): Promise<void>;
  /** Resets every connection after so many more bytes. */
  cutAfter(bytes: number): Promise<void>;
  /** Resets every connection now. */
  disconnect(): Promise<void>;
  /** Ends every stream with a gRPC status; 0 = as a server does whose streams have their age. */
  end(code: number, details?: string): Promise<void>;
  /** New streams end with this status; null = they are served again. */
  refuse(status: { readonly code: number; readonly details: string } | null): Promise<void>;
  /** Stops the process: connections stay open and nothing is read or written. */
  freeze(): void;
  thaw(): void;
  /** The process is gone at once. */
  kill(): Promise<void>;
  /** What happened so far. */
  readonly events: readonly PlaneEvent[];
  requests(type?: ResourceType): readonly RequestEvent[];
  responses(type?: ResourceType): readonly ResponseEvent[];
  /** Resolves with the first event, past or to come, that it accepts; `from` = index of the first one to look at. */
  waitFor<E extends PlaneEvent>(
    accepts: (event: PlaneEvent) => event is E,
    what: string,
    from?: number,
  ): Promise<E>;
  waitFor(accepts: (event: PlaneEvent) => boolean, what: string, from?: number): Promise<PlaneEvent>;
  /**
   * Resolves once each of these types (default all four) has an answer on the newest stream and the last one is acknowledged, by
   * ACK or NACK.
   */
  settled(types?: readonly ResourceType[]): Promise<void>;
}

const MAIN = new URL("./control_plane/main.mjs", import.meta.url).pathname;
const WAIT_MS = 20_000;

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const plane = new PlaneProcess(options);
  if (options.servesFirst !== true) await plane.listening();
  return plane;
}

class PlaneProcess implements ControlPlane {
  readonly events: PlaneEvent[] = [];
  port = 0;
  readonly #options: ControlPlaneOptions;
  readonly #child: Deno.ChildProcess;
  readonly #commands: WritableStreamDefaultWriter<Uint8Array>;
  readonly #watchers = new Set<() => void>();
  readonly #done = new Set<number>();
  readonly #ended: Promise<void>;
  #over = false;
  #stderr = "";
  #nextId = 1;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    const { temper, port = 0, delta, servesFirst, host = "127.0.0.1", before = [] } = options;
    this.port = port;
    const [program = "node", ...words] = [...before, "node"];
    this.#child = new Deno.Command(program, {
      args: [
        ...words,
        MAIN,
        JSON.stringify({ temper, port, host, delta, servesFirst }),
      ],
      // Nothing of the test's own environment: grpc-js would read proxies from it.
      clearEnv: true,
      env: { PATH: Deno.env.get("PATH") ?? "" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#commands = this.#child.stdin.getWriter();
    this.#ended = Promise.all([this.#child.status, this.#readEvents(), this.#readErrors()]).then(
      ([status]) => {
        this.#over = true;
        this.#tell({ kind: "exit", code: status.code });
      },
    );
  }

  get pid(): number {
    return this.#child.pid;
  }

  get address(): string {
    return `grpc://${this.#options.host ?? "127.0.0.1"}:${this.port}`;
  }

  async listening(): Promise<void> {
    const event = await this.waitFor((e) => e.kind === "listening", "the control plane listening");
    this.port = (event as { readonly port: number }).port;
  }

  // ---------------------------------------------------------------- what it does

  serve(yaml: string, how: { readonly push?: boolean } = {}): Promise<void> {
    const { temper, httpProxyPort } = this.#options;
    if (temper === "recording-v2" || temper === "recording-v3") {
      throw new Error("a recording serves no rules");
    }
    return this.set(
      resourcesOf(programOf(yaml), temper, httpProxyPort === undefined ? {} : { httpProxyPort }),
      how,
    );
  }

  set(resources: Partial<WireResources>, how: { readonly push?: boolean } = {}): Promise<void> {
    const encoded = Object.fromEntries(
      Object.entries(resources).map(([type, list]) => [type, list.map(inJson)]),
    );
    return this.#command("set", { resources: encoded, ...how });
  }

  push(types?: readonly ResourceType[]): Promise<void> {
    return this.#command("push", types === undefined ? {} : { types });
  }

  say(message: Uint8Array): Promise<void> {
    return this.#command("say", { message: message.toBase64() });
  }

  record(messages: readonly Uint8Array[]): Promise<void> {
    return this.#command("record", { messages: messages.map((m) => m.toBase64()) });
  }

  next(): Promise<void> {
    return this.#command("next");
  }

  hold(types?: readonly ResourceType[]): Promise<void> {
    return this.#command("hold", types === undefined ? {} : { types });
  }

  release(): Promise<void> {
    return this.#command("release");
  }

  trickle(bytesPerTurn: number): Promise<void> {
    return this.#command("trickle", { bytesPerTurn });
  }

  cutAfter(bytes: number): Promise<void> {
    return this.#command("cutAfter", { bytes });
  }

  disconnect(): Promise<void> {
    return this.#command("disconnect");
  }

  end(code: number, details = ""): Promise<void> {
    return this.#command("end", { code, details });
  }

  refuse(status: { readonly code: number; readonly details: string } | null): Promise<void> {
    return this.#command("refuse", { status });
  }

  freeze(): void {
    this.#child.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch { /* it ended by itself */ }
    await this.#ended;
    await this.#commands.close().catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #command(command: string, rest: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const id = this.#nextId++;
    const line = new TextEncoder().encode(`${JSON.stringify({ id, command, ...rest })}\n`);
    // A process that is gone takes no command; that it ended is told below.
    await this.#commands.write(line).catch(() => {});
    await this.#until(
      () => this.#done.has(id) ? true : undefined,
      `the control plane having done "${command}"`,
    );
  }

  // ---------------------------------------------------------------- what happened

  requests(type?: ResourceType): readonly RequestEvent[] {
    return this.events.filter((e): e is RequestEvent =>
      e.kind === "request" && (type === undefined || e.type === type)
    );
  }

  responses(type?: ResourceType): readonly ResponseEvent[] {
    return this.events.filter((e): e is ResponseEvent =>
      e.kind === "response" && (type === undefined || e.type === type)
    );
  }

  waitFor<E extends PlaneEvent>(
    accepts: (event: PlaneEvent) => event is E,
    what: string,
    from?: number,
  ): Promise<E>;
  waitFor(accepts: (event: PlaneEvent) => boolean, what: string, from?: number): Promise<PlaneEvent>;
  waitFor(accepts: (event: PlaneEvent) => boolean, what: string, from = 0): Promise<PlaneEvent> {
    let at = from;
    return this.#until(() => {
      for (; at < this.events.length; at++) if (accepts(this.events[at]!)) return this.events[at];
      return undefined;
    }, what);
  }

  async settled(types: readonly ResourceType[] = RESOURCE_TYPES): Promise<void> {
    await this.#until(
      () => types.every((type) => this.#acknowledged(type)) ? true : undefined,
      `an acknowledged answer of ${types.join(", ")}`,
    );
  }

  #acknowledged(type: ResourceType): boolean {
    const stream = this.events.findLast((e) => e.kind === "open")?.stream;
    const nonce = this.responses(type).findLast((e) => e.stream === stream)?.nonce;
    return nonce !== undefined && this.requests(type).some((e) => e.stream === stream && e.nonce === nonce);
  }

  /** `look` is asked again after every event, until it gives something. */
  async #until<T>(look: () => T | undefined, what: string): Promise<T> {
    let watcher: (() => void) | undefined;
    const found = new Promise<T>((resolve, reject) => {
      watcher = () => {
        const value = look();
        if (value !== undefined) resolve(value);
        else if (this.#over) reject(new Error(`Cannot see ${what}: the control plane ended`));
      };
      this.#watchers.add(watcher);
      watcher();
    });
    try {
      return await within(found, what, WAIT_MS);
    } catch (e) {
      const tail = this.events.slice(-40).map((event) => JSON.stringify(event).slice(0, 300)).join("\n");
      throw new Error(`${(e as Error).message}\n${this.#stderr}last events:\n${tail}`);
    } finally {
      this.#watchers.delete(watcher!);
    }
  }

  #tell(event: PlaneEvent | { readonly kind: "done"; readonly id: number }): void {
    if (event.kind === "done") this.#done.add(event.id);
    else this.events.push(event);
    for (const watcher of this.#watchers) watcher();
  }

  async #readEvents(): Promise<void> {
    let rest = "";
    for await (const piece of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#tell(JSON.parse(line));
    }
  }

  async #readErrors(): Promise<void> {
    for await (const piece of this.#child.stderr.pipeThrough(new TextDecoderStream())) this.#stderr += piece;
  }
}

function inJson(resource: WireResource): Record<string, unknown> {
  const { name, typeUrl, bytes } = resource;
  return { name, bytes: bytes.toBase64(), ...(typeUrl === undefined ? {} : { typeUrl }) };
}
