import clsx from "clsx";
import { useEffect, useState } from "react";
import { transport } from "@/state/app";
import type { Conversation } from "@/state/conversation";
import type { ConversationView } from "@/state/view";
import type { ConnectionState } from "@/transport/index";
import { words } from "@/words";
import { useConnection, usePart } from "../hooks";

type Tone = "live" | "wait" | "quiet";

export interface RunState {
  /** For tests and styles: what the line means. */
  kind: "none" | "reconnecting" | "offline" | "paused" | "stopping" | "retrying" | "taken-over" | "resumed";
  tone: Tone;
  text: string;
}

const NONE: RunState = { kind: "none", tone: "quiet", text: "" };

/** The one sentence that is worth saying about an answer that is being written. */
export function runStateOf(
  view: Pick<ConversationView, "stopping" | "notice" | "found">,
  connection: ConnectionState,
  now: number,
): RunState {
  const { phase, retryAt, resumes } = connection;
  if (phase === "offline") return { kind: "offline", tone: "wait", text: words.offlineAnswer };
  if (phase === "paused") return { kind: "paused", tone: "wait", text: words.pausedAnswer };
  if (phase === "reconnecting") {
    const seconds = retryAt === undefined ? 0 : Math.ceil((retryAt - now) / 1000);
    const text = seconds > 1 ? words.reconnectingIn(seconds) : words.reconnecting;
    return { kind: "reconnecting", tone: "wait", text };
  }
  if (view.stopping) return { kind: "stopping", tone: "quiet", text: words.stopping };
  const { notice } = view;
  if (notice?.event === "retry") {
    const text = words.retrying(notice.attempt ?? 2, notice.attempts ?? 2);
    return { kind: "retrying", tone: "wait", text };
  }
  if (notice?.event === "takeover") return { kind: "taken-over", tone: "live", text: words.takenOver };
  if (resumes > 0) return { kind: "resumed", tone: "live", text: words.resumed };
  if (view.found) return { kind: "resumed", tone: "live", text: words.found };
  return NONE;
}

const TONES: Record<Tone, string> = {
  live: "text-live",
  wait: "text-warn",
  quiet: "text-muted-foreground",
};

/** A small line below the answer: how it comes, when that is worth a word. */
export function RunLine({ conversation }: { conversation: Conversation }) {
  const view = usePart(conversation.store, ({ stopping, notice, found }) => ({
    stopping,
    notice,
    found,
  }));
  const connection = useConnection(conversation.id);
  const counting = connection.phase === "reconnecting" && connection.retryAt !== undefined;
  const now = useNow(counting);
  const state = runStateOf(view, connection, now);
  return (
    // Its place is kept while there is nothing to say, and what is hidden is not moved for anybody.
    <div
      className={clsx("mt-2 flex h-6 items-center gap-2 text-[13px]", !state.text && "invisible")}
      data-testid="run-state"
      data-kind={state.kind}
    >
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
