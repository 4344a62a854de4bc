/**
 * A control plane in memory: a {@link StreamTransport} whose other end the test plays, with a codec of JSON instead of
 * protobuf. What the agent sent is read as requests; answers are written as model values.
 *
 * @example
 * ```ts ignore
 * const peer = new AdsPeer();
 * const source = startAds({ ...input, openTransport: peer.openTransport }, { ..., openCodec: peer.openCodec });
 * const call = await peer.call();
 * call.answer("CDS", [cluster]);
 * await call.request((r) => r.type === "EDS");
 * ```
 */
import { MeshError } from "../../agent/core/errors.ts";
import { diagnostic, type Origin } from "../../agent/core/diagnostics.ts";
import type { MessageStream, StreamTarget, StreamTransport } from "../../agent/core/ports.ts";
import type {
  Cluster,
  ClusterLoadAssignment,
  Listener,
  RouteConfiguration,
} from "../../agent/model/model.ts";
import type {
  DecodeResult,
  Envelope,
  Generation,
  RawResource,
  Request,
  ResourceType,
  XdsCodec,
} from "../../agent/xds/types.ts";
import { typeUrlOf } from "../../agent/xds/types.ts";

/** A resource as the test writes it. `bad`: it is refused at this field. `garbage`: its bytes cannot be decoded. */
export interface Written {
  readonly name: string;
  readonly value?: unknown;
  readonly version?: string;
  readonly bad?: string;
  readonly garbage?: true;
  /** Default: that of the response. */
  readonly typeUrl?: string;
}

export type Metadata = readonly (readonly [string, string])[];

/** Lets everything run that waits for nothing but promises. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 2000; i++) await Promise.resolve();
}

/** One call of the agent. */
export class AdsCall {
  readonly requests: Request[] = [];
  /** The agent closed it. */
  closed = false;
  #accepted = false;
  #queue: Uint8Array[] = [];
  #ended = false;
  #error: MeshError | undefined;
  #wake: (() => void) | undefined;
  #nonce = 0;
  readonly #resolve: (stream: MessageStream) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    readonly target: StreamTarget,
    readonly metadata: Metadata,
    readonly generation: Generation,
    resolve: (stream: MessageStream) => void,
    reject: (error: unknown) => void,
  ) {
    this.#resolve = resolve;
    this.#reject = reject;
    target.signal?.addEventListener("abort", () => reject(new MeshError("D202", "given up")));
  }

  get delta(): boolean {
    return this.target.path.endsWith("DeltaAggregatedResources");
  }

  /** Accepted and not closed by the agent. */
  get open(): boolean {
    return this.#accepted && !this.closed;
  }

  /** Messages that the agent has not asked for yet. */
  get waitingMessages(): number {
    return this.#queue.length;
  }

  accept(): this {
    this.#accepted = true;
    this.target.onStep("stream");
    this.#resolve({
      send: (message) => void (this.closed || this.requests.push(read(message) as Request)),
      messages: this.#messages(),
      close: () => {
        this.closed = true;
        this.#wake?.();
      },
    });
    return this;
  }

  refuse(error: MeshError): void {
    this.#reject(error);
  }

  /** Sends a response; gives its nonce. */
  answer(
    type: ResourceType,
    resources: readonly Written[],
    more: { version?: string; removed?: readonly string[]; typeUrl?: string } = {},
  ): string {
    const nonce = `n${++this.#nonce}`;
    this.#deliver(write({
      version: more.version ?? `v${this.#nonce}`,
      typeUrl: more.typeUrl ?? typeUrlOf(this.generation, type),
      nonce,
      resources,
      removed: more.removed ?? [],
    }));
    return nonce;
  }

  /** Sends bytes that are no response. */
  garble(): void {
    this.#deliver(new TextEncoder().encode("{"));
  }

  /** Ends the call: with OK, or with an error. */
  end(error?: MeshError): void {
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  /** Requests of a type, in the order sent. */
  sent(type: ResourceType): Request[] {
    return this.requests.filter((request) => request.type === type);
  }

  last(type: ResourceType): Request | undefined {
    return this.sent(type).at(-1);
  }

  #deliver(message: Uint8Array): void {
    this.#queue.push(message);
    this.#wake?.();
  }

  async *#messages(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.closed) return;
      const message = this.#queue.shift();
      if (message !== undefined) {
        yield message;
        continue;
      }
      if (this.#ended) {
        if (this.#error !== undefined) throw this.#error;
        return;
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}

export class AdsPeer {
  /** Every call so far, also those not accepted. */
  readonly calls: AdsCall[] = [];
  /** Accepts calls by itself; default true. */
  accepting = true;
  /** Decodings by type. */
  readonly decoded: Record<ResourceType, number> = { CDS: 0, EDS: 0, LDS: 0, RDS: 0 };
  /** Told before each decoding. */
  onDecode: () => void = () => {};

  constructor(readonly generation: Generation = "v3") {}

  readonly openTransport = (): Promise<StreamTransport> => Promise.resolve({ open: this.#open });
  readonly openCodec = (): Promise<XdsCodec> => Promise.resolve(this.#codec());

  get last(): AdsCall {
    return this.calls.at(-1) as AdsCall;
  }

  readonly #open = (target: StreamTarget, metadata: Metadata): Promise<MessageStream> => {
    target.onStep("DNS");
    target.onStep("TCP");
    const { promise, resolve, reject } = Promise.withResolvers<MessageStream>();
    const call = new AdsCall(target, metadata, this.generation, resolve, reject);
    this.calls.push(call);
    if (this.accepting) call.accept();
    return promise;
  };

  #codec(): XdsCodec {
    const decode = <T>(type: ResourceType, raw: RawResource, origin: Origin): DecodeResult<T> => {
      this.onDecode();
      this.decoded[type]++;
      const written = read(raw.bytes) as Written;
      if (written.garbage) throw new MeshError("D211", `Cannot decode ${type} "${raw.name}": wire type 7`);
      if (written.bad !== undefined) {
        const where = { ...origin, field: written.bad };
        return { problems: [diagnostic("D212", `Cannot use it; want a good one`, where)] };
      }
      return { value: written.value as T, notes: [] };
    };
    const decodeResponse = (message: Uint8Array): Envelope => {
      let envelope;
      try {
        envelope = read(message) as {
          version: string;
          typeUrl: string;
          nonce: string;
          removed: string[];
          resources: Written[];
        };
      } catch (cause) {
        throw new MeshError("D211", "Cannot decode a response: cut short", { cause });
      }
      const { version, typeUrl, nonce, removed } = envelope;
      const resources = envelope.resources.map((written): RawResource => ({
        name: written.name,
        version: written.version ?? "",
        typeUrl: written.typeUrl ?? typeUrl,
        // The version is in the wrapper.
        bytes: write({ ...written, version: undefined }),
      }));
      return { version, typeUrl, nonce, removed, resources };
    };
    return {
      encodeRequest: (_generation, request) => write(request),
      decodeResponse,
      readResponse: (message) => ({ step: () => false, result: () => decodeResponse(message) }),
      decodeCluster: (raw, origin) => decode<Cluster>("CDS", raw, origin),
      decodeLoadAssignment: (raw, origin) => decode<ClusterLoadAssignment>("EDS", raw, origin),
      decodeListener: (raw, origin) => decode<Listener>("LDS", raw, origin),
      decodeRouteConfiguration: (raw, origin) => ({
        step: () => false,
        result: () => decode<RouteConfiguration>("RDS", raw, origin),
      }),
    };
  }
}

function write(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function read(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** A small mesh of resources: one HTTP host on a port. */
export function clusterOf(name: string, more: Partial<Cluster> = {}): Written {
  const value: Cluster = { name, type: "EDS", lbPolicy: "ROUND_ROBIN", connectTimeout: "1s", ...more };
  return { name, value };
}

export function assignmentOf(name: string, ...ports: readonly number[]): Written {
  const value: ClusterLoadAssignment = {
    clusterName: name,
    endpoints: [{ lbEndpoints: ports.map((port) => ({ address: "127.0.0.1", port })) }],
  };
  return { name, value };
}

export function listenerOf(port: number): Written {
  const value: Listener = {
    name: `0.0.0.0_${port}`,
    address: "0.0.0.0",
    port,
    filterChains: [{ http: { statPrefix: `outbound_${port}`, routeConfigName: String(port) } }],
    trafficDirection: "OUTBOUND",
  };
  return { name: value.name, value };
}

export function tableOf(port: number, host: string, ...clusters: readonly string[]): Written {
  const weights = clusters.map((name) => ({ name, weight: 100 / clusters.length }));
  const value: RouteConfiguration = {
    name: String(port),
    ignorePortInHostMatching: true,
    virtualHosts: [{
      name: `${host}:${port}`,
      domains: [host],
      routes: [{
        match: { prefix: "/" },
        route: clusters.length === 1
          ? { cluster: clusters[0] as string, timeout: "0s" }
          : { weightedClusters: { clusters: weights }, timeout: "0s" },
      }],
    }],
  };
  return { name: value.name, value };
}
