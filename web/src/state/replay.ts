/** A replay that is hidden until it has caught up with the text on the screen. */

/** A step that restarts behind the goal never has the same text: then a timeout decides. */
const MAX_WAIT_MS = 500;

export class Replay {
  #reachedAt: number | null = null;

  /**
   * @param cursor - the snapshot's position in the log.
   * @param text - the text of its answer.
   */
  constructor(
    private readonly cursor: string,
    private readonly text: string,
  ) {}

  /**
   * Whether it can be shown.
   *
   * @param cursor - the transport's position. It alone is not enough: it is ahead of the messages.
   * @param text - the text of the answer in the messages.
   * @param now - milliseconds since the epoch.
   */
  hasCaughtUp(cursor: string | undefined, text: string, now: number): boolean {
    if (cursor === undefined || cursor < this.cursor) return false;
    this.#reachedAt ??= now;
    return text.startsWith(this.text) || now - this.#reachedAt > MAX_WAIT_MS;
  }
}
