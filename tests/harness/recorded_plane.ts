/**
 * A recorded control plane in memory: a {@link StreamTransport} that plays the answers of one recording (tests/recordings), byte for
 * byte or damaged, and reads what the agent sent. An answer goes out when the agent has asked for its type and for one of its names;
 * steps are played in the order of the recording.
 *
 * @example
 * ```ts ignore
 * const plane = new RecordedPlane(readRecording("istiod-2026-08/istioserver/updates"));
 * const source = start({ ...input, openTransport: plane.openTransport });
 * await plane.opened();
 * await plane.play("start");
 * plane.call.verdicts(); // [{ type: "CDS", nonce, ... }]
 * ```
 */
import { gunzipSync } from "node:zlib";
import type { MeshError } from "../../agent/core/errors.ts";
import type { MessageStream, StreamTarget, StreamTransport } from "../../agent/core/ports.ts";
import { type Generation, type ResourceType, typeOfUrl } from "../../agent/xds/types.ts";
import { loadSchema, type Schema } from "../../protos/schema.ts";
import { settled } from "./ads_peer.ts";

const RECORDINGS = new URL("../recordings/", import.meta.url);
/** Pilot 0.8.0 calls the table `http_proxy` so. */
const HTTP_PROXY_OF_0_8 = "0";
/** A thousand services are taken in within 20. */
const MOST_ROUNDS = 200;

export interface RecordedAnswer {
  /** `start`, then as the recorder called what it changed. */
  readonly step: string;
  readonly type: ResourceType;
  readonly names: readonly string[];
  readonly version: string;
  readonly nonce: string;
  readonly bytes: Uint8Array;
}

export interface Recording {
  readonly path: string;
  readonly generation: Generation;
  readonly delta: boolean;
  /** In order, also those that change nothing. */
  readonly steps: readonly string[];
  readonly answers: readonly RecordedAnswer[];
  readonly schema: Schema;
}

/** Transcripts of Pilot 0.8 and 1.0 and those of istiod, as far as they are read. */
interface Transcript {
  readonly events: readonly {
    readonly event?: string;
    readonly dir?: string;
    readonly step?: string;
    readonly text?: string;
    readonly file?: string;
  }[];
}

/** `path`: a folder below tests/recordings; `also`: single answers of other recordings, for names that this one was not asked for. */
export function readRecording(path: string, also: readonly string[] = []): Recording {
  const schema = loadSchema();
  const generation = path.startsWith("istiod") ? "v3" : "v2";
  const delta = /\/(updates-)?delta$/.test(path);
  const steps: string[] = ["start"];
  const answers: RecordedAnswer[] = [];
  const take = (file: string, step: string): void => {
    const bytes = read(file);
    const head = headOf(schema, bytes, delta);
    const type = typeOfUrl(head.typeUrl);
    if (type !== undefined) answers.push({ step, type, ...head, bytes });
  };
  const { events } = JSON.parse(new TextDecoder().decode(read(`${path}/transcript.json`))) as Transcript;
  for (const { event, dir, step, text, file } of events) {
    const change = dir === "step"
      ? step
      : /^(?:CHANGE: |idle )(.*)/.exec(event === "note" ? text ?? "" : "")?.[1];
    if (change !== undefined) steps.push(change);
    if (file !== undefined) take(`${path}/${file}`, steps.at(-1) as string);
  }
  for (const file of also) take(file, "start");
  return { path, generation, delta, steps, answers, schema };
}

function read(file: string): Uint8Array {
  try {
    const bytes = Deno.readFileSync(new URL(file, RECORDINGS));
    return file.endsWith(".gz") ? new Uint8Array(gunzipSync(bytes)) : bytes;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return new Uint8Array(gunzipSync(Deno.readFileSync(new URL(`${file}.gz`, RECORDINGS))));
  }
}

export interface ResponseHead {
  readonly typeUrl: string;
  readonly version: string;
  readonly nonce: string;
  /** Of the resources, in order; empty for one that has none or cannot be decoded. */
  readonly names: readonly string[];
  /** Every resource can be decoded, has one name and is of the response's type, and no name comes twice. */
  readonly sound: boolean;
  readonly removed: readonly string[];
}

const MESSAGES = {
  CDS: "Cluster",
  EDS: "ClusterLoadAssignment",
  LDS: "Listener",
  RDS: "RouteConfiguration",
} as const;

/** Absent from an answer in state of the world: deleted. */
const WHOLE_TYPES: readonly unknown[] = ["CDS", "LDS"];

/** Read by the generic decoder of the schema, not by the agent's own. Throws when the bytes are no response. */
export function headOf(schema: Schema, bytes: Uint8Array, delta: boolean): ResponseHead {
  const response = delta
    ? schema.decode("DeltaDiscoveryResponse", bytes)
    : schema.decode("DiscoveryResponse", bytes);
  const typeUrl = response.type_url;
  const type = typeOfUrl(typeUrl);
  let sound = type !== undefined;
  const names: string[] = [];
  for (const item of response.resources) {
    const any = "resource" in item ? item.resource : item;
    // Nothing in it: unchanged (delta), a table or endpoints not known (Pilot 0.8).
    if (any === null || (any.value.length === 0 && !WHOLE_TYPES.includes(typeOfUrl(any.type_url)))) continue;
    const own = nameOf(schema, type, any.value);
    const name = "resource" in item && item.name !== "" ? item.name : own;
    if (own === "" || own !== name || any.type_url !== typeUrl) sound = false;
    names.push(name);
  }
  if (new Set(names).size !== names.length) sound = false;
  return {
    typeUrl,
    nonce: response.nonce,
    version: "version_info" in response ? response.version_info : response.system_version_info,
    names,
    sound,
    removed: "removed_resources" in response ? response.removed_resources : [],
  };
}

function nameOf(schema: Schema, type: ResourceType | undefined, value: Uint8Array): string {
  if (type === undefined) return "";
  try {
    const message = schema.decode(MESSAGES[type], value);
    return "cluster_name" in message ? message.cluster_name : message.name;
  } catch {
    return "";
  }
}

/** A request as it came over the wire. */
export interface HeardRequest {
  readonly type: ResourceType;
  readonly version: string;
  readonly nonce: string;
  /** State of the world. */
  readonly names: readonly string[];
  /** Delta. */
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  readonly error?: string;
  readonly withNode: boolean;
}

/** One call of the agent. */
export class RecordedCall implements MessageStream {
  readonly requests: HeardRequest[] = [];
  /** Names subscribed now; CDS and LDS: `*` once asked for. */
  readonly subscribed: Record<ResourceType, Set<string>> = {
    CDS: new Set(),
    EDS: new Set(),
    LDS: new Set(),
    RDS: new Set(),
  };
  /** The agent closed it. */
  closed = false;
  readonly #queue: Uint8Array[] = [];
  #ended = false;
  #error: MeshError | undefined;
  #wake: (() => void) | undefined;
  readonly messages = this.#messages();

  constructor(readonly target: StreamTarget, readonly recording: Recording) {}

  get delta(): boolean {
    return this.recording.delta;
  }

  send(message: Uint8Array): void {
    if (this.closed) return;
    const request = readRequest(this.recording.schema, message, this.delta);
    this.requests.push(request);
    if (request.error !== undefined) return;
    const { type, names, subscribe, unsubscribe } = request;
    const subscribed = this.subscribed[type];
    if (type === "CDS" || type === "LDS") subscribed.add("*");
    else if (this.delta) {
      for (const name of subscribe) subscribed.add(name);
      for (const name of unsubscribe) subscribed.delete(name);
    } else {
      subscribed.clear();
      for (const name of names) subscribed.add(name);
    }
  }

  /** The agent asked for this answer, or part of it. */
  asked({ type, names }: Pick<RecordedAnswer, "type" | "names">): boolean {
    const subscribed = this.subscribed[type];
    return subscribed.has("*") ||
      names.some((name) =>
        subscribed.has(type === "RDS" && name === HTTP_PROXY_OF_0_8 ? "http_proxy" : name)
      );
  }

  deliver(message: Uint8Array): void {
    this.#queue.push(message);
    this.#wake?.();
  }

  /** Ends the call: with OK, or with an error. What was delivered is read first. */
  end(error?: MeshError): void {
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  close(): void {
    this.closed = true;
    this.#wake?.();
  }

  /** ACKs and NACKs of a response, by nonce: the first request with its nonce, and every one with an error. */
  verdicts(type: ResourceType, nonce: string): { readonly acks: number; readonly nacks: readonly string[] } {
    const nacks: string[] = [];
    let acks = 0;
    let before: HeardRequest | undefined;
    for (const request of this.requests) {
      if (request.type !== type) continue;
      if (request.nonce === nonce) {
        if (request.error !== undefined) nacks.push(request.error);
        // State of the world: the same nonce with other names, or after a NACK, is a subscription.
        else if (nacks.length === 0 && (before?.nonce !== nonce || same(before.names, request.names))) acks++;
      }
      before = request;
    }
    return { acks, nacks };
  }

  async *#messages(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.closed) return;
      const message = this.#queue.shift();
      if (message !== undefined) yield message;
      else if (this.#ended) {
        if (this.#error !== undefined) throw this.#error;
        return;
      } else await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}

export class RecordedPlane {
  /** Every call so far. */
  readonly calls: RecordedCall[] = [];
  readonly #said = new Set<RecordedAnswer>();

  constructor(readonly recording: Recording) {}

  readonly openTransport = (): Promise<StreamTransport> =>
    Promise.resolve({
      open: (target) => {
        const call = new RecordedCall(target, this.recording);
        this.calls.push(call);
        return Promise.resolve(call);
      },
    });

  get call(): RecordedCall {
    return this.calls.at(-1) as RecordedCall;
  }

  /** The agent has opened its first call (the codec may have to be loaded first). */
  async opened(): Promise<void> {
    while (this.calls.length === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    await settled();
  }

  /** Waits until a response has its verdict and what follows from it is sent; a response that gets none is left after a while. */
  async answered({ type, nonce }: Pick<RecordedAnswer, "type" | "nonce">): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      await settled();
      const { acks, nacks } = this.call.verdicts(type, nonce);
      if (acks + nacks.length > 0) return;
    }
  }

  /**
   * Plays a step: its answers in order, each when the one before is taken in. Gives those that were said; what the agent has not asked
   * for is left out.
   */
  async play(step: string): Promise<RecordedAnswer[]> {
    const said: RecordedAnswer[] = [];
    const { answers } = this.recording;
    for (const answer of answers) {
      if (answer.step !== step || this.#said.has(answer) || !this.call.asked(answer)) continue;
      this.#said.add(answer);
      said.push(answer);
      this.call.deliver(answer.bytes);
      await this.answered(answer);
    }
    return said;
  }
}

function readRequest(schema: Schema, message: Uint8Array, delta: boolean): HeardRequest {
  const sent = delta
    ? schema.decode("DeltaDiscoveryRequest", message)
    : schema.decode("DiscoveryRequest", message);
  return {
    type: typeOfUrl(sent.type_url) as ResourceType,
    nonce: sent.response_nonce,
    withNode: sent.node !== null,
    ...(sent.error_detail === null ? {} : { error: sent.error_detail.message }),
    ...("version_info" in sent
      ? { version: sent.version_info, names: sent.resource_names, subscribe: [], unsubscribe: [] }
      : {
        version: "",
        names: [],
        subscribe: sent.resource_names_subscribe,
        unsubscribe: sent.resource_names_unsubscribe,
      }),
  };
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}
