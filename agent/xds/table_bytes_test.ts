import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import { loadSchema } from "../../protos/schema.ts";
import { splitMessage } from "./table_bytes.ts";

const schema = loadSchema();
const bytes = schema.encode("RouteConfiguration", {
  name: "80",
  virtual_hosts: [{ name: "a" }, {}, { name: "b" }],
  ignore_port_in_host_matching: true,
});

Deno.test("a message is split into the members of one field and the rest", () => {
  const { spans, rest } = splitMessage(schema, bytes, 2);
  const members = [0, 2, 4].map((i) => bytes.subarray(spans[i], spans[i + 1]));
  assert.deepEqual(members.map((m) => schema.decode("VirtualHost", m).name), ["a", "", "b"]);
  const table = schema.decode("RouteConfiguration", rest);
  assert.deepEqual([table.name, table.ignore_port_in_host_matching, table.virtual_hosts.length], [
    "80",
    true,
    0,
  ]);
});

Deno.test("bytes that are no message throw D211", () => {
  const whole = new Set([0, 4, 9, 11, 16, bytes.length]);
  for (let length = 0; length <= bytes.length; length++) {
    if (whole.has(length)) continue;
    assert.throws(
      () => splitMessage(schema, bytes.subarray(0, length), 2),
      (e) => e instanceof MeshError && e.code === "D211",
      String(length),
    );
  }
});
