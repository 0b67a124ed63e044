/** Why the server refused a message, in words that are still true when they are read later. */
import type { TransportError } from "@/transport/index";
import { words } from "@/words";

const DAY = 24 * 3600 * 1000;

/**
 * @param now the time, in milliseconds since the epoch.
 * @param locale of the time; by default the browser's.
 */
export function whyRefused(error: TransportError, now = Date.now(), locale?: string): string {
  if (error.kind !== "limited" || error.retryAfterMs === undefined) return error.message;
  const at = new Date(now + error.retryAfterMs);
  const day: Intl.DateTimeFormatOptions = error.retryAfterMs < DAY / 2 ? {} : { weekday: "long" };
  return words.limited(at.toLocaleString(locale, { hour: "2-digit", minute: "2-digit", ...day }));
}
