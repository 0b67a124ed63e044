import { type RefObject, useEffect } from "react";
import { conversationOf, send } from "@/state/app";
import type { Conversation } from "@/state/conversation";
import { announce } from "@/state/notices";
import { outbox } from "@/state/outbox";
import { go } from "@/state/router";
import { Button } from "@/ui/button";
import { whenIdle } from "@/ui/when-idle";
import { words } from "@/words";
import { useAnnouncements } from "./announcer";
import { Composer, type ComposerHandle } from "./composer";
import { Empty } from "./empty";
import { usePart } from "./hooks";
import { ProblemScreen } from "./problem";
import { loadMarkdown } from "./thread/lazy-markdown";
import { Thread } from "./thread/thread";

export interface ChatProps {
  id: string;
  /** The chat does not exist yet: it begins with its first message. */
  isNew: boolean;
  composer: RefObject<ComposerHandle | null>;
  onStop: () => void;
}

export function Chat({ id, isNew, composer, onStop }: ChatProps) {
  const conversation = conversationOf(id, { isNew });
  const { loading, status, stopping, problem, isEmpty } = usePart(conversation.store, (view) => ({
    loading: view.loading,
    status: view.status,
    stopping: view.stopping,
    problem: view.problem,
    isEmpty: view.messages.length === 0,
  }));
  const waiting = usePart(outbox, (items) => items.some((item) => item.chat === id));
  useAnnouncements(conversation);
  useEffect(() => {
    conversation.enter();
    return () => conversation.leave();
  }, [conversation]);
  useEffect(() => whenIdle(() => void loadMarkdown()), []);
  const onSend = (text: string): boolean => {
    if (!send(id, text)) return false;
    announce(words.sent);
    if (matchMedia("(pointer: fine)").matches) composer.current?.focus();
    return true;
  };
  if (loading === "missing") {
    return (
      <ProblemScreen title={words.missingTitle} text={words.missingText}>
        <Button variant="solid" onClick={() => go(null)}>
          {words.newChat}
        </Button>
      </ProblemScreen>
    );
  }
  const busy = status === "submitted" || status === "streaming";
  const empty = loading === "ready" && isEmpty && !waiting;
  return (
    <div
      className="flex min-h-0 flex-1 flex-col"
      data-testid="chat"
      data-chat={id}
      data-loading={loading}
      data-status={status}
    >
      {loading === "loading" && !waiting ? (
        <Loading conversation={conversation} problem={problem?.message ?? null} />
      ) : empty ? (
        <Empty onPick={onSend} />
      ) : (
        <Thread conversation={conversation} onEdit={(text) => composer.current?.insert(text)} />
      )}
      <Composer
        ref={composer}
        chat={isNew ? null : id}
        busy={busy}
        stopping={stopping}
        onSend={onSend}
        onStop={onStop}
      />
    </div>
  );
}

function Loading({ conversation, problem }: { conversation: Conversation; problem: string | null }) {
  if (problem !== null) {
    return (
      <ProblemScreen title={words.unreachable} text={problem}>
        <Button variant="solid" onClick={() => void conversation.load()}>
          {words.tryNow}
        </Button>
      </ProblemScreen>
    );
  }
  return (
    <div aria-busy className="mx-auto w-full max-w-184 flex-1 px-4 pt-8 md:px-8" data-testid="loading">
      <span className="sr-only">{words.loadingChat}</span>
      <div className="skeleton ml-auto h-11 w-2/5 rounded-2xl" />
      <div className="skeleton mt-10 h-4 w-4/5 rounded" />
      <div className="skeleton mt-3 h-4 w-full rounded" />
      <div className="skeleton mt-3 h-4 w-3/5 rounded" />
    </div>
  );
}
