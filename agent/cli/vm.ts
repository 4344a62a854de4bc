/** `vm init`: makes a machine run the agent, and says what it did and what is next. Touches nothing but its own files. */
import { MeshError } from "../core/errors.ts";
import { normalAddress } from "../core/ip.ts";
import { joinPath } from "../core/path.ts";
import { absolutePath } from "../net/paths.ts";
import { readControlPlanes } from "../settings/control_plane.ts";
import { readServicePorts } from "../settings/inbound.ts";
import { parseNetEntry } from "../settings/net_entry.ts";
import type { ParsedArgs } from "./args.ts";
import type { ExitCode, Run } from "./command.ts";
import type { Paint, Terminal } from "./terminal.ts";
import { apply, expiryOf, groupId, type Step } from "./vm_apply.ts";
import { type Bundle, BUNDLE_FILES, readBundle } from "./vm_bundle.ts";
import {
  CERTS,
  CONF,
  ENVIRONMENT,
  machineFiles,
  NAME,
  PROGRAM,
  type Setup,
  TOKEN,
  UNIT,
} from "./vm_files.ts";

const TYPES = ["pilot", "pilotv2", "pilotv3"] as const;

/** With the variables that the unit has. */
const DOCTOR = `(set -a; . ${ENVIRONMENT}; ${NAME} doctor --config ${CONF})    # where it does not work`;

/** The name in the certificate of an istiod that is asked by its address. */
const ISTIOD = "istiod.istio-system.svc";

export const run: Run = async (args, terminal): Promise<ExitCode> => {
  const [verb, ...more] = args.words;
  if (verb !== "init" || more.length > 0) {
    terminal.note(
      `Cannot run vm "${args.words.join(" ")}": want vm init\n    mesh-agent help vm says more`,
    );
    return 2;
  }
  const root = absolutePath(args.get("root") ?? "/");
  const from = args.get("from");
  const bundle = from === undefined ? undefined : await bundleIn(from);
  const read = await setupOf(args, bundle, root);
  if ("errors" in read) {
    for (const error of read.errors) terminal.note(error);
    return 2;
  }
  const { setup } = read;
  const dryRun = args.has("dry-run");
  const steps = await apply(await machineFiles(setup), { root, force: args.has("force"), dryRun });
  tell(terminal, setup, steps, bundle, dryRun);
  await tellNext(terminal, setup, steps, root, dryRun);
  return 0;
};

/** Throws MeshError N130 for a file that cannot be read, or when nothing of a bundle is there. */
async function bundleIn(path: string): Promise<Bundle> {
  const files = new Map<string, string>();
  for (const name of BUNDLE_FILES) {
    const text = await textOf(joinPath(absolutePath(path), name), true);
    if (text !== undefined) files.set(name, text);
  }
  if (!files.has("cluster.env") && !files.has("mesh.yaml")) {
    throw new MeshError(
      "N130",
      `Cannot read a bundle from "${path}": neither cluster.env nor mesh.yaml is there; want the directory that ` +
        "istioctl x workload entry configure -o wrote",
    );
  }
  const bundle = readBundle(files);
  if (bundle.problems.length > 0) {
    throw new MeshError("N130", `Cannot read the bundle in "${path}": ${bundle.problems.join("; ")}`);
  }
  return bundle;
}

async function textOf(path: string, optional = false): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    if (optional && cause instanceof Deno.errors.NotFound) return undefined;
    const state = cause instanceof Deno.errors.NotFound
      ? "it does not exist"
      : cause instanceof Deno.errors.PermissionDenied
      ? "permission denied"
      : cause instanceof Error
      ? cause.message
      : String(cause);
    throw new MeshError("N130", `Cannot read "${path}": ${state}; want a readable file`, { cause });
  }
}

/** A DNS label, as names of Kubernetes are; a pod's and a service account's may have dots. */
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const DOTTED_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

async function setupOf(
  args: ParsedArgs,
  bundle: Bundle | undefined,
  root: string,
): Promise<{ setup: Setup } | { errors: string[] }> {
  const errors: string[] = [];
  const type = TYPES.find((each) => each === (args.get("type") ?? "pilotv3"));
  if (type === undefined) {
    return { errors: [`Cannot use --type "${args.get("type")}": want ${TYPES.join(", ")}`] };
  }
  const given = args.get("pilot");
  const pilot = given ?? bundle?.pilot;
  if (pilot === undefined) {
    errors.push(
      "Cannot set this machine up: where the control plane is, is not said; want --pilot ADDRESS, such as " +
        "grpcs://203.0.113.20:15012, or --from DIR",
    );
  }
  const hosts = pilot === undefined ? [] : readControlPlanes(pilot, type).flatMap((reading) => {
    if ("address" in reading) return [reading.address];
    errors.push(`Cannot use the control plane "${reading.text}": ${reading.problem}`);
    return [];
  });
  const byAddress = hosts.some(({ scheme, host }) => scheme === "grpcs" && normalAddress(host) !== undefined);
  const serverName = args.get("server-name") ?? bundle?.serverName ?? (byAddress ? ISTIOD : undefined);

  const hostname = (await textOf(joinPath(root, "/etc/hostname"), true))?.trim().toLowerCase();
  const name = args.get("name") ?? hostname;
  if (name === undefined || !DOTTED_NAME.test(name)) {
    errors.push(
      `Cannot name this workload "${
        name ?? ""
      }": want --name with small letters, digits, - and ., such as shop-vm-1`,
    );
  }
  const namespace = args.get("namespace") ?? bundle?.namespace ?? "default";
  if (!LABEL.test(namespace)) {
    errors.push(`Cannot use namespace "${namespace}": want small letters, digits and -`);
  }
  const ip = args.get("ip") ?? bundle?.ip;
  if (ip === undefined) {
    errors.push(
      "Cannot set this machine up: its address is not said; want --ip ADDRESS (hostname -I prints them)",
    );
  } else if (normalAddress(ip) === undefined) {
    errors.push(`Cannot use --ip "${ip}": it is no address; want such as 10.1.2.3`);
  }
  for (const range of bundle?.ranges ?? []) {
    if (parseNetEntry(range) === undefined) {
      errors.push(`Cannot use ISTIO_SERVICE_CIDR "${range}" of cluster.env: want a range such as 10.0.0.0/8`);
    }
  }
  const account = args.get("service-account");
  const accountName = account ?? bundle?.metadata.get("ISTIO_META_SERVICE_ACCOUNT");
  if (accountName !== undefined && !DOTTED_NAME.test(accountName)) {
    errors.push(`Cannot use service account "${accountName}": want small letters, digits, - and .`);
  }
  const ports = args.get("service-ports");
  const reading = ports === undefined ? undefined : readServicePorts(ports);
  if (reading !== undefined && "problem" in reading) {
    errors.push(`Cannot use --service-ports "${ports}": ${reading.problem}`);
  }
  if (errors.length > 0) return { errors };

  const tokenFile = args.get("token");
  const rootCertFile = args.get("root-cert");
  const token = tokenFile === undefined ? bundle?.token : await textOf(absolutePath(tokenFile));
  const rootCert = rootCertFile === undefined ? bundle?.rootCert : await textOf(absolutePath(rootCertFile));
  if (rootCert !== undefined && !rootCert.includes("-----BEGIN CERTIFICATE-----")) {
    return { errors: [`Cannot use --root-cert "${rootCertFile}": it has no certificate; want PEM`] };
  }
  return {
    setup: {
      type,
      pilot: pilot as string,
      secured: hosts.some(({ scheme }) => scheme === "grpcs"),
      ...(serverName === undefined ? {} : { serverName }),
      name: name as string,
      namespace,
      ip: ip as string,
      ...(bundle?.service === undefined ? {} : { service: bundle.service }),
      ...(account === undefined ? {} : { serviceAccount: account }),
      ...(ports === undefined ? {} : { servicePorts: ports }),
      ranges: bundle?.ranges ?? [],
      metadata: bundle?.metadata ?? new Map(),
      ...(token === undefined ? {} : { token }),
      ...(rootCert === undefined ? {} : { rootCert }),
    },
  };
}

const OUTCOMES = {
  made: ["made", "would make"],
  replaced: ["replaced", "would replace"],
  mode: ["rights set", "would set rights"],
  unchanged: ["unchanged", "unchanged"],
  kept: ["kept", "would keep"],
} as const;

function tell(
  terminal: Terminal,
  { name, namespace, ip, type, pilot }: Setup,
  steps: readonly Step[],
  bundle: Bundle | undefined,
  dryRun: boolean,
): void {
  const { print, paint } = terminal;
  print(`${name} in namespace ${namespace} at ${ip}; rules from ${type} ${pilot}`);
  for (const step of steps) print(stepText(step, dryRun, paint));
  const left = bundle?.left ?? [];
  if (left.length > 0) print(["not taken from the bundle:", ...left.map((line) => `  ${line}`)].join("\n"));
  print(
    steps.every(({ outcome }) => outcome === "unchanged")
      ? "Nothing changed: everything is as it would be made."
      : dryRun
      ? "Nothing was written (--dry-run)."
      : "Nothing else was touched: not resolv.conf, not /etc/hosts, no packet filter.",
  );
}

function stepText({ path, outcome, note, diff = [] }: Step, dryRun: boolean, paint: Paint): string {
  const word = OUTCOMES[outcome][dryRun ? 1 : 0];
  const because = note === undefined ? "" : `: ${note}; --force replaces it`;
  return [
    `  ${word.padEnd(dryRun ? 16 : 10)}  ${path}${because}`,
    ...diff.map((line) => `      ${line.startsWith("-") ? paint.red(line) : paint.green(line)}`),
  ].join("\n");
}

async function tellNext(
  { print }: Terminal,
  { secured, token, namespace, serviceAccount, metadata }: Setup,
  steps: readonly Step[],
  root: string,
  dryRun: boolean,
): Promise<void> {
  const isThere = async (path: string) =>
    await Deno.lstat(joinPath(root, path)).then(() => true, () => false);
  const next: string[] = [];
  if (!await isThere(PROGRAM)) next.push(`install -m 0755 ${NAME} ${PROGRAM}`);
  if (secured) {
    if (!dryRun && !await isThere(`${CERTS}/root-cert.pem`)) {
      next.push(
        `kubectl get configmap istio-ca-root-cert -n ${namespace} -o 'jsonpath={.data.root-cert\\.pem}' > ${CERTS}/root-cert.pem`,
      );
    }
    if (!dryRun && !await isThere(TOKEN) && !await isThere(`${CERTS}/key.pem`)) {
      const account = serviceAccount ?? metadata.get("ISTIO_META_SERVICE_ACCOUNT") ?? "ACCOUNT";
      next.push(
        `kubectl create token ${account} -n ${namespace} --audience istio-ca --duration 24h > ${TOKEN}`,
      );
    }
    if (token !== undefined) {
      const end = expiryOf(token);
      if (end > 0) {
        next.push(
          `# before ${
            new Date(end * 1000).toISOString().slice(0, 19)
          }Z, when it ends: a new token in ${TOKEN}`,
        );
      }
    }
  }
  if (await groupId(root) === undefined) {
    next.push(`systemd-sysusers && systemd-tmpfiles --create /etc/tmpfiles.d/${NAME}.conf`);
  }
  const changed = steps.filter(({ outcome }) => outcome === "made" || outcome === "replaced");
  if (changed.some(({ path }) => path === UNIT)) next.push("systemctl daemon-reload");
  if (!await isThere(`/etc/systemd/system/multi-user.target.wants/${NAME}.service`)) {
    next.push(`systemctl enable --now ${NAME}    # now, and at each boot`);
  } else if (changed.length > 0) next.push(`systemctl restart ${NAME}`);
  next.push(`${NAME} wait && ${NAME} status`, DOCTOR);
  print(["next:", ...next.map((line) => `  ${line}`)].join("\n"));
}
