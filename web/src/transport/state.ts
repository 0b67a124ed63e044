/** The state of a stream's connection, for an application to show. */

/**
 * - `idle`: no run is followed
 * - `connecting`: the first attempt is in progress
 * - `live`: connected
 * - `reconnecting`: the connection failed; a retry is in progress or waits for its delay
 * - `offline`: the same, and the browser reports no network
 * - `paused`: disconnected because the page is hidden; resumes when it is visible
 * - `ended`: the stream is over; with `error` if it failed
 */
export type Phase =
  | "idle"
  | "connecting"
  | "live"
  | "reconnecting"
  | "offline"
  | "paused"
  | "ended";

export interface ConnectionState {
  readonly phase: Phase;
  /** The run that is followed; set once the server has accepted. */
  readonly runId?: string | undefined;
  /** The id of the last event delivered. */
  readonly cursor?: string | undefined;
  /** Consecutive failed attempts; 0 while connected. */
  readonly attempt: number;
  /** The delay before the next attempt, in milliseconds; absent during an attempt. */
  readonly delayMs?: number | undefined;
  /** When the next attempt begins, in milliseconds since the epoch; absent during an attempt. */
  readonly retryAt?: number | undefined;
  /** How often the stream was resumed after a lost connection. */
  readonly resumes: number;
  /** Events that were skipped because this version of the AI SDK has no such chunk. */
  readonly skipped: number;
  /** Why the last attempt failed, or why the stream ended. */
  readonly error?: Error | undefined;
}

export const IDLE: ConnectionState = Object.freeze({
  phase: "idle",
  attempt: 0,
  resumes: 0,
  skipped: 0,
});
