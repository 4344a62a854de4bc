/** The rules of {@link ByteStream} (core/ports.ts), row by row, for each kind and with each end in each part. */
import assert from "node:assert/strict";
import type { ByteStream } from "../../agent/core/ports.ts";
import { writeAll } from "../../agent/core/write_all.ts";
import { STREAM_KINDS, type StreamKind } from "./byte_streams.ts";

type Row = (near: ByteStream, far: ByteStream, kind: StreamKind) => Promise<void>;

const MB = 1 << 20;

/** Bytes that tell where they belong. */
function pattern(length: number, from = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = ((from + i) * 2654435761 >>> 13) & 0xff;
  return bytes;
}

/** Reads to the end; checks that it is `length` bytes of the pattern. */
async function readPattern(stream: ByteStream, length: number): Promise<void> {
  const into = new Uint8Array(48 * 1024);
  let got = 0;
  for (;;) {
    const n = await stream.read(into);
    if (n === null) break;
    assert.ok(n > 0);
    assert.deepEqual(into.subarray(0, n), pattern(n, got));
    got += n;
  }
  assert.equal(got, length);
}

async function readExactly(stream: ByteStream, length: number): Promise<Uint8Array> {
  const all = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const n = await stream.read(all.subarray(at));
    assert.ok(n !== null, `it ended after ${at} of ${length} bytes`);
    at += n;
  }
  return all;
}

/** A failure as the engine takes it: it is the peer's or the network's, not a mistake of the agent's. */
async function rejects(promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof Error && !(error instanceof TypeError));
}

/** Time enough for bytes on the way, in round trips of another pair. */
async function passTime(kind: StreamKind): Promise<void> {
  const { near, far } = await kind.pair();
  const byte = new Uint8Array(1);
  for (let i = 0; i < 200; i++) {
    await near.write(byte);
    await far.read(byte);
    await far.write(byte);
    await near.read(byte);
  }
  near.close();
  far.close();
}

/** Writes until the stream takes no more, or `most` bytes; `done` settles as the last write does. */
async function fill(kind: StreamKind, stream: ByteStream, most: number): Promise<{ done: Promise<void> }> {
  let written = 0;
  const done = (async () => {
    for (let from = 0; from < most; from += 64 * 1024) {
      await writeAll(stream, pattern(64 * 1024, from));
      written = from;
    }
  })();
  // A rejection is the caller's to see.
  done.catch(() => {});
  for (let before = -1; before !== written;) {
    before = written;
    await passTime(kind);
  }
  return { done };
}

const ROWS: Readonly<Record<string, Row>> = {
  "bytes come as they are, in order": async (near, far) => {
    const every = Uint8Array.from({ length: 256 }, (_, i) => i);
    await writeAll(near, every);
    assert.deepEqual(await readExactly(far, 256), every);
    await writeAll(far, every.subarray(7, 9));
    assert.deepEqual(await readExactly(near, 2), Uint8Array.of(7, 8));
  },
  "a small buffer takes a part, the next read the rest": async (near, far) => {
    await writeAll(near, pattern(10));
    const into = new Uint8Array(3);
    const got: number[] = [];
    for (const n of [3, 3, 3, 1]) {
      assert.equal(await far.read(into), n);
      got.push(...into.subarray(0, n));
    }
    assert.deepEqual(Uint8Array.from(got), pattern(10));
  },
  "only as much of the buffer is touched as is told": async (near, far) => {
    await writeAll(near, Uint8Array.of(1, 2));
    const into = new Uint8Array(8).fill(9);
    assert.equal(await far.read(into.subarray(2)), 2);
    assert.deepEqual([...into], [9, 9, 1, 2, 9, 9, 9, 9]);
  },
  "nothing is read into nothing and written of nothing": async (near, far) => {
    assert.equal(await near.read(new Uint8Array(0)), 0);
    assert.equal(await near.write(new Uint8Array(0)), 0);
    await writeAll(near, Uint8Array.of(5));
    assert.deepEqual(await readExactly(far, 1), Uint8Array.of(5));
  },
  "a read waits for bytes": async (near, far) => {
    const reading = readExactly(near, 1);
    await writeAll(far, Uint8Array.of(3));
    assert.deepEqual(await reading, Uint8Array.of(3));
  },
  "the end is null for ever": async (near, far) => {
    await writeAll(near, Uint8Array.of(1));
    await near.closeWrite();
    const into = new Uint8Array(4);
    assert.equal(await far.read(into), 1);
    for (let i = 0; i < 3; i++) assert.equal(await far.read(into), null);
  },
  "an end that comes while a read waits is its null": async (near, far) => {
    const reading = near.read(new Uint8Array(1));
    await far.closeWrite();
    assert.equal(await reading, null);
  },
  "half-closed, the other half goes on": async (near, far) => {
    await near.closeWrite();
    assert.equal(await far.read(new Uint8Array(1)), null);
    const writing = writeAll(far, pattern(MB)).then(() => far.closeWrite());
    await readPattern(near, MB);
    await writing;
    assert.equal(await near.read(new Uint8Array(1)), null);
  },
  "half-closed while the peer is still writing": async (near, far) => {
    const writing = writeAll(far, pattern(4 * MB)).then(() => far.closeWrite());
    await readExactly(near, 1);
    await near.closeWrite();
    assert.equal(await far.read(new Uint8Array(1)), null);
    const rest = await readExactly(near, 4 * MB - 1);
    assert.deepEqual(rest, pattern(4 * MB).subarray(1));
    await writing;
    assert.equal(await near.read(new Uint8Array(1)), null);
  },
  "closeWrite comes after what was written, twice is once, then no write goes": async (near, far) => {
    const writing = writeAll(near, pattern(2 * MB)).then(() =>
      Promise.all([near.closeWrite(), near.closeWrite()])
    );
    await readPattern(far, 2 * MB);
    await writing;
    await near.closeWrite();
    await rejects(near.write(Uint8Array.of(1)));
    // The other half is none the worse.
    await writeAll(far, Uint8Array.of(4));
    assert.deepEqual(await readExactly(near, 1), Uint8Array.of(4));
  },
  "a big write goes out whole, and its buffer is free then": async (near, far) => {
    const bytes = pattern(16 * MB);
    const writing = (async () => {
      for (let at = 0; at < bytes.length;) {
        const n = await near.write(bytes.subarray(at));
        assert.ok(n > 0);
        bytes.fill(0, at, at + n);
        at += n;
      }
      await near.closeWrite();
    })();
    await readPattern(far, 16 * MB);
    await writing;
  },
  "both ways at once": async (near, far) => {
    const all = [near, far].flatMap((stream) => [
      writeAll(stream, pattern(4 * MB)).then(() => stream.closeWrite()),
      readPattern(stream, 4 * MB),
    ]);
    await Promise.all(all);
  },
  "reads that overlap are served in order": async (near, far) => {
    const buffers = [new Uint8Array(1), new Uint8Array(1), new Uint8Array(1)];
    const reading = buffers.map((into) => near.read(into));
    await writeAll(far, Uint8Array.of(1, 2));
    assert.deepEqual(await Promise.all(reading.slice(0, 2)), [1, 1]);
    await far.closeWrite();
    assert.equal(await reading[2], null);
    assert.deepEqual(buffers.map(([byte]) => byte), [1, 2, 0]);
  },
  "nobody reading holds the writer back": async (near, far, kind) => {
    const { done } = await fill(kind, near, 64 * MB);
    let over = false;
    done.then(() => over = true);
    await passTime(kind);
    assert.equal(over, false);
    const reading = readPattern(far, 64 * MB);
    await done;
    await near.closeWrite();
    await reading;
  },
  "close ends a read that waits": async (near) => {
    const reading = near.read(new Uint8Array(1));
    near.close();
    await rejects(reading);
  },
  "close ends every read that waits": async (near) => {
    const reading = [near.read(new Uint8Array(1)), near.read(new Uint8Array(1))];
    near.close();
    await Promise.all(reading.map(rejects));
  },
  "close ends a write that waits": async (near, _far, kind) => {
    const { done } = await fill(kind, near, 64 * MB);
    near.close();
    await rejects(done);
  },
  "closed, nothing goes any more, and close is nothing": async (near) => {
    near.close();
    near.close();
    await rejects(near.read(new Uint8Array(1)));
    await rejects(near.write(new Uint8Array(1)));
    await rejects(near.closeWrite());
    near.close();
  },
  "close is the end for the peer": async (near, far) => {
    await writeAll(near, Uint8Array.of(1));
    await readExactly(far, 1);
    near.close();
    const into = new Uint8Array(1);
    assert.equal(await far.read(into), null);
    assert.equal(await far.read(into), null);
  },
  "what was written before close arrives": async (near, far) => {
    await writeAll(near, pattern(100_000));
    near.close();
    await readPattern(far, 100_000);
  },
  "a peer that closes with bytes unread: reads end, writes fail": async (near, far, kind) => {
    await fill(kind, near, 64 * MB);
    far.close();
    const into = new Uint8Array(1);
    await near.read(into).then((n) => assert.equal(n, null), (error) => assert.ok(error instanceof Error));
    await rejects((async () => {
      for (let i = 0; i < 64; i++) await writeAll(near, new Uint8Array(MB));
    })());
    // It stays so.
    await near.read(into).then((n) => assert.equal(n, null), (error) => assert.ok(error instanceof Error));
    await rejects(near.write(into));
  },
};

for (const [name, open] of Object.entries(STREAM_KINDS)) {
  Deno.test(`byte stream, ${name}`, async (t) => {
    await using kind = await open();
    for (const [rule, row] of Object.entries(ROWS)) {
      for (const turned of [false, true]) {
        await t.step(`${rule}${turned ? " (accepted end)" : ""}`, async () => {
          const { near, far } = await kind.pair();
          try {
            await (turned ? row(far, near, kind) : row(near, far, kind));
          } finally {
            near.close();
            far.close();
          }
        });
      }
    }
    await t.step("connections leave no descriptor behind", async () => {
      const count = () => Deno.build.os === "linux" ? [...Deno.readDirSync("/proc/self/fd")].length : 0;
      const cycle = async () => {
        const { near, far } = await kind.pair();
        near.close();
        await far.read(new Uint8Array(1)).catch(() => null);
        far.close();
      };
      await cycle();
      const before = count();
      for (let i = 0; i < 50; i++) await cycle();
      await passTime(kind);
      assert.ok(count() <= before + 3, `${before} descriptors before, ${count()} after`);
    });
  });
}
