const TURN_MS = 16;
const WORK_MS = 6;

let began = Number.NEGATIVE_INFINITY;
let used = 0;

/**
 * Runs a slice of work within the time budget per frame. One large block gets all of it; thirty that
 * appear together share it.
 */
export function inTurn<Result>(slice: (budget: number) => Result): Result {
  const start = performance.now();
  if (start - began > TURN_MS) {
    began = start;
    used = 0;
  }
  const result = slice(Math.max(0, WORK_MS - used));
  used += performance.now() - start;
  return result;
}
