import assert from "node:assert/strict";
import type { HeaderValueOption } from "../model/model.ts";
import { compileHeaderOps } from "../route/headers.ts";
import type { HeaderOps } from "../route/types.ts";
import { MessageHead, parseRequestHead } from "../wire/http1/head.ts";
import { type Field, runOps } from "./fields.ts";

Deno.test("conditional operations see the lines of the message that are left, and what was added", () => {
  const bytes = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\nX-Old: 1\r\nX-Gone: 2\r\n\r\n");
  const head = new MessageHead(10);
  parseRequestHead(head, bytes, 0, bytes.length, { maxHeadBytes: 1000, maxTargetBytes: 100 });
  const option = (key: string, appendAction: HeaderValueOption["appendAction"]) => ({
    header: { key, value: "v" },
    appendAction,
  });
  const ops = compileHeaderOps([
    {
      remove: ["x-gone"],
      add: [
        option("x-old", "ADD_IF_ABSENT"),
        option("x-gone", "ADD_IF_ABSENT"),
        option("x-none", "OVERWRITE_IF_EXISTS"),
      ],
    },
    { add: [option("x-gone", "OVERWRITE_IF_EXISTS"), option("x-gone", "ADD_IF_ABSENT")] },
  ]) as HeaderOps;
  const fields: Field[] = [];
  runOps(ops, head, fields, { request: () => undefined, command: () => undefined });
  assert.deepEqual(fields, [{ name: "x-gone", key: "x-gone", value: "v" }]);
});
