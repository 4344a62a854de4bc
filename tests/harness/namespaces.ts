/**
 * Two network namespaces and a wire between them: a virtual machine, and the cluster that it belongs to. Needs root and iproute2.
 *
 * The machine has its own /etc/resolv.conf and /etc/hosts (`ip netns exec` puts /etc/netns/NAME over /etc), and reaches nothing but the
 * cluster. In the cluster there are a name server and applications (cluster_side.mjs).
 *
 * @example
 * ```ts ignore
 * await using net = await twoNamespaces({ applications: { v1: 8081 } });
 * await net.names({ "istiod.istio-system.svc": net.cluster });
 * await net.wire("down");
 * ```
 */
import { within } from "./bytes.ts";

export interface Namespaces extends AsyncDisposable {
  /** Address of the machine, and addresses of the cluster: of names and applications, and two more. */
  readonly vm: string;
  readonly cluster: string;
  readonly planes: readonly [string, string];
  /** Words in front of a command. */
  readonly inVm: readonly string[];
  readonly inCluster: readonly string[];
  /** What the name server says from now on. */
  names(names: Readonly<Record<string, string>>): Promise<void>;
  /** The cluster's end of the wire. */
  wire(state: "up" | "down"): Promise<void>;
  /** Runs a command on the machine. */
  run(...words: string[]): Promise<{ readonly code: number; readonly text: string }>;
}

/** Whether this process may make namespaces. */
export async function mayMakeNamespaces(): Promise<boolean> {
  const name = `mesh-probe-${Deno.pid}`;
  try {
    await ip("netns", "add", name);
    await ip("netns", "delete", name);
    return true;
  } catch {
    return false;
  }
}

async function ip(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("ip", { args }).output();
  if (!success) throw new Error(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}

const CLUSTER_SIDE = new URL("./cluster_side.mjs", import.meta.url).pathname;

export async function twoNamespaces(
  options: { readonly applications: Readonly<Record<string, number>> },
): Promise<Namespaces> {
  const [vmName, clusterName] = [`mesh-vm-${Deno.pid}`, `mesh-cluster-${Deno.pid}`];
  const [vmLink, clusterLink] = ["wire-vm", "wire-cluster"];
  const [vm, cluster, first, second] = ["10.77.0.2", "10.77.0.1", "10.77.0.11", "10.77.0.12"];
  const etc = `/etc/netns/${vmName}`;
  const disposables = new AsyncDisposableStack();
  try {
    for (const name of [vmName, clusterName]) {
      await ip("netns", "add", name);
      disposables.defer(() => ip("netns", "delete", name));
      await ip("-n", name, "link", "set", "lo", "up");
    }
    await ip(
      "-n",
      vmName,
      "link",
      "add",
      vmLink,
      "type",
      "veth",
      "peer",
      "name",
      clusterLink,
      "netns",
      clusterName,
    );
    await ip("-n", vmName, "address", "add", `${vm}/24`, "dev", vmLink);
    for (const address of [cluster, first, second]) {
      await ip("-n", clusterName, "address", "add", `${address}/24`, "dev", clusterLink);
    }
    await ip("-n", vmName, "link", "set", vmLink, "up");
    await ip("-n", clusterName, "link", "set", clusterLink, "up");

    await Deno.mkdir(etc, { recursive: true });
    disposables.defer(async () => {
      await Deno.remove(etc, { recursive: true });
      // Only when nobody else has one.
      await Deno.remove("/etc/netns").catch(() => {});
    });
    await Deno.writeTextFile(`${etc}/resolv.conf`, `nameserver ${cluster}\n`);
    await Deno.writeTextFile(`${etc}/hosts`, "127.0.0.1 localhost\n");

    const inVm = ["ip", "netns", "exec", vmName];
    const inCluster = ["ip", "netns", "exec", clusterName];
    const child = new Deno.Command("ip", {
      args: [...inCluster.slice(1), "node", CLUSTER_SIDE, JSON.stringify({ host: cluster, ...options })],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const commands = child.stdin.getWriter();
    disposables.defer(async () => {
      await commands.close();
      await lines.cancel();
      await child.status;
    });
    const answer = async (wanted: string): Promise<void> => {
      const { value } = await within(lines.read(), `"${wanted}" of the cluster`, 10_000);
      if (value?.trim() !== wanted) throw new Error(`the cluster said ${value}, not ${wanted}`);
    };
    await answer("ready");
    const owned = disposables.move();
    return {
      vm,
      cluster,
      planes: [first, second],
      inVm,
      inCluster,
      async names(names) {
        await commands.write(new TextEncoder().encode(`${JSON.stringify(names)}\n`));
        await answer("done");
      },
      wire: (state) => ip("-n", clusterName, "link", "set", clusterLink, state),
      async run(...words) {
        const { code, stdout, stderr } = await new Deno.Command("ip", { args: [...inVm.slice(1), ...words] })
          .output();
        return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
      },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  } catch (error) {
    await disposables.disposeAsync();
    throw error;
  }
}
