/** Plays recorded responses: the first question for a type gets its next recorded answer, further ones come when told. */
import { decodeResponseHead } from "./messages.mjs";

export function recording(generation) {
  let recorded = [];
  const say = (stream, response) => {
    response.said = true;
    const { type, version, nonce, bytes, removed } = response;
    stream.write(bytes, { type, version, nonce, names: [], removed });
  };
  return {
    generation,
    pingLimit: generation === "v2",
    version: (push) => `recorded/${push}`,
    load(messages, delta) {
      recorded = messages.map((bytes) => ({ bytes, ...decodeResponseHead(bytes, delta, generation) }));
    },
    receive(stream, { type }) {
      if (stream.watched.has(type)) return;
      stream.watched.set(type, {});
      const response = recorded.find((r) => r.type === type && !r.said);
      if (response !== undefined) say(stream, response);
    },
    /** The next answer in the order of the recording. */
    next(stream) {
      const response = recorded.find((r) => !r.said);
      if (response !== undefined) say(stream, response);
    },
    push() {},
  };
}
