/** config/deploy/vm is what `vm init` makes. What systemd says of its unit: tests/interop/systemd_test.ts. */
import assert from "node:assert/strict";
import { main } from "../../agent/cli/main.ts";
import { createPaint } from "../../agent/cli/terminal.ts";

const SHIPPED = new URL("../../config/deploy/vm/", import.meta.url).pathname;
const COMMAND =
  "--pilot grpcs://istiod.istio-system.svc:15012 --name web-1 --ip 10.1.2.3 --namespace shop".split(" ");

async function texts(root: string, path = ""): Promise<[string, string][]> {
  const found: [string, string][] = [];
  for await (const { name, isDirectory } of Deno.readDir(root + path)) {
    if (isDirectory) found.push(...await texts(root, `${path}${name}/`));
    else found.push([path + name, await Deno.readTextFile(`${root}${path}${name}`)]);
  }
  return found.sort();
}

Deno.test(`config/deploy/vm is what "vm init ${COMMAND.join(" ")}" makes`, async () => {
  const root = await Deno.makeTempDir();
  try {
    const terminal = {
      print: () => {},
      note: (text: string) => assert.fail(text),
      progress: () => {},
      interactive: false,
      paint: createPaint(false),
    };
    assert.equal(await main(["vm", "init", "--root", root, ...COMMAND], terminal), 0);
    assert.deepEqual(await texts(SHIPPED), await texts(`${root}/`));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
