import assert from "node:assert/strict";
import { EMPTY_PROGRAM } from "../model/model.ts";
import { createWorldHolder } from "./world.ts";

const of = (program = EMPTY_PROGRAM) => ({ program, diagnostics: [], stats: {} });

Deno.test("a world is replaced as a whole; the same program keeps its tables", () => {
  const world = createWorldHolder({ now: () => 7 });
  const told: [number, number][] = [];
  const stop = world.onPublish((now, before) => void told.push([now.revision, before.revision]));
  assert.equal(world.current.revision, 0);
  const program = { ...EMPTY_PROGRAM };
  const first = world.publish(of(program));
  assert.equal(world.current, first);
  assert.equal(first.publishedMs, 7);
  const second = world.publish(of(program));
  assert.notEqual(second, first);
  assert.equal(second.tables, first.tables);
  stop();
  world.publish(of());
  assert.deepEqual(told, [[1, 0], [2, 1]]);
});

Deno.test("what no table can be made of changes nothing", () => {
  const world = createWorldHolder({ now: () => 0 });
  const before = world.publish(of());
  const broken = { ...EMPTY_PROGRAM, routeConfigurations: undefined as never };
  assert.throws(() => world.publish(of(broken)));
  assert.equal(world.current, before);
});
