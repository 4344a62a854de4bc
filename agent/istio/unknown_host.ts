/** What to say about a host that no ServiceEntry declares. */
import type { Registry } from "./registry.ts";
import type { RuleDocument } from "./resources.ts";

/** A host that nothing declares, with the trap that most often leads there. */
export function unknownHost(what: string, host: string, document: RuleDocument, registry: Registry): string {
  const name = registry.full(host, document);
  if (!host.includes(".") && registry.servicesOf(host.toLowerCase()).length > 0) {
    return `${what} ${host} means ${name}; the ServiceEntry declares ${host}`;
  }
  const guess = /^[^.*]+\.[^.]+$/.test(host)
    ? registry.full(host.split(".")[0] as string, {
      ...document,
      namespace: host.split(".")[1] as string,
    })
    : "";
  if (guess !== "" && registry.servicesOf(guess).length > 0) {
    return `${what} ${host} means just ${host}, as a name with a dot is not completed; the ServiceEntry declares ${guess}`;
  }
  const near = registry.nearestHost(name);
  return `${what} ${host}${name === host ? "" : ` means ${name}, which`} is declared by no ServiceEntry` +
    (near === undefined ? "" : `; did you mean "${near}"?`);
}
