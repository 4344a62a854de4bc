/**
 * The two generated files of protos/: the descriptor that is loaded at run time, and the types of decoded messages.
 *
 * In: protos/xds.proto. Out: protos/xds_descriptor.json and protos/xds_types.ts (`--write`), or exit 1 when one is stale.
 *
 * @example
 * ```sh
 * deno run -A scripts/protos.ts --write
 * ```
 */
import protobuf from "protobufjs";

type Descriptor = Record<string, unknown>;

/** Descriptor in protobufjs's JSON form, and TypeScript source, both unformatted. */
export function generate(proto: string): { descriptor: string; types: string } {
  const { root } = protobuf.parse(proto, new protobuf.Root(), { keepCase: true });
  root.resolveAll();
  const descriptor = root.toJSON({ keepComments: false }) as Descriptor;
  return { descriptor: JSON.stringify(descriptor), types: typesOf(root.lookup("xds") as protobuf.Namespace) };
}

const SCALARS: Readonly<Record<string, string>> = { string: "string", bytes: "Uint8Array", bool: "boolean" };

/** Name inside the package, `Cluster.EdsClusterConfig`. */
const localName = (object: protobuf.ReflectionObject): string => object.fullName.replace(/^\.xds\./, "");

function typeOf(field: protobuf.Field): string {
  if (field.resolvedType instanceof protobuf.Enum) return "number";
  if (field.resolvedType !== null) return `Messages[${JSON.stringify(localName(field.resolvedType))}]`;
  return SCALARS[field.type] ?? "number";
}

function propertyOf(field: protobuf.Field): string {
  const type = typeOf(field);
  if (field.map) return `Readonly<Record<string, ${type}>>`;
  if (field.repeated) return `readonly ${type}[]`;
  return field.partOf !== null || field.resolvedType instanceof protobuf.Type ? `${type} | null` : type;
}

function typesOf(namespace: protobuf.Namespace): string {
  const lines: string[] = [];
  const enums: string[] = [];
  const walk = (parent: protobuf.NamespaceBase): void => {
    for (const object of parent.nestedArray) {
      if (object instanceof protobuf.Enum) {
        enums.push(
          `${JSON.stringify(localName(object))}: ${
            Object.keys(object.values).map((name) => JSON.stringify(name)).join(" | ")
          };`,
        );
      }
      if (!(object instanceof protobuf.Type)) continue;
      if (object.fieldsArray.length === 0) {
        lines.push(`readonly ${JSON.stringify(localName(object))}: Record<never, never>;`);
        walk(object);
        continue;
      }
      lines.push(`readonly ${JSON.stringify(localName(object))}: {`);
      for (const oneof of object.oneofsArray) {
        const names = oneof.fieldsArray.map((field) => JSON.stringify(field.name));
        lines.push(`/** Which of the fields is set. */`, `readonly ${oneof.name}?: ${names.join(" | ")};`);
      }
      for (const field of object.fieldsArray) {
        lines.push(`readonly ${field.name}: ${propertyOf(field)};`);
      }
      lines.push("};");
      walk(object);
    }
  };
  walk(namespace);
  return `// Made by scripts/protos.ts from xds.proto; do not edit.

/**
 * What decoding a message gives, by its name in xds.proto. Absent scalars have their proto3 default, absent messages and
 * members of a oneof are null, absent lists and maps are empty. 64-bit numbers are plain numbers; enums are numbers.
 */
export interface Messages {
${lines.join("\n")}
}

/** Names of enum values. */
export interface Enums {
${enums.join("\n")}
}
`;
}

async function format(text: string, extension: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", extension, "-"],
    cwd: new URL("../", import.meta.url),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  const folder = new URL("../protos/", import.meta.url);
  const { descriptor, types } = generate(await Deno.readTextFile(new URL("xds.proto", folder)));
  const files: readonly (readonly [string, string])[] = [
    ["xds_descriptor.json", await format(descriptor, "json")],
    ["xds_types.ts", await format(types, "ts")],
  ];
  const stale: string[] = [];
  for (const [name, text] of files) {
    const file = new URL(name, folder);
    if (Deno.args.includes("--write")) await Deno.writeTextFile(file, text);
    else if (await Deno.readTextFile(file).catch(() => "") !== text) stale.push(`protos/${name}`);
  }
  if (stale.length > 0) {
    console.error(`${stale.join(" and ")} is stale: run deno run -A scripts/protos.ts --write`);
    Deno.exit(1);
  }
  console.log("protos: descriptor and types follow protos/xds.proto");
}
