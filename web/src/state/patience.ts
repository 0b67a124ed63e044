/** A pause before the next try: longer each time, over at once when the network or the reader is back. */
const FIRST_MS = 400;
const LONGEST_MS = 15_000;

/**
 * @param attempt - how many tries have failed, from 1.
 * @param least - milliseconds that the server asked to wait.
 */
export function pause(attempt: number, least = 0): Promise<void> {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1));
  const ms = Math.max(least, ceiling * (0.5 + Math.random() / 2));
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      removeEventListener("online", done);
      document.removeEventListener("visibilitychange", seen);
      resolve();
    };
    const seen = (): void => {
      if (document.visibilityState === "visible") done();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
    document.addEventListener("visibilitychange", seen);
  });
}
