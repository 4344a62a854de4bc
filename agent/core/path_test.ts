import assert from "node:assert/strict";
import { basename, dirname, isAbsolute, join, normalize } from "node:path/posix";
import fc from "fast-check";
import { directoryOf, isAbsolutePath, joinPath, nameOf } from "./path.ts";

const path = fc.array(fc.constantFrom("/", "/", ".", "..", "a", "b.yaml", "...", "..data"), { maxLength: 8 })
  .map((pieces) => pieces.join(""));

Deno.test("paths: join, directory, name and absolute as node:path/posix has them", () => {
  fc.assert(fc.property(path, path, (a, b) => {
    assert.equal(joinPath(a, b), join(a, b));
    assert.equal(joinPath(a), normalize(a));
    assert.equal(isAbsolutePath(a), isAbsolute(a));
    assert.equal(nameOf(a), basename(a));
    // Where names end in several slashes node keeps some of them.
    const clean = a.replace(/\/+/g, "/");
    assert.equal(directoryOf(clean), dirname(clean));
  }));
});
