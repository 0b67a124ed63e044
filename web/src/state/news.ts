/** What happened to the run that is followed: which notice is shown, and for how long. */
import type { RunNotice } from "./model";
import type { ConversationView } from "./view";

type Shown = Pick<ConversationView, "notice" | "retryAt">;

/**
 * Whether a notice is for those who watch: a takeover, a failure, or another way to go on. Others are
 * for the worker that goes on with the answer.
 */
export function isForPeople({ event, rung }: RunNotice): boolean {
  return event === "takeover" || event === "retry" || rung !== undefined;
}

/**
 * What is to be said after another notice. A way to go on that was refused leaves the takeover or
 * the failure that it followed; only the way is another one.
 */
export function latest(before: RunNotice | null, notice: RunNotice): RunNotice {
  const { event, rung, repeated } = notice;
  if (event === "takeover" || event === "retry") return notice;
  return { ...(before ?? { event: "rung" }), rung, repeated };
}

export class News {
  #saidBefore = "";

  /**
   * @param shown - the notice that is shown.
   * @param notice - the new one.
   * @param said - what the answer says now.
   * @param now - milliseconds since the epoch; null in a replay, which does not tell when it was.
   */
  hear(shown: RunNotice | null, notice: RunNotice, said: string, now: number | null): Partial<Shown> {
    if (!isForPeople(notice)) return {};
    this.#saidBefore = said;
    const wait = notice.event === "retry" ? notice.delay : undefined;
    const retryAt = now === null || wait === undefined ? null : now + wait * 1000;
    return { notice: latest(shown, notice), retryAt };
  }

  /**
   * The notice that is still to be shown. A failed attempt is past when the next one says something:
   * one that begins anew says nothing at first.
   */
  after(notice: RunNotice | null, said: string): RunNotice | null {
    const isPassing = notice?.event === "retry" || notice?.event === "rung";
    return isPassing && said !== "" && said !== this.#saidBefore ? null : notice;
  }
}
