/** grpc-js at both ends of the agent, each in a `node` process: grpc_pair/server.mjs and grpc_pair/client.mjs say what they do. */

const at = (name: string): string => new URL(`./grpc_pair/${name}`, import.meta.url).pathname;

export interface PairEvent {
  readonly port?: number;
  readonly event?: string;
  readonly timeout?: string;
}

/** What a case saw. */
export interface Played {
  readonly code: number;
  readonly details: string;
  readonly messages: number;
  readonly bytes: number;
  readonly last: string;
  readonly ok: number;
  readonly failed: number;
  /** Calls that the server got more than once. */
  readonly twice: number;
  /** Statuses of those that failed. */
  readonly codes: readonly number[];
  readonly ms: number;
  readonly bin: readonly number[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly trailers: Readonly<Record<string, string>>;
}

export class GrpcServer implements AsyncDisposable {
  port = 0;
  readonly #child: Deno.ChildProcess;
  readonly #events: PairEvent[] = [];
  readonly #reading: Promise<void>;
  #told: (() => void) | null = null;

  private constructor(args: readonly string[]) {
    this.#child = new Deno.Command("node", {
      args: [at("server.mjs"), ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#reading = this.#read();
  }

  /** With `maxAgeMs` it says GOAWAY to each connection after about that time. */
  static async start(maxAgeMs?: number): Promise<GrpcServer> {
    const server = new GrpcServer(maxAgeMs === undefined ? [] : [String(maxAgeMs)]);
    server.port = (await server.event((e) => e.port !== undefined)).port!;
    return server;
  }

  /** The first event of that kind, also one that came before; it is taken out. */
  async event(wanted: (event: PairEvent) => boolean): Promise<PairEvent> {
    for (;;) {
      const index = this.#events.findIndex(wanted);
      if (index >= 0) return this.#events.splice(index, 1)[0]!;
      await new Promise<void>((resolve) => this.#told = resolve);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close().catch(() => {});
    await this.#child.status;
    await this.#reading;
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const chunk of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#events.push(JSON.parse(line));
      this.#told?.();
      this.#told = null;
    }
  }
}

/** Plays cases of client.mjs one after the other through `port`, of 127.0.0.1 unless it says `ADDRESS:PORT`. */
export async function playGrpc(
  port: number | string,
  authority: string,
  ...cases: string[]
): Promise<Played[]> {
  const { stdout, stderr } = await new Deno.Command("node", {
    args: [at("client.mjs"), String(port), authority, ...cases],
    signal: AbortSignal.timeout(60_000),
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  if (lines.length !== cases.length) throw new Error(new TextDecoder().decode(stderr));
  return lines.map((line) => JSON.parse(line));
}
