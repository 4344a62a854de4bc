/**
 * Where exchanges between two sides of HTTP/2 go on without promises. The end of a read: all that it brought is told, whoever waits for
 * an answer among it goes on. The end of a turn: all of its reads are told. Then links write what was said to them, each in one write, and
 * what nobody waits for is done behind the writes.
 */

/** Waits for something that is being read. */
export interface Waiter {
  goOn(): void;
}

/** Something that writes. */
export interface Writer {
  writeNow(): void;
}

const waiters: Waiter[] = [];
const writers: Writer[] = [];
const afterwards: (() => void)[] = [];
let ending = false;

function endSoon(): void {
  if (ending) return;
  ending = true;
  // Reads that are over in this turn stand in line before it.
  queueMicrotask(end);
}

function end(): void {
  ending = false;
  each(writers, (writer) => writer.writeNow());
  each(afterwards, (task) => task());
}

/** All of them, and those that come meanwhile, once, whatever one of them throws: others have no part in it. */
function each<T>(list: T[], take: (one: T) => void): void {
  for (let i = 0; i < list.length; i++) {
    try {
      take(list[i]!);
    } catch (error) {
      // Heard by who hears of rejections that nobody handles.
      Promise.reject(error);
    }
  }
  list.length = 0;
}

/** It writes at the end of this turn. */
export function writeAtEnd(writer: Writer): void {
  writers.push(writer);
  endSoon();
}

/** Done when what was said in this turn is on its way. */
export function afterTurn(task: () => void): void {
  afterwards.push(task);
  endSoon();
}

/** It goes on when all is told that came with the same read. */
export function whenTold(waiter: Waiter): void {
  waiters.push(waiter);
}

/** All is told. */
export function toldAll(): void {
  each(waiters, (waiter) => waiter.goOn());
}
