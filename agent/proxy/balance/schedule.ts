/** Earliest deadline first, the weighted round robin of Envoy: each candidate comes again after 1/weight. */
export class Schedule<T> {
  readonly #heap: { item: T; at: number; order: number }[] = [];
  readonly #weightOf: (item: T) => number;
  #now = 0;
  #order = 0;

  constructor(items: readonly T[], weightOf: (item: T) => number) {
    this.#weightOf = weightOf;
    for (const item of items) this.#push(item, 1 / weightOf(item));
  }

  next(): T | null {
    const top = this.#heap[0];
    if (top === undefined) return null;
    this.#now = top.at;
    top.at += 1 / this.#weightOf(top.item);
    top.order = this.#order++;
    this.#sink();
    return top.item;
  }

  #push(item: T, at: number): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push({ item, at: this.#now + at, order: this.#order++ });
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.#before(i, parent)) break;
      this.#swap(i, parent);
      i = parent;
    }
  }

  #sink(): void {
    let i = 0;
    for (;;) {
      let least = i;
      if (this.#before(2 * i + 1, least)) least = 2 * i + 1;
      if (this.#before(2 * i + 2, least)) least = 2 * i + 2;
      if (least === i) return;
      this.#swap(i, least);
      i = least;
    }
  }

  #before(a: number, b: number): boolean {
    const x = this.#heap[a];
    const y = this.#heap[b]!;
    return x !== undefined && (x.at < y.at || x.at === y.at && x.order < y.order);
  }

  #swap(a: number, b: number): void {
    const x = this.#heap[a]!;
    this.#heap[a] = this.#heap[b]!;
    this.#heap[b] = x;
  }
}
