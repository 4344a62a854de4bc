/**
 * A fixed-bucket histogram over one Float64Array: an observation is a short search and two additions, and the text is
 * made at scrape time.
 */

/** Upper bounds in ms, as fine around one hop as around a slow upstream. */
export const DURATION_BUCKETS_MS: readonly number[] = [
  0.5,
  1,
  2.5,
  5,
  10,
  25,
  50,
  100,
  250,
  500,
  1000,
  2500,
  5000,
  10_000,
  30_000,
  60_000,
];

export interface Histogram {
  observe(value: number): void;
  readonly count: number;
  readonly sum: number;
  /** Prometheus text lines `name_bucket`, `name_sum`, `name_count`; `labels` is empty or `a="b",`. */
  expose(name: string, labels: string): string;
}

/** `bounds` ascending. A value on a bound belongs to it (`le`); NaN is left out. */
export function createHistogram(bounds: readonly number[] = DURATION_BUCKETS_MS): Histogram {
  const limits = Float64Array.from(bounds);
  const last = limits.length;
  const buckets = new Float64Array(last + 1);
  let sum = 0;
  return {
    observe(value) {
      if (value !== value) return;
      let low = 0;
      let high = last;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (value <= (limits[middle] as number)) high = middle;
        else low = middle + 1;
      }
      buckets[low] = (buckets[low] as number) + 1;
      sum += value;
    },
    get count() {
      let count = 0;
      for (const n of buckets) count += n;
      return count;
    },
    get sum() {
      return sum;
    },
    expose(name, labels) {
      let text = "";
      let running = 0;
      for (let i = 0; i <= last; i++) {
        running += buckets[i] as number;
        text += `${name}_bucket{${labels}le="${i === last ? "+Inf" : limits[i]}"} ${running}\n`;
      }
      const set = labels === "" ? "" : `{${labels.slice(0, -1)}}`;
      return `${text}${name}_sum${set} ${sum}\n${name}_count${set} ${running}\n`;
    },
  };
}
