/** What the control plane has to say: resources by type, and the version they are of. */

export const TYPES = ["CDS", "EDS", "LDS", "RDS"];

export class Store {
  #resources = new Map(TYPES.map((type) => [type, new Map()]));
  #pushes = 0;
  #style;

  /** `style`: how versions look, by the number of the push. */
  constructor(style) {
    this.#style = style;
  }

  get version() {
    return this.#style(this.#pushes);
  }

  /** A new version, also when nothing changed. */
  advance() {
    this.#pushes++;
  }

  names(type) {
    return [...this.#resources.get(type).keys()];
  }

  get(type, name) {
    return this.#resources.get(type).get(name);
  }

  /** Replaces whole types; the others stay. Gives by type the names that are new or have other bytes, and those that went. */
  replace(resourcesByType) {
    const change = {};
    for (const [type, resources] of Object.entries(resourcesByType)) {
      const before = this.#resources.get(type);
      const after = new Map(
        resources.map((r) => [r.name, { ...r, bytes: Buffer.from(r.bytes, "base64") }]),
      );
      change[type] = {
        changed: [...after.values()].filter((r) => !same(before.get(r.name), r)).map((r) => r.name),
        removed: [...before.keys()].filter((name) => !after.has(name)),
      };
      this.#resources.set(type, after);
    }
    return change;
  }
}

function same(a, b) {
  return a !== undefined && a.typeUrl === b.typeUrl && a.bytes.equals(b.bytes);
}
