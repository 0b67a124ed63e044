/** What an application can show of a stream's connection. */

/**
 * - `idle`: nothing is followed
 * - `connecting`: the first attempt runs
 * - `live`: connected
 * - `reconnecting`: the connection was lost, or never came about; the next attempt runs or waits
 * - `offline`: the same, and the browser says that there is no network
 * - `paused`: let go because the page is hidden; picked up when it is seen
 * - `ended`: the stream is over; with `error` if it could not be followed to its end
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
  /** The run that is followed, known once the server has accepted. */
  readonly runId?: string | undefined;
  /** The id of the last event delivered. */
  readonly cursor?: string | undefined;
  /** Failed attempts in a row, 0 while all is well. */
  readonly attempt: number;
  /** The length of the pause before the next attempt, in milliseconds; absent while one runs. */
  readonly delayMs?: number | undefined;
  /** When the next attempt begins, in milliseconds since the epoch; absent while one runs. */
  readonly retryAt?: number | undefined;
  /** How often the stream was picked up again after a loss. */
  readonly resumes: number;
  /** Events that were left out because this version of the AI SDK has no such chunk. */
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
