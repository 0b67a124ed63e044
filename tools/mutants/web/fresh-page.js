/** Runs before each test file in a thread that has run others: new modules, an empty page. */
import { afterAll, vi } from "vitest";

/** A wait for what a mutant prevents need not last as long as on a busy machine. */
const MAX_WAIT_MS = 1_500;

vi.resetModules();

const waitFor = vi.waitFor;
vi.waitFor = (check, { timeout = 1_000, ...options } = {}) =>
  waitFor(check, { ...options, timeout: Math.min(timeout, MAX_WAIT_MS) });

if (typeof document !== "undefined") {
  const undo = [];
  for (const target of [window, document]) {
    const add = target.addEventListener;
    target.addEventListener = (...listener) => {
      undo.push(() => target.removeEventListener(...listener));
      return add.apply(target, listener);
    };
    undo.push(() => (target.addEventListener = add));
  }
  afterAll(() => {
    for (const one of undo) one();
    document.head.innerHTML = document.body.innerHTML = document.documentElement.className = "";
    localStorage.clear();
    history.replaceState(null, "", "/");
  });
}
