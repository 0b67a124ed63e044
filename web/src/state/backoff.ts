/** The backoff before a retry. It ends at once when the network is back or the page visible. */
const FIRST_MS = 400;
const LONGEST_MS = 15_000;

/**
 * @param attempt - the number of failed attempts, from 1.
 * @param least - the minimum that the server asked for, in milliseconds.
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
