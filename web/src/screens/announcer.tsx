import { useEffect, useRef } from "react";
import type { Conversation } from "@/state/conversation";
import { announce, announcement, page } from "@/state/notices";
import { words } from "@/words";
import { useAll, useConnection, usePart } from "./hooks";

/** The one live region of the page: states and endings, never a stream of tokens. */
export function Announcer() {
  const { text, count } = useAll(announcement);
  return (
    <div role="status" aria-live="polite" className="sr-only" data-testid="announcer">
      {/* The same words again are read again when the element is another one. */}
      <span key={count}>{text}</span>
    </div>
  );
}

/** Announces the states of the shown conversation, and each lost connection once. */
export function useAnnouncements(conversation: Conversation): void {
  const { status, ending, isCut } = usePart(conversation.store, (view) => {
    const last = view.messages.at(-1);
    const ended = last?.role === "assistant" ? last.metadata?.status : undefined;
    return { status: view.status, ending: ended, isCut: view.cut !== null };
  });
  const loss = useLoss(conversation.id);
  const before = useRef({ status, loss, isCut });
  useEffect(() => {
    const was = before.current;
    before.current = { status, loss, isCut };
    if (loss !== null) {
      if (was.loss === null) announce(loss);
    } else if (was.loss !== null) announce(words.connectionBack);
    else if (isCut && !was.isCut) announce(words.answerBegunAgain);
    else if (status === "streaming" && was.status === "submitted") announce(words.answering);
    else if (was.status === "streaming" && status === "ready") {
      if (ending === "stopped") announce(words.answerStopped);
      else announce(ending === "failed" ? words.answerFailed : words.answered);
    }
  }, [status, loss, ending, isCut]);
}

/** A sentence about the lost connection; null when there is none. */
function useLoss(chat: string): string | null {
  const { offline, feed } = usePart(page, (state) => ({ offline: state.offline, feed: state.feed }));
  const { phase, runId } = useConnection(chat);
  const isCut = phase === "reconnecting" || phase === "offline";
  if (isCut && runId !== undefined) return words.connectionLost;
  if (offline) return words.offlineBanner;
  return feed === "down" ? words.feedDown : null;
}
