/**
 * A gRPC server in a `node` process (never in the test process: node:http2's server is not safe there), that does what the first
 * message of each call says; the orders are told in grpc_peer/main.mjs.
 */

export interface PeerOptions {
  /** PEM texts; `ca` = clients must show a certificate of it. */
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly port?: number;
  /** Channel options of grpc-js' server. */
  readonly channel?: Readonly<Record<string, number>>;
}

export interface PeerEvent {
  readonly event?: string;
  readonly count?: number;
  readonly port?: number;
}

export class GrpcPeer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #events: PeerEvent[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #reading: Promise<void>;
  #port = 0;

  private constructor(options: PeerOptions) {
    this.#child = new Deno.Command("node", {
      args: [new URL("./grpc_peer/main.mjs", import.meta.url).pathname, JSON.stringify(options)],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#reading = this.#read();
  }

  static async start(options: PeerOptions = {}): Promise<GrpcPeer> {
    const peer = new GrpcPeer(options);
    const { port } = await peer.#find((event) => event.port !== undefined);
    peer.#port = port as number;
    return peer;
  }

  get port(): number {
    return this.#port;
  }

  get events(): readonly PeerEvent[] {
    return this.#events;
  }

  /** Resolves as soon as the event of that name has come so many times. */
  async seen(name: string, times = 1): Promise<void> {
    await this.#find((_event) => this.#events.filter(({ event }) => event === name).length >= times);
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It is gone already.
    }
    await this.#child.stdin.close().catch(() => {});
    await this.#child.status;
    await this.#reading;
  }

  async #find(wanted: (event: PeerEvent) => boolean): Promise<PeerEvent> {
    while (true) {
      const found = this.#events.find(wanted);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const chunk of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() as string;
      for (const line of lines) this.#events.push(JSON.parse(line));
      for (const wake of this.#waiting) wake();
      this.#waiting.clear();
    }
  }
}
