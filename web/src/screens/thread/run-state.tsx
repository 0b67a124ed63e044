import clsx from "clsx";
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { transport } from "@/state/app";
import type { Conversation } from "@/state/conversation";
import type { RunNotice } from "@/state/model";
import type { ConversationView } from "@/state/view";
import type { ConnectionState } from "@/transport/index";
import { words } from "@/words";
import { useConnection, usePart } from "../hooks";

/** Shorter waits are not shown: they end before they are read. */
const SHORT_MS = 500;

/** The silence after which a wait is shown. */
const QUIET_MS = 4_000;

type Tone = "live" | "wait" | "quiet";

export interface RunState {
  /** For tests and styles: what the line means. */
  kind:
    | "none"
    | "reconnecting"
    | "offline"
    | "paused"
    | "stopping"
    | "retrying"
    | "begins-again"
    | "taken-over"
    | "going-on"
    | "waiting"
    | "resumed";
  tone: Tone;
  text: string;
  /** Whether text is awaited and none arrives. */
  awaits?: boolean;
}

const NONE: RunState = { kind: "none", tone: "quiet", text: "" };

type Shown = Pick<ConversationView, "stopping" | "notice" | "retryAt" | "found"> & {
  /** Whether the text of a cut attempt is shown. */
  isCut: boolean;
  /** Whether nothing has arrived for a while. */
  isQuiet: boolean;
};

/** The most important sentence about an answer that is being written. */
export function runStateOf(view: Shown, connection: ConnectionState, now: number): RunState {
  const { phase, resumes } = connection;
  if (phase === "offline") return { kind: "offline", tone: "wait", text: words.offlineAnswer };
  if (phase === "paused") return { kind: "paused", tone: "wait", text: words.pausedAnswer };
  if (phase === "reconnecting") return reconnecting(connection.retryAt, now);
  if (view.stopping) return { kind: "stopping", tone: "quiet", text: words.stopping };
  const { notice } = view;
  if (notice?.event === "retry") return retrying(notice, view, now);
  if (view.isCut) {
    const kind = notice?.event === "takeover" ? "taken-over" : "begins-again";
    return { kind, tone: "live", text: words.beginsAgain, awaits: true };
  }
  if (notice?.event === "takeover" || notice?.event === "rung") {
    const text = sentenceOf(notice);
    const kind = notice.event === "takeover" ? "taken-over" : "going-on";
    if (text !== null) return { kind, tone: "live", text, awaits: view.isQuiet };
  }
  if (view.isQuiet) return { kind: "waiting", tone: "quiet", text: words.waitingForModel, awaits: true };
  if (resumes > 0) return { kind: "resumed", tone: "live", text: words.resumed };
  if (view.found) return { kind: "resumed", tone: "live", text: words.found };
  return NONE;
}

function reconnecting(retryAt: number | undefined, now: number): RunState {
  const seconds = retryAt === undefined ? 0 : Math.ceil((retryAt - now) / 1000);
  const text = seconds > 1 ? words.reconnectingIn(seconds) : words.reconnecting;
  return { kind: "reconnecting", tone: "wait", text };
}

/** Why an attempt failed and when the next one begins; then its rung. */
function retrying(notice: RunNotice, { retryAt, isCut }: Shown, now: number): RunState {
  const attempt = words.attempt(notice.attempt ?? 2, notice.attempts ?? 2);
  const left = retryAt === null ? 0 : retryAt - now;
  const why = notice.reason ?? words.noAnswer;
  const what = isCut ? words.beginsAgain : notice.rung === "continue" ? words.askedToGoOn : why;
  const waits = left >= SHORT_MS && !isCut; // the text is cut when the next attempt begins
  const text = waits ? `${why} ${words.tryingAgainIn(Math.ceil(left / 1000))}` : what;
  return { kind: "retrying", tone: "wait", text: `${text} ${attempt}`, awaits: true };
}

/** The sentence for a rung. */
function sentenceOf({ event, rung, repeated = 0 }: RunNotice): string | null {
  if (rung === "continue") return words.askedToGoOn;
  if (rung === "restart" && repeated > 0) return words.begunAgain;
  return event === "takeover" ? words.continued : null;
}

const TONES: Record<Tone, string> = {
  live: "text-live",
  wait: "text-warn",
  quiet: "text-muted-foreground",
};

/** A small line below the answer: its run state, if relevant. */
export function RunLine({ conversation }: { conversation: Conversation }) {
  const view = usePart(conversation.store, ({ stopping, notice, retryAt, found, cut }) => ({
    stopping,
    notice,
    retryAt,
    found,
    isCut: cut !== null,
  }));
  const isQuiet = useQuiet(conversation);
  const connection = useConnection(conversation.id);
  const counting = connection.retryAt !== undefined || (view.notice?.event === "retry" && view.retryAt !== null);
  const now = useNow(counting);
  const state = runStateOf({ ...view, isQuiet }, connection, now);
  const line = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const box = line.current; // a shorter sentence keeps the height of the last: nothing moves
    if (box) box.style.minHeight = `${box.offsetHeight}px`;
  }, [state.text]);
  return (
    // Its place is kept while it is empty, and hidden content is not animated.
    <div
      ref={line}
      className={clsx("mt-2 flex min-h-6 items-center gap-2 text-[13px] leading-5", !state.text && "invisible")}
      data-testid="run-state"
      data-kind={state.kind}
    >
      {state.awaits && <span aria-hidden className="dot shrink-0" />}
      {state.text && <span className={clsx("rise", TONES[state.tone])}>{state.text}</span>}
      {state.kind === "reconnecting" && (
        <button
          type="button"
          className="rounded-sm text-muted-foreground underline underline-offset-4 outline-none hover:text-foreground focus-visible:ring-2 focus-visible:ring-ring"
          onClick={() => transport.retryNow(conversation.id)}
        >
          {words.tryNow}
        </button>
      )}
    </div>
  );
}

function useNow(running: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!running) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [running]);
  return now;
}

/** Whether nothing has arrived for a while. */
function useQuiet(conversation: Conversation): boolean {
  const { messages } = usePart(conversation.store, (view) => ({ messages: view.messages }));
  const [isQuiet, setQuiet] = useState(false);
  useEffect(() => {
    setQuiet(false);
    const timer = setTimeout(() => setQuiet(true), QUIET_MS);
    return () => clearTimeout(timer);
  }, [messages]);
  return isQuiet;
}
