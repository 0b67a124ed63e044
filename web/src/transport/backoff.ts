/** How long to wait between attempts. */

export interface Backoff {
  /** The longest pause after the first failure, in milliseconds. */
  readonly minMs: number;
  /** The longest pause at all, in milliseconds, unless the server asks for more. */
  readonly maxMs: number;
  /** By what it grows with each failure. */
  readonly factor: number;
}

export const DEFAULT_BACKOFF: Backoff = { minMs: 250, maxMs: 15_000, factor: 2 };

/** What a server may ask for at the most: a timer takes no more than 2^31 milliseconds. */
const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1000;

/**
 * The pause after some failures in a row: exponential with full jitter, so that the clients of a
 * server that went away do not come back all at once.
 *
 * @param failures 1 after the first one.
 * @param floorMs what the server asked for at least (`retry:` of its stream). The jitter comes on
 *   top: clients that wait equally long would come back together.
 * @param random a number from 0 up to 1.
 */
export function pauseMs(
  backoff: Backoff,
  failures: number,
  floorMs: number,
  random: () => number,
): number {
  const { minMs, maxMs, factor } = backoff;
  const grown = minMs * factor ** Math.min(failures - 1, 64);
  const spread = Math.max(minMs, Math.min(grown, maxMs - floorMs));
  return Math.round(floorMs + random() * spread);
}

/**
 * Reads a `Retry-After` header (RFC 9110, section 10.2.3): seconds or a date.
 *
 * @param nowMs the time, for dates.
 * @returns milliseconds, or undefined when there is none that can be read.
 */
export function retryAfterMs(header: string | null, nowMs: number): number | undefined {
  const text = (header ?? "").trim();
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}
