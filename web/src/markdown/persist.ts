const FIRST_MS = 2_000;
const LAST_MS = 60_000;

/**
 * Retries an operation that may fail temporarily (a lost network, a deploy): with backoff up to one
 * minute, and at once when the browser is online again.
 */
export async function persist<Result>(task: () => Promise<Result>): Promise<Result> {
  for (let wait = FIRST_MS; ; wait = Math.min(wait * 2, LAST_MS)) {
    try {
      return await task();
    } catch {
      await onlineOrAfter(wait);
    }
  }
}

function onlineOrAfter(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
  });
}
