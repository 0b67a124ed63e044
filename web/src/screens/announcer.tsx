import { useEffect, useRef } from "react";
import type { Conversation } from "@/state/conversation";
import { announce, announceLoss, announceReturn, announcement } from "@/state/notices";
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

/** Says what happens to the conversation that is shown. */
export function useAnnouncements(conversation: Conversation): void {
  const { status, ending } = usePart(conversation.store, (view) => {
    const last = view.messages.at(-1);
    const ended = last?.role === "assistant" ? last.metadata?.status : undefined;
    return { status: view.status, ending: ended };
  });
  const { phase, runId } = useConnection(conversation.id);
  const isAccepted = runId !== undefined;
  const before = useRef({ status, lost: false });
  useEffect(() => {
    const was = before.current;
    const lost = phase === "reconnecting" || phase === "offline";
    if (lost && isAccepted) announceLoss(words.connectionLost);
    else if (phase === "live") announceReturn(words.connectionBack);
    if (lost || was.lost) return; // one sentence at a time
    else if (status === "streaming" && was.status === "submitted") announce(words.answering);
    else if (was.status === "streaming" && status === "ready") {
      if (ending === "stopped") announce(words.answerStopped);
      else announce(ending === "failed" ? words.answerFailed : words.answered);
    }
    before.current = { status, lost };
  }, [status, phase, ending, isAccepted]);
}
