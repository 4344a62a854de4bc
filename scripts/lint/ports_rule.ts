/**
 * Second half of the import law, as a lint rule: a pure folder reaches the world through ports only, so it may not
 * name the runtime, sockets, timers, clocks, chance or the console.
 *
 * In: the syntax tree of every file that `deno lint` reads (so words in comments and strings never count).
 * Out: one lint error `law/ports` per forbidden name.
 *
 * @example
 * ```ts ignore
 * // agent/route/select.ts
 * const start = Date.now(); // law/ports: Date.now belongs to the shell; take a Clock
 * ```
 */

/** Global name -> the port to take instead. */
const GLOBALS: Readonly<Record<string, string>> = {
  Deno: "take the port that does it (core/ports.ts)",
  console: "take a Log",
  process: "take the value as an argument",
  setTimeout: "take a Clock and call after()",
  setInterval: "take a Clock and call after()",
  setImmediate: "take a Clock and call after()",
  clearTimeout: "use the cancel function that Clock.after() gives",
  clearInterval: "use the cancel function that Clock.after() gives",
  performance: "take a Clock and call monotonic()",
  fetch: "take a Dialer",
  WebSocket: "take a Dialer",
  EventSource: "take a Dialer",
  Worker: "start workers in supervisor/",
};

/** `object.property` -> the port to take instead. */
const MEMBERS: Readonly<Record<string, string>> = {
  "Date.now": "take a Clock and call now()",
  "Math.random": "take an Rng",
  "AbortSignal.timeout": "take a Clock and call after()",
};

/** The `node:` modules that only compute. */
const PURE_NODE_MODULES = new Set(["node:buffer", "node:path", "node:path/posix"]);

/** Files under agent/ that are the shell. Tests and benches are never pure. */
export function mayNameTheWorld(path: string): boolean {
  const normal = path.replaceAll("\\", "/");
  const at = normal.lastIndexOf("/agent/");
  if (at < 0) return true;
  const inside = normal.slice(at + "/agent/".length);
  return /_(test|bench)\.ts$/.test(inside) || /^(net|supervisor|cli)\//.test(inside) ||
    /^(agent|cli)\.ts$/.test(inside);
}

/** True when the identifier is a reference to a global and not a key, a member name or a declaration. */
function isReference(node: Deno.lint.Identifier): boolean {
  const parent = node.parent;
  if (parent.type === "MemberExpression") return parent.object === node || parent.computed;
  if (parent.type === "TSQualifiedName") return parent.left === node;
  if (parent.type === "Property") return parent.value === node;
  if (parent.type === "TSPropertySignature" || parent.type === "TSMethodSignature") return false;
  if (parent.type === "MethodDefinition" || parent.type === "PropertyDefinition") return parent.key !== node;
  if (parent.type === "ImportSpecifier" || parent.type === "ExportSpecifier") return false;
  return true;
}

function nameOf(node: Deno.lint.Node): string | undefined {
  if (node.type === "Identifier") return node.name;
  if (node.type === "Literal" && typeof node.value === "string") return node.value;
  return undefined;
}

const plugin: Deno.lint.Plugin = {
  name: "law",
  rules: {
    ports: {
      create(context): Deno.lint.LintVisitor {
        if (mayNameTheWorld(context.filename)) return {};
        const report = (node: Deno.lint.Node, name: string, instead: string) =>
          context.report({
            node,
            message: `${name} belongs to the shell (net/, agent.ts, cli); ${instead}`,
          });
        const checkModule = (node: Deno.lint.Node, source: string) => {
          if (source.startsWith("node:") && !PURE_NODE_MODULES.has(source)) {
            report(node, source, "take the port that does it (core/ports.ts)");
          }
        };
        return {
          Identifier(node) {
            const instead = Object.hasOwn(GLOBALS, node.name) ? GLOBALS[node.name] : undefined;
            if (instead !== undefined && isReference(node)) report(node, node.name, instead);
          },
          MemberExpression(node) {
            const object = nameOf(node.object);
            const property = nameOf(node.property);
            if (object === undefined || property === undefined) return;
            if (object === "globalThis" && Object.hasOwn(GLOBALS, property)) {
              report(node, property, GLOBALS[property] ?? "");
            }
            const name = `${object}.${property}`;
            if (Object.hasOwn(MEMBERS, name)) report(node, name, MEMBERS[name] ?? "");
          },
          NewExpression(node) {
            if (nameOf(node.callee) === "Date" && node.arguments.length === 0) {
              report(node, "new Date()", "take a Clock and call now()");
            }
          },
          ImportDeclaration(node) {
            checkModule(node, node.source.value);
          },
          ImportExpression(node) {
            const source = nameOf(node.source);
            if (source !== undefined) checkModule(node, source);
          },
        };
      },
    },
  },
};

export default plugin;
