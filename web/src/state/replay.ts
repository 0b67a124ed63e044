/** A replay that is not shown before it says what stands on the screen already. */

/** A step that is written again behind the goal never says the same: then time decides. */
const PATIENCE_MS = 500;

export class Replay {
  #reachedAt: number | null = null;

  /**
   * @param cursor - where the snapshot stood in the log.
   * @param said - what its answer had said.
   */
  constructor(
    private readonly cursor: string,
    private readonly said: string,
  ) {}

  /**
   * Whether it can be shown.
   *
   * @param cursor - where the transport is. That is ahead of the messages: it alone tells nothing.
   * @param said - what the answer in the messages says.
   * @param now - milliseconds since the epoch.
   */
  hasCaughtUp(cursor: string | undefined, said: string, now: number): boolean {
    if (cursor === undefined || cursor < this.cursor) return false;
    this.#reachedAt ??= now;
    return said.startsWith(this.said) || now - this.#reachedAt > PATIENCE_MS;
  }
}
