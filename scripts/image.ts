/**
 * `deno task image`: a container image of the compiled agent, made without any engine.
 *
 * In: the compiled program. Out: dist/image, an OCI image layout (image-spec 1.1), and dist/mesh-agent-image.tar, the same image for
 * `docker load` and `podman load`. The one layer is all that the program needs: itself, the shared objects that it links, CA roots, users, empty directories
 * to mount on. It runs as 65534, read-only. Same program, same C library and same Deno: same digest (sorted, times 0).
 *
 * Flags: --program PATH takes that instead of compiling; --sysroot DIR takes the shared objects from there (other architectures);
 * --out DIR writes image/ and mesh-agent-image.tar there instead of dist/; --rootfs DIR writes the plain files there and nothing else,
 * for a Dockerfile (config/deploy/Dockerfile) or a chroot.
 *
 * @example
 * ```sh
 * deno task image && docker load --input dist/mesh-agent-image.tar && docker run --rm mesh-agent:0.1.0 demo --once 200
 * ```
 */
import { rootCertificates } from "node:tls";
import { VERSION } from "../agent/core/version.ts";
import { compile } from "./compile.ts";
import { readElf, sharedObjects } from "./image_elf.ts";
import { type Entry, tar } from "./image_tar.ts";

/** User and group of the agent: nobody. */
export const UID = 65534;

const root = new URL("../", import.meta.url);

/** Where settings are looked for: `--config` of the default command. */
const CONF = "/etc/mesh-agent";

/** Directories that are mounted on, and those that the agent may write to when they are. */
const EMPTY: readonly (readonly [path: string, mode: number, owner: number])[] = [
  ["dev/", 0o755, 0],
  ["etc/certs/", 0o755, 0],
  ["etc/mesh-agent/", 0o755, 0],
  ["proc/", 0o555, 0],
  ["run/", 0o755, 0],
  ["sys/", 0o555, 0],
  ["tmp/", 0o1777, 0],
  ["var/cache/mesh-agent/", 0o700, UID],
  ["var/run/secrets/", 0o755, 0],
];

const TEXTS: Readonly<Record<string, string>> = {
  "etc/passwd": `root:x:0:0:root:/:/sbin/nologin\nnobody:x:${UID}:${UID}:nobody:/:/sbin/nologin\n`,
  "etc/group": `root:x:0:\nnobody:x:${UID}:\n`,
  "etc/nsswitch.conf": "hosts: files dns\n",
  // Mozilla's, as the runtime that builds the image has them.
  "etc/ssl/certs/ca-certificates.crt": [...rootCertificates].sort().map((pem) => pem.trim() + "\n").join(""),
};

/** All that is in the image. Shared objects come from `sysroot` ("" = this machine). */
export async function rootFileSystem(program: Uint8Array, sysroot = ""): Promise<Entry[]> {
  const files = new Map<string, Entry>();
  const add = (path: string, mode: number, bytes: Uint8Array) => files.set(path, { path, mode, bytes });
  add("mesh-agent", 0o755, program);
  for (const [path, bytes] of await sharedObjects(program, sysroot)) add(path.slice(1), 0o755, bytes);
  for (const [path, text] of Object.entries(TEXTS)) add(path, 0o644, new TextEncoder().encode(text));
  const entries = new Map<string, Entry>(files);
  for (const [path, mode, owner] of EMPTY) entries.set(path, { path, mode, owner });
  for (const path of [...entries.keys()]) {
    const names = path.replace(/\/$/, "").split("/");
    for (let i = 1; i < names.length; i++) {
      const parent = names.slice(0, i).join("/") + "/";
      if (!entries.has(parent)) entries.set(parent, { path: parent, mode: 0o755 });
    }
  }
  return [...entries.values()];
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** Files of an OCI image layout, path -> bytes, and the digest of its manifest. */
export interface Image {
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  /** Paths of the two blobs among them. */
  readonly config: string;
  readonly layer: string;
  /** `sha256:...` of the manifest: what `docker pull IMAGE@` would name. */
  readonly digest: string;
  readonly architecture: string;
  /** Of the layer, unpacked, in bytes. */
  readonly unpackedBytes: number;
}

/** Packs it, for `docker load` as well (manifest.json, as `docker save` writes it). */
export async function packImage(entries: readonly Entry[], architecture: string): Promise<Image> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const blob = async (mediaType: string, bytes: Uint8Array<ArrayBuffer>): Promise<Descriptor> => {
    const digest = await sha256(bytes);
    files.set(`blobs/sha256/${digest.slice("sha256:".length)}`, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const layer = await concatenated(new Blob(tar(entries)).stream());
  const packed = await concatenated(new Blob([layer]).stream().pipeThrough(new CompressionStream("gzip")));
  const layerBlob = await blob("application/vnd.oci.image.layer.v1.tar+gzip", packed);
  const labels = {
    "org.opencontainers.image.title": "mesh-agent",
    "org.opencontainers.image.version": VERSION,
    "org.opencontainers.image.licenses": "Apache-2.0",
  };
  const config = await blob(
    "application/vnd.oci.image.config.v1+json",
    json({
      architecture,
      os: "linux",
      created: "1970-01-01T00:00:00Z",
      config: {
        User: `${UID}:${UID}`,
        Entrypoint: ["/mesh-agent"],
        Cmd: ["run", "--config", CONF],
        Env: ["PATH=/"],
        WorkingDir: "/",
        StopSignal: "SIGTERM",
        Labels: labels,
      },
      rootfs: { type: "layers", diff_ids: [await sha256(layer)] },
      history: [{ created: "1970-01-01T00:00:00Z", created_by: "deno task image" }],
    }),
  );
  const manifest = await blob(
    "application/vnd.oci.image.manifest.v1+json",
    json({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config,
      layers: [layerBlob],
      annotations: labels,
    }),
  );
  const reference = { "org.opencontainers.image.ref.name": VERSION };
  files.set(
    "index.json",
    json({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [{ ...manifest, annotations: reference, platform: { architecture, os: "linux" } }],
    }),
  );
  files.set("oci-layout", json({ imageLayoutVersion: "1.0.0" }));
  const at = ({ digest }: Descriptor) => `blobs/sha256/${digest.slice("sha256:".length)}`;
  files.set(
    "manifest.json",
    json([{ Config: at(config), RepoTags: [`mesh-agent:${VERSION}`], Layers: [at(layerBlob)] }]),
  );
  return {
    files,
    config: at(config),
    layer: at(layerBlob),
    digest: manifest.digest,
    architecture,
    unpackedBytes: layer.length,
  };
}

/** Writes `DIRECTORY/image` and `DIRECTORY/mesh-agent-image.tar`; what was there is replaced. */
export async function writeImage({ files, config, layer }: Image, directory: string): Promise<void> {
  const layout = `${directory}/image`;
  await Deno.remove(layout, { recursive: true }).catch(() => {});
  await Deno.mkdir(`${layout}/blobs/sha256`, { recursive: true });
  for (const [path, bytes] of files) {
    if (path !== "manifest.json") await Deno.writeFile(`${layout}/${path}`, bytes);
  }
  // Without index.json: podman would take the archive for an OCI layout, and the tag for a name.
  const loaded = ["manifest.json", config, layer];
  const entries: Entry[] = loaded.map((path) => ({ path, mode: 0o644, bytes: files.get(path)! }));
  for (const path of ["blobs/", "blobs/sha256/"]) entries.push({ path, mode: 0o755 });
  await Deno.writeFile(`${directory}/mesh-agent-image.tar`, new Blob(tar(entries)).stream());
}

/** Writes the files themselves into a directory, which must not be there yet. Their owners only when this runs as root. */
export async function writeRootFileSystem(entries: readonly Entry[], directory: string): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  const own = Deno.uid() === 0;
  for (const { path, mode, owner = 0, bytes } of [...entries].sort((a, b) => a.path < b.path ? -1 : 1)) {
    const target = `${directory}/${path}`;
    if (bytes === undefined) await Deno.mkdir(target);
    else await Deno.writeFile(target, bytes, { createNew: true });
    // Not with mkdir and writeFile, which the umask restricts.
    await Deno.chmod(target, mode);
    if (own) await Deno.chown(target, owner, owner);
  }
}

function json(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}

async function concatenated(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return "sha256:" + Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function option(name: string): string | undefined {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? undefined : Deno.args[at + 1];
}

if (import.meta.main) {
  try {
    let program = option("program");
    const out = option("out") ?? new URL("dist", root).pathname;
    await Deno.mkdir(out, { recursive: true });
    if (program === undefined) {
      program = new URL("dist/mesh-agent", root).pathname;
      console.log(await compile(program));
    }
    const bytes = await Deno.readFile(program);
    const { architecture } = readElf(bytes);
    const entries = await rootFileSystem(bytes, option("sysroot"));
    const rootfs = option("rootfs");
    if (rootfs !== undefined) {
      await writeRootFileSystem(entries, rootfs);
      console.log(rootfs);
      Deno.exit(0);
    }
    const image = await packImage(entries, architecture);
    await writeImage(image, out);
    const mb = (count: number) => `${(count / 1e6).toFixed(0)} MB`;
    const packedBytes = [...image.files.values()].reduce((sum, { length }) => sum + length, 0);
    console.log(
      `${out}/image, ${out}/mesh-agent-image.tar: mesh-agent:${VERSION} linux/${architecture}, ${
        mb(packedBytes)
      }, unpacked ${mb(image.unpackedBytes)}\n${image.digest}`,
    );
  } catch (error) {
    console.error(`Cannot make the image: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
