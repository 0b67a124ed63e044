/** The notices of the followed run: which one is shown, and for how long. */
import type { RunNotice } from "./model";
import type { ConversationView } from "./view";

type Shown = Pick<ConversationView, "notice" | "retryAt">;

/**
 * Whether a notice is for readers: a takeover, a failure, or another rung. Others are for the worker
 * that continues the answer.
 */
export function isForPeople({ event, rung }: RunNotice): boolean {
  return event === "takeover" || event === "retry" || rung !== undefined;
}

/**
 * The notice to show after another one. A refused rung keeps the takeover or the failure before it;
 * only the rung changes.
 */
export function latest(before: RunNotice | null, notice: RunNotice): RunNotice {
  const { event, rung, repeated } = notice;
  if (event === "takeover" || event === "retry") return notice;
  return { ...(before ?? { event: "rung" }), rung, repeated };
}

export class News {
  #textBefore = "";

  /**
   * @param shown - the notice that is shown.
   * @param notice - the new one.
   * @param text - the answer's text now.
   * @param now - milliseconds since the epoch; null in a replay, which has no times.
   */
  add(shown: RunNotice | null, notice: RunNotice, text: string, now: number | null): Partial<Shown> {
    if (!isForPeople(notice)) return {};
    this.#textBefore = text;
    const wait = notice.event === "retry" ? notice.delay : undefined;
    const retryAt = now === null || wait === undefined ? null : now + wait * 1000;
    return { notice: latest(shown, notice), retryAt };
  }

  /**
   * The notice that is still to be shown. A failed attempt is over when the next one has text: a
   * restarted one has none at first.
   */
  after(notice: RunNotice | null, text: string): RunNotice | null {
    const isPassing = notice?.event === "retry" || notice?.event === "rung";
    return isPassing && text !== "" && text !== this.#textBefore ? null : notice;
  }
}
