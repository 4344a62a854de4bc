import { strictEqual } from "node:assert/strict";
import { didYouMean, editDistance, nearest } from "./suggest.ts";

Deno.test("nearest finds typing mistakes and nothing else", () => {
  const words = ["weight", "headers", "destination", "uri"];
  strictEqual(nearest("wieght", words), "weight");
  strictEqual(nearest("destnation", words), "destination");
  strictEqual(nearest("HEADERS", words), "headers");
  strictEqual(nearest("url", words), "uri");
  strictEqual(nearest("timeout", words), undefined);
  strictEqual(nearest("", words), undefined);
  strictEqual(nearest("x", []), undefined);
});

Deno.test("a swap of neighbours is one edit", () => {
  strictEqual(editDistance("ab", "ba"), 1);
  strictEqual(editDistance("kitten", "sitting"), 3);
  strictEqual(editDistance("", "abc"), 3);
});

Deno.test("didYouMean is a sentence or nothing", () => {
  strictEqual(didYouMean("wieght", ["weight"]), 'did you mean "weight"?');
  strictEqual(didYouMean("zzz", ["weight"]), "");
});
