/**
 * DiscoveryResponse and DeltaDiscoveryResponse, split into resources that stay bytes. Read off the wire: of 10,000 resources only
 * the names become strings here, so that a large push does not hold the others up.
 */
import { orUndecodable, type Schema, type WireReader } from "../../protos/schema.ts";
import { type RawResource, type ResponseReading, typeOfUrl } from "./types.ts";
import { F1, F2, F3, F4, F5, F6, skip, textAgain } from "./wire_fields.ts";

/** Resources split in one step: about a tenth of a millisecond. */
const RESOURCES_PER_STEP = 100;

/** Splits a response step by step. `step` throws MeshError D211 when the bytes are no response. */
export function readResponse(schema: Schema, message: Uint8Array, delta: boolean): ResponseReading {
  const r = schema.reader(message);
  let version = "", typeUrl = "", nonce = "", lastUrl = "";
  const resources: RawResource[] = [];
  const removed: string[] = [];
  const read = (): boolean => {
    const enough = resources.length + RESOURCES_PER_STEP;
    while (r.pos < r.len && resources.length < enough) {
      const tag = r.tag();
      if (tag === F1) version = r.string();
      else if (tag === F2) {
        const resource = delta ? wrappedResource(r, lastUrl) : bareResource(r, lastUrl);
        if (resource === undefined) continue;
        lastUrl = resource.typeUrl;
        resources.push(resource);
      } else if (tag === F4) typeUrl = r.string();
      else if (tag === F5) nonce = r.string();
      else if (tag === F6 && delta) removed.push(r.string());
      else skip(r, tag);
    }
    return r.pos < r.len;
  };
  const step = () => orUndecodable(delta ? "DeltaDiscoveryResponse" : "DiscoveryResponse", read);
  return {
    step,
    result() {
      while (step());
      return { version, typeUrl, nonce, resources, removed };
    },
  };
}

/**
 * google.protobuf.Any. Pilot 0.8 sends a table that it does not have as one without a value: undefined. A cluster or listener without
 * one stays, for its decoder to refuse: left out, it would count as deleted.
 */
function bareResource(r: WireReader, lastUrl: string): RawResource | undefined {
  const outer = r.enter();
  let typeUrl = "", name = "";
  let bytes: Uint8Array | undefined;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag === F1) typeUrl = textAgain(r, lastUrl);
    else if (tag === F2) {
      const outerValue = r.enter();
      const end = r.len;
      bytes = r.pos === end ? undefined : r.buf.subarray(r.pos, end);
      name = nameOf(r);
      r.pos = end;
      r.len = outerValue;
    } else skip(r, tag);
  }
  r.leave(outer);
  if (bytes === undefined) {
    const type = typeOfUrl(typeUrl);
    if (type !== "CDS" && type !== "LDS") return undefined;
    bytes = new Uint8Array();
  }
  return { name, version: "", typeUrl, bytes };
}

/** Resource of delta. One without a resource in it says that nothing changed: undefined. */
function wrappedResource(r: WireReader, lastUrl: string): RawResource | undefined {
  const outer = r.enter();
  let version = "", name = "";
  let resource: RawResource | undefined;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag === F1) version = r.string();
    else if (tag === F2) resource = bareResource(r, lastUrl);
    else if (tag === F3) name = r.string();
    else skip(r, tag);
  }
  r.leave(outer);
  return resource === undefined ? undefined : { ...resource, version, name: name || resource.name };
}

/**
 * Field 1 of a resource: its name in each of the four types. Empty when there is none. Bytes that are broken further on still
 * have a name when it stands first, as every encoder puts it; their decoder refuses them.
 */
function nameOf(r: WireReader): string {
  try {
    while (r.pos < r.len) {
      const tag = r.tag();
      if (tag === F1) return r.string();
      skip(r, tag);
    }
  } catch {
    // Nothing here to tell of: the resource's own decoder does.
  }
  return "";
}
