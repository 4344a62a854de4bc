import { strictEqual } from "node:assert/strict";
import { fullHost, hostCovers, hostsOverlap } from "./host_pattern.ts";

Deno.test("hosts overlap as istio-semantics 0.1 says, both ways", () => {
  for (
    const [a, b, wanted] of [
      ["a.foo.com", "a.foo.com", true],
      ["a.foo.com", "b.foo.com", false],
      ["*.foo.com", "foo.com", false],
      ["*.foo.com", "a.b.foo.com", true],
      ["*", "anything", true],
      ["*", "*.foo.com", true],
      ["*.foo.com", "*.a.foo.com", true],
      ["*.foo.com", "*.bar.com", false],
      ["*foo.com", "foo.com", true],
      ["*-foo.com", "a-foo.com", true],
    ] as const
  ) {
    strictEqual(hostsOverlap(a, b), wanted, `${a} ${b}`);
    strictEqual(hostsOverlap(b, a), wanted, `${b} ${a}`);
  }
});

Deno.test("a wildcard covers what ends as it does", () => {
  strictEqual(hostCovers("*.foo.com", "a.foo.com"), true);
  strictEqual(hostCovers("*.foo.com", "*.a.foo.com"), true);
  strictEqual(hostCovers("*.a.foo.com", "*.foo.com"), false);
  strictEqual(hostCovers("a.foo.com", "*.foo.com"), false);
});

Deno.test("only short names are completed", () => {
  const full = (host: string, namespace = "n", suffix = "svc.cluster.local") =>
    fullHost(host, namespace, suffix);
  strictEqual(full("reviews"), "reviews.n.svc.cluster.local");
  strictEqual(full("reviews", "n", ""), "reviews.n");
  strictEqual(full("reviews", ""), "reviews");
  for (const host of ["", "*", "reviews.prod", "10.0.0.1", "::1", "*.foo.com"]) strictEqual(full(host), host);
});
