import clsx from "clsx";
import { RefreshCw } from "lucide-react";
import { memo, useState } from "react";
import { models, currentModel } from "@/state/models";
import type { Conversation } from "@/state/conversation";
import { type Message, textOf } from "@/state/model";
import type { Place } from "@/state/versions";
import { Button } from "@/ui/button";
import { Tip } from "@/ui/tip";
import { words } from "@/words";
import { useConnection } from "../hooks";
import { CopyButton } from "./copy-button";
import { Details } from "./details";
import { Ending } from "./ending";
import { RunLine } from "./run-state";
import { AnswerText } from "./answer-text";
import { Sources } from "./sources";
import { Standing } from "./standing";
import { VersionArrows } from "./versions";

export interface AnswerProps {
  conversation: Conversation;
  message: Message;
  /** Whether it is being written. */
  live: boolean;
  /** Whether it is the chat's last message. */
  last: boolean;
  /** Whether the chat is idle, so that the answer can be regenerated. */
  idle: boolean;
  place: Place | null;
  /** The text before a restart, while it is longer than the new text. */
  cut: Message | null;
}

export const Answer = memo(function Answer(props: AnswerProps) {
  const { conversation, message, live, last, idle, place, cut } = props;
  const text = textOf(message);
  const [unfolded, onUnfold] = useState<boolean | null>(null);
  const about = message.metadata ?? {};
  return (
    <article
      aria-label={words.assistant}
      aria-busy={live}
      data-testid="message"
      data-role="assistant"
      data-live={live || undefined}
      data-status={about.status}
      className="group relative min-w-0"
    >
      {live && <Line chat={conversation.id} />}
      <Standing
        cut={cut && <AnswerText message={cut} live unfolded={unfolded} onUnfold={onUnfold} />}
        comparable={cut !== null && (text !== "" || textOf(cut) === "")}
        onCovered={() => conversation.dropCut()}
      >
        <AnswerText
          message={message}
          live={live}
          unfolded={unfolded}
          onUnfold={onUnfold}
          empty={live && <Dots />}
        />
      </Standing>
      <Sources message={message} />
      {live && <RunLine conversation={conversation} />}
      {!live && (
        <Ending about={about}>
          {last && idle && (
            <Button size="sm" variant="outline" className="text-foreground" onClick={() => again(conversation, message)}>
              <RefreshCw aria-hidden />
              {words.tryAgain}
            </Button>
          )}
        </Ending>
      )}
      {!live && (
        <div
          className={clsx(
            "mt-1.5 -ml-2 flex items-center transition-opacity duration-150",
            !last && "opacity-0 group-focus-within:opacity-100 group-hover:opacity-100 pointer-coarse:opacity-100",
          )}
        >
          {place && place.ids.length > 1 && <VersionArrows conversation={conversation} place={place} />}
          {text && <CopyButton text={text} />}
          {idle && (
            <Tip label={words.regenerate}>
              <Button size="icon-sm" aria-label={words.regenerate} onClick={() => again(conversation, message)}>
                <RefreshCw aria-hidden />
              </Button>
            </Tip>
          )}
          <Details about={about} />
        </div>
      )}
    </article>
  );
});

function again(conversation: Conversation, message: Message): void {
  void conversation.regenerate(message.id, currentModel(models.getState())?.id);
}

/** The line beside a live answer: it pulses while text arrives and is dashed while it cannot. */
function Line({ chat }: { chat: string }) {
  const { phase } = useConnection(chat);
  const waiting = phase === "reconnecting" || phase === "offline" || phase === "paused";
  return <span aria-hidden className="thread-line" data-waiting={waiting || undefined} />;
}

/** Shown before the first word. */
export function Dots() {
  return (
    // As high as a line of the text that takes its place.
    <span className="flex h-[25.2px] items-center gap-1.5" data-testid="thinking">
      <span className="sr-only">{words.thinking}</span>
      {[0, 1, 2].map((index) => (
        <span key={index} aria-hidden className="dot" style={{ animationDelay: `${index * 160}ms` }} />
      ))}
    </span>
  );
}
