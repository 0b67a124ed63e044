import { ArrowDown } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import type { Conversation } from "@/state/conversation";
import type { Message } from "@/state/model";
import { outbox } from "@/state/outbox";
import { go } from "@/state/router";
import { Button } from "@/ui/button";
import { words } from "@/words";
import { useAll, useConnection, usePart } from "../hooks";
import { Answer, Dots } from "./answer";
import { Question, Waiting } from "./question";
import { RunLine } from "./run-state";
import { useScroll } from "./scroll";
import { earlier, fit, later, newest, type Window } from "./window";

export interface ThreadProps {
  conversation: Conversation;
  /** Put a text back into the message box. */
  onEdit: (text: string) => void;
}

export function Thread({ conversation, onEdit }: ThreadProps) {
  const view = useAll(conversation.store);
  const items = useAll(outbox);
  const { messages, versions, status, cut } = view;
  const busy = status === "submitted" || status === "streaming";
  const shownIds = useMemo(() => new Set(messages.map((message) => message.id)), [messages]);
  const own = items.filter((item) => item.chat === conversation.id);
  const waiting = own.filter((item) => !shownIds.has(item.id));
  const scroll = useScroll();
  const [frame, setFrame] = useState(() => ({ total: messages.length, window: newest(messages.length) }));
  let { window } = frame;
  if (frame.total !== messages.length) {
    window = fit(frame.window, frame.total, messages.length);
    setFrame({ total: messages.length, window });
  }
  const move = (change: (window: Window, total: number) => Window): void => {
    scroll.keepInPlace(() => setFrame(({ total, window: old }) => ({ total, window: change(old, total) })));
  };
  const last = messages.at(-1);
  const lastQuestion = useLastOwn(messages, waiting.at(-1)?.id);
  useEffect(() => {
    if (lastQuestion) scroll.jump();
  }, [lastQuestion, scroll.jump]);

  return (
    <div className="relative min-h-0 flex-1">
      <div ref={scroll.viewport} className="h-full overflow-y-auto overscroll-contain" data-testid="scroller">
        <div
          ref={scroll.content}
          role="log"
          aria-label={words.conversation}
          aria-live="off"
          tabIndex={0}
          className="mx-auto flex w-full max-w-184 flex-col gap-4 px-4 pt-6 pb-8 outline-none focus-visible:ring-2 focus-visible:ring-ring focus-visible:ring-inset md:px-8"
        >
          {window.from > 0 && (
            <More key={window.from} label={words.earlier(window.from)} onSeen={() => move(earlier)} />
          )}
          {messages.slice(window.from, window.to).map((message) => {
            const place = versions.placeOf(message.id);
            return message.role === "user" ? (
              <Question
                key={message.id}
                conversation={conversation}
                message={message}
                idle={!busy}
                place={place}
                sending={own.some((item) => item.id === message.id)}
              />
            ) : (
              <Answer
                key={message.id}
                conversation={conversation}
                message={message}
                live={busy && message === last}
                last={message === last}
                idle={!busy}
                place={place}
                cut={message === last ? cut : null}
              />
            );
          })}
          {window.to < messages.length && (
            <More
              key={window.to}
              label={words.later(messages.length - window.to)}
              onSeen={() => move(later)}
            />
          )}
          {busy && last?.role === "user" && <Awaited conversation={conversation} />}
          {waiting.map((item) => (
            <Waiting key={item.id} item={item} onEdit={onEdit} />
          ))}
          <Aftermath conversation={conversation} />
        </div>
      </div>
      {(scroll.away || window.to < messages.length) && (
        <Button
          variant="outline"
          size="sm"
          round
          className="rise absolute bottom-3 left-1/2 z-10 -translate-x-1/2 shadow-md"
          onClick={() => {
            setFrame({ total: messages.length, window: newest(messages.length) });
            scroll.jump();
            requestAnimationFrame(scroll.jump);
          }}
        >
          <ArrowDown aria-hidden />
          {words.jump}
        </Button>
      )}
    </div>
  );
}

/** Before the answer's first chunk. */
function Awaited({ conversation }: { conversation: Conversation }) {
  const { phase, runId } = useConnection(conversation.id);
  const isWaiting = phase === "offline" || phase === "reconnecting";
  if (isWaiting && runId === undefined) return null; // the message is not sent yet, and shows that
  return (
    <article aria-label={words.assistant} aria-busy className="relative" data-testid="awaited">
      <span
        aria-hidden
        className="thread-line"
        data-waiting={isWaiting || undefined}
      />
      <Dots />
      <RunLine conversation={conversation} />
    </article>
  );
}

/** The notices below the last message. */
function Aftermath({ conversation }: { conversation: Conversation }) {
  const { problem, elsewhere, loading } = usePart(conversation.store, (view) => ({
    problem: view.problem,
    elsewhere: view.elsewhere,
    loading: view.loading,
  }));
  const { skipped } = useConnection(conversation.id);
  return (
    <>
      {skipped > 0 && (
        <p className="text-[13px] text-warn" data-testid="skipped">
          {words.skipped}{" "}
          <button type="button" className="underline underline-offset-4" onClick={() => location.reload()}>
            {words.reload}
          </button>
        </p>
      )}
      {elsewhere !== null && (
        <p className="flex items-center gap-3 text-[13px] text-muted-foreground" data-testid="elsewhere">
          {words.elsewhere}
          <Button
            size="sm"
            variant="outline"
            onClick={() => {
              go(conversation.id, { replace: true });
              void conversation.load(elsewhere);
            }}
          >
            {words.showIt}
          </Button>
        </p>
      )}
      {problem !== null && loading === "ready" && (
        <p
          role="alert"
          className="flex flex-wrap items-center gap-x-3 gap-y-1 text-sm text-destructive"
          data-testid="problem"
        >
          {problem.message}
          <Button
            size="sm"
            variant="outline"
            className="text-foreground"
            onClick={() => {
              conversation.dismissProblem();
              void conversation.load();
            }}
          >
            {words.tryAgain}
          </Button>
        </p>
      )}
    </>
  );
}

/** Mounts more messages when it comes near. */
function More({ label, onSeen }: { label: string; onSeen: () => void }) {
  const button = useRef<HTMLButtonElement>(null);
  const seen = useRef(onSeen);
  seen.current = onSeen;
  useEffect(() => {
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) seen.current();
      },
      { root: button.current?.closest("[data-testid=scroller]") ?? null, rootMargin: "500px 0px" },
    );
    if (button.current) observer.observe(button.current);
    return () => observer.disconnect();
  }, []);
  return (
    <button
      ref={button}
      type="button"
      onClick={onSeen}
      className="mx-auto rounded-md px-2 py-1 text-[13px] text-muted-foreground outline-none focus-visible:ring-2 focus-visible:ring-ring"
    >
      {label}
    </button>
  );
}

/** The id of the newest message written on this page; it changes with each send. */
function useLastOwn(messages: readonly Message[], waiting: string | undefined): string | undefined {
  const first = useRef(messages.findLast((message) => message.role === "user")?.id);
  const newestQuestion = waiting ?? messages.findLast((message) => message.role === "user")?.id;
  return newestQuestion === first.current ? undefined : newestQuestion;
}
