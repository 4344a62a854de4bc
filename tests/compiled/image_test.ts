/**
 * The image of the compiled agent: built twice it is the same, foreign tools read it, and it serves in a chroot with nothing but its own
 * files, /proc, hosts and resolv.conf, read-only, as uid 65534. What needs root or a tool that is not there is named.
 */
import assert from "node:assert/strict";
import { VERSION } from "../../agent/core/version.ts";
import { compile } from "../../scripts/compile.ts";
import { type Image, packImage, rootFileSystem, UID, writeImage } from "../../scripts/image.ts";
import { readElf } from "../../scripts/image_elf.ts";
import { within } from "../harness/bytes.ts";
import { askOnce, proxyGet } from "../harness/client.ts";
import { serviceEntry } from "../harness/conf.ts";
import { echoing, startUpstream } from "../harness/upstream.ts";
import { serving } from "./serving.ts";

const PROGRAM = new URL("../../dist/mesh-agent", import.meta.url).pathname;

interface Ended {
  readonly code: number;
  readonly text: string;
}

async function run(command: string, args: readonly string[]): Promise<Ended> {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    env: { NO_COLOR: "1" },
  })
    .output();
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

async function has(program: string): Promise<boolean> {
  return (await run("sh", ["-c", `command -v ${program}`])).code === 0;
}

/** From sources to the image in a directory. */
async function build(directory: string): Promise<Image> {
  await Deno.mkdir(directory, { recursive: true });
  await compile(PROGRAM);
  const program = await Deno.readFile(PROGRAM);
  const image = await packImage(await rootFileSystem(program), readElf(program).architecture);
  await writeImage(image, directory);
  return image;
}

/**
 * Runs in a chroot of its own mount and process space: read-only, /proc, no rights. The shell ends as the program does, and the program
 * when the shell is killed.
 */
const CHROOT = `
mount --make-rprivate / && mount --bind "$0" "$0" && mount -t proc proc "$0/proc" &&
mount -o remount,bind,ro "$0" && exec chroot --userspec=${UID}:${UID} "$0" "$@"`;
const chroot = (directory: string, ...command: string[]): [string, string[]] => [
  "unshare",
  ["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", CHROOT, directory, ...command],
];

Deno.test("image", async (t) => {
  const directory = await Deno.makeTempDir({ prefix: "mesh-image-" });
  try {
    const first = await build(`${directory}/first`);
    await t.step("built twice from the sources it has the same digest", async () => {
      const second = await build(`${directory}/second`);
      assert.equal(second.digest, first.digest);
      const { code, text } = await run("cmp", [
        `${directory}/first/mesh-agent-image.tar`,
        `${directory}/second/mesh-agent-image.tar`,
      ]);
      assert.equal(code, 0, text);
    });

    const layout = `${directory}/first/image`;
    const rootfs = `${directory}/rootfs`;
    await t.step("it unpacks with gzip and tar", async () => {
      const manifest = JSON.parse(
        await Deno.readTextFile(`${layout}/blobs/${first.digest.replace(":", "/")}`),
      );
      await Deno.mkdir(rootfs);
      const layer = `${layout}/blobs/${manifest.layers[0].digest.replace(":", "/")}`;
      const { code, text } = await run("tar", [
        "--extract",
        "--gzip",
        "--directory",
        rootfs,
        "--file",
        layer,
      ]);
      assert.equal(code, 0, text);
    });

    await t.step("skopeo reads both forms, umoci unpacks what tar unpacks", async (t) => {
      const absent: string[] = [];
      for (const tool of ["skopeo", "umoci"]) if (!await has(tool)) absent.push(tool);
      if (absent.length > 0) {
        return console.log(`not there: ${absent.join(", ")}; sha256sum and tar judge alone`);
      }
      await t.step("skopeo", async () => {
        // Under its name, which index.json would make another one for podman.
        const archive = await run("skopeo", [
          "inspect",
          `docker-archive:${directory}/first/mesh-agent-image.tar:mesh-agent:${VERSION}`,
        ]);
        assert.equal(archive.code, 0, archive.text);
        for (const place of [`oci:${layout}`, `docker-archive:${directory}/first/mesh-agent-image.tar`]) {
          const { code, text } = await run("skopeo", ["inspect", place]);
          assert.equal(code, 0, text);
          assert.equal(JSON.parse(text).Architecture, first.architecture);
        }
        // It checks every digest while it copies.
        const { code, text } = await run("skopeo", [
          "copy",
          "--insecure-policy",
          `docker-archive:${directory}/first/mesh-agent-image.tar`,
          `oci:${directory}/copy:0`,
        ]);
        assert.equal(code, 0, text);
      });
      await t.step("umoci", async () => {
        const index = JSON.parse(await Deno.readTextFile(`${layout}/index.json`));
        const name = index.manifests[0].annotations["org.opencontainers.image.ref.name"];
        const { code, text } = await run("umoci", [
          ...["unpack", "--rootless", "--image", `${layout}:${name}`, `${directory}/bundle`],
        ]);
        assert.equal(code, 0, text);
        const same = await run("diff", ["--recursive", `${directory}/bundle/rootfs`, rootfs]);
        assert.equal(same.code, 0, same.text);
      });
    });

    await t.step("it serves in a chroot, read-only, as uid 65534", async (t) => {
      const allowed = Deno.uid() === 0
        ? await run("unshare", ["--mount", "--pid", "--fork", "true"])
        : undefined;
      if (allowed?.code !== 0) return console.log(`not run: ${allowed?.text.trim() ?? "it takes root"}`);
      await using upstream = startUpstream(echoing("v1"));
      await Deno.writeTextFile(`${rootfs}/etc/hosts`, "127.0.0.1 localhost\n");
      await Deno.copyFile("/etc/resolv.conf", `${rootfs}/etc/resolv.conf`);
      const conf = `${rootfs}/etc/mesh-agent`;
      await Deno.mkdir(`${conf}/rules`);
      await Deno.writeTextFile(
        `${conf}/chassis.yaml`,
        `cse:
  service: {registry: {serviceDiscovery: {type: file, address: rules}}}
  protocols:
    http: {listenAddress: "127.0.0.1:0"}
    rest-admin: {listenAddress: "127.0.0.1:0"}
`,
      );
      await Deno.writeTextFile(
        `${conf}/rules/shop.yaml`,
        serviceEntry("shop.example", 80, { v1: upstream.port }),
      );

      await t.step("run, from a conf directory mounted into it", async () => {
        const [command, args] = chroot(rootfs, "/mesh-agent", "run", "--config", "/etc/mesh-agent");
        await serving([command, ...args], async ({ child, address, log }) => {
          const answer = await askOnce(address, proxyGet("shop.example", "/", "Connection: close\r\n"));
          assert.equal(answer.status, 200, log());
          assert.equal(answer.header("x-instance"), "v1");
          const agents: number[] = [];
          for (const { name } of Deno.readDirSync("/proc")) {
            if (!/^\d+$/.test(name)) continue;
            const at = await Deno.readLink(`/proc/${name}/root`).catch(() => "");
            if (at === rootfs) agents.push(Number(name));
          }
          assert.equal(agents.length, 1);
          const status = await Deno.readTextFile(`/proc/${agents[0]}/status`);
          assert.match(status, new RegExp(`^Uid:\\s${UID}\\s${UID}\\s${UID}\\s${UID}$`, "m"));
          assert.match(status, /^CapEff:\s0+$/m);
          assert.match(
            await Deno.readTextFile(`/proc/${agents[0]}/mountinfo`),
            /^\d+ \d+ \S+ \S+ \/ ro[, ]/m,
          );
          Deno.kill(agents[0]!, "SIGTERM");
          assert.equal((await within(child.status, "the end of the agent", 15_000)).code, 0, log());
        });
      });

      await t.step("the demo, with the configuration inside", async () => {
        const { code, text } = await run(...chroot(rootfs, "/mesh-agent", "demo", "--once", "200"));
        assert.equal(code, 0, text);
        for (const version of ["v1", "v2", "v3"]) {
          assert.match(text, new RegExp(`\\b${version}\\b.*\\d`), text);
        }
      });
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
