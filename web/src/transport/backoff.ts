/** The backoff between attempts. */

export interface Backoff {
  /** The longest delay after the first failure, in milliseconds. */
  readonly minMs: number;
  /** The longest delay of all, in milliseconds, unless the server asks for more. */
  readonly maxMs: number;
  /** The delay grows by this factor with each failure. */
  readonly factor: number;
}

export const DEFAULT_BACKOFF: Backoff = { minMs: 250, maxMs: 15_000, factor: 2 };

/** The longest delay that a server may ask for: a timer takes at most 2^31 milliseconds. */
const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1000;

/**
 * The delay after a number of consecutive failures: exponential with full jitter, so that the
 * clients of a failed server do not all reconnect at once.
 *
 * @param failures 1 after the first one.
 * @param floorMs the minimum that the server asked for (`retry:` of its stream). The jitter is
 *   added to it: clients that wait equally long would reconnect together.
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
 * @returns milliseconds, or undefined when the header is missing or invalid.
 */
export function retryAfterMs(header: string | null, nowMs: number): number | undefined {
  const text = (header ?? "").trim();
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}
