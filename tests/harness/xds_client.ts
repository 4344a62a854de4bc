/** A bare discovery client for tests of the scripted control plane: sends exactly the requests it is told to. */
import protobuf from "protobufjs";
import type { JsonObject } from "../../agent/admin/envoy_json.ts";
import type { MessageStream } from "../../agent/core/ports.ts";
import { createGrpcTransport } from "../../agent/net/grpc_transport.ts";
import { type Generation, type ResourceType, typeUrlOf } from "../../agent/xds/types.ts";
import descriptor from "../../protos/xds_descriptor.json" with { type: "json" };
import { within } from "./bytes.ts";
import { encodeMessage } from "./xds_encode.ts";

const root = protobuf.Root.fromJSON(descriptor as protobuf.INamespace);
export const NODE = { id: "sidecar~10.1.1.7~app-1.default~default.svc.cluster.local", cluster: "app" };

export interface Answer {
  readonly version: string;
  readonly nonce: string;
  readonly typeUrl: string;
  readonly names: readonly string[];
  /** Of each resource. */
  readonly sizes: readonly number[];
  readonly removed: readonly string[];
}

export class XdsClient implements Disposable {
  readonly #stream: MessageStream;
  readonly #messages: AsyncIterator<Uint8Array>;
  readonly #generation: Generation;
  readonly #delta: boolean;

  private constructor(stream: MessageStream, generation: Generation, delta: boolean) {
    this.#stream = stream;
    this.#messages = stream.messages[Symbol.asyncIterator]();
    this.#generation = generation;
    this.#delta = delta;
  }

  static async connect(port: number, generation: Generation, delta = false): Promise<XdsClient> {
    const method = delta ? "DeltaAggregatedResources" : "StreamAggregatedResources";
    const stream = await createGrpcTransport().open({
      host: "127.0.0.1",
      port,
      path: `/envoy.service.discovery.${generation}.AggregatedDiscoveryService/${method}`,
      maxMessageBytes: 64 << 20,
      keepaliveMs: 0,
      connectTimeoutMs: 5_000,
      onStep: () => {},
    }, []);
    return new XdsClient(stream, generation, delta);
  }

  /** `more` in proto-JSON: resourceNames, responseNonce, node, errorDetail, … */
  ask(type: ResourceType, more: JsonObject = {}): void {
    this.askFor(typeUrlOf(this.#generation, type), more);
  }

  askFor(typeUrl: string, more: JsonObject = {}): void {
    const message = this.#delta ? "DeltaDiscoveryRequest" : "DiscoveryRequest";
    this.#stream.send(encodeMessage(message, { typeUrl, ...more }));
  }

  /** Reads and forgets every answer until the stream ends, however it does. */
  async drain(): Promise<void> {
    try {
      while ((await this.#messages.next()).done !== true);
    } catch { /* the server ended it */ }
  }

  /** The next answer; undefined when the server ended the stream with OK. */
  async answer(): Promise<Answer | undefined> {
    const { done, value } = await within(this.#messages.next(), "an answer of the control plane");
    if (done === true) return undefined;
    // deno-lint-ignore no-explicit-any
    const message: any = root.lookupType(`xds.${this.#responseType()}`).decode(value);
    const resources = this.#delta
      // deno-lint-ignore no-explicit-any
      ? message.resources.map((r: any) => ({ name: r.name, value: r.resource.value }))
      // deno-lint-ignore no-explicit-any
      : message.resources.map((r: any) => ({ name: nameOf(r.value), value: r.value }));
    return {
      version: this.#delta ? message.system_version_info : message.version_info,
      nonce: message.nonce,
      typeUrl: message.type_url,
      names: resources.map((r: { name: string }) => r.name),
      sizes: resources.map((r: { value: Uint8Array }) => r.value.length),
      removed: this.#delta ? message.removed_resources : [],
    };
  }

  #responseType(): string {
    return this.#delta ? "DeltaDiscoveryResponse" : "DiscoveryResponse";
  }

  close(): void {
    this.#stream.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Field 1 of every resource. */
function nameOf(bytes: Uint8Array): string {
  const reader = protobuf.Reader.create(bytes);
  reader.uint32();
  return reader.string();
}
