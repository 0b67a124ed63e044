import clsx from "clsx";
import { Pencil } from "lucide-react";
import { memo, useEffect, useRef, useState } from "react";
import { send } from "@/state/app";
import type { Conversation } from "@/state/conversation";
import { type Message, textOf } from "@/state/model";
import { type OutboxItem, removeFromOutbox, setRefused } from "@/state/outbox";
import type { Place } from "@/state/versions";
import { Button } from "@/ui/button";
import { isSend } from "@/ui/is-send";
import { Tip } from "@/ui/tip";
import { useFocusAfter } from "@/ui/use-focus-after";
import { words } from "@/words";
import { useConnection } from "../hooks";
import { CopyButton } from "./copy-button";
import { VersionArrows } from "./versions";

const BUBBLE =
  "max-w-full rounded-2xl rounded-br-md bg-secondary px-4 py-2.5 text-[15px] leading-6.5 break-words whitespace-pre-wrap";
const ACTIONS =
  "mt-1 flex items-center opacity-0 transition-opacity duration-150 group-focus-within:opacity-100 group-hover:opacity-100 pointer-coarse:opacity-100";

export interface QuestionProps {
  conversation: Conversation;
  message: Message;
  idle: boolean;
  place: Place | null;
  /** Whether it is being sent: not accepted by the server yet. */
  sending: boolean;
}

export const Question = memo(function Question(props: QuestionProps) {
  const { conversation, message, idle, place, sending } = props;
  const [editing, setEditing] = useState(false);
  const pencil = useFocusAfter(editing);
  const text = textOf(message);
  if (editing && idle) {
    const save = (changed: string): void => {
      if (changed === text || send(conversation.id, changed, message.id)) setEditing(false);
    };
    return <Editor text={text} onSave={save} onCancel={() => setEditing(false)} />;
  }
  return (
    <article
      aria-label={words.you}
      data-testid="message"
      data-role="user"
      className="group ml-auto flex max-w-[85%] min-w-0 flex-col items-end"
    >
      <div className={clsx(BUBBLE, sending && "opacity-70")}>{text}</div>
      {sending ? (
        <Note chat={conversation.id} />
      ) : (
        <div className={clsx(ACTIONS, place && place.ids.length > 1 && "opacity-100")}>
          {place && place.ids.length > 1 && <VersionArrows conversation={conversation} place={place} />}
          <CopyButton text={text} />
          {idle && (
            <Tip label={words.edit}>
              <Button
                ref={pencil}
                size="icon-sm"
                aria-label={words.edit}
                onClick={() => setEditing(true)}
              >
                <Pencil aria-hidden />
              </Button>
            </Tip>
          )}
        </div>
      )}
    </article>
  );
});

function Note({ chat }: { chat: string }) {
  const { phase } = useConnection(chat);
  const waits = phase === "offline" || phase === "reconnecting";
  return (
    <p className="mt-1.5 h-5 text-[13px] text-warn" data-testid="pending">
      {waits && words.waitingToSend}
    </p>
  );
}

/** A message in the outbox that is not being sent: it waits, or was refused. */
export function Waiting({ item, onEdit }: { item: OutboxItem; onEdit: (text: string) => void }) {
  const again = (): void => setRefused(item.id, undefined);
  const discard = (): void => removeFromOutbox(item.id);
  const takeBack = (): void => {
    removeFromOutbox(item.id);
    onEdit(item.text);
  };
  return (
    <article
      aria-label={words.you}
      data-testid="waiting"
      data-refused={item.refused !== undefined || undefined}
      className="ml-auto flex max-w-[85%] min-w-0 flex-col items-end"
    >
      <div className={clsx(BUBBLE, "border border-dashed border-input bg-transparent")}>{item.text}</div>
      <p
        className={clsx(
          "mt-1.5 flex flex-wrap items-center justify-end gap-x-3 gap-y-1 text-[13px]",
          item.refused === undefined ? "text-muted-foreground" : "text-destructive",
        )}
      >
        {item.refused === undefined ? words.waitingForAnswer : words.refused(item.refused)}
        <span className="flex gap-1">
          {item.refused !== undefined && (
            <Button size="sm" variant="outline" className="text-foreground" onClick={again}>
              {words.tryAgain}
            </Button>
          )}
          <Button size="sm" onClick={takeBack}>
            {words.edit}
          </Button>
          <Button size="sm" onClick={discard}>
            {words.discard}
          </Button>
        </span>
      </p>
    </article>
  );
}

function Editor({
  text,
  onSave,
  onCancel,
}: {
  text: string;
  onSave: (text: string) => void;
  onCancel: () => void;
}) {
  const [value, setValue] = useState(text);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    area.current?.focus();
    area.current?.setSelectionRange(text.length, text.length);
  }, [text]);
  const save = (): void => {
    if (value.trim()) onSave(value.trim());
  };
  return (
    <form
      className="ml-auto flex w-full max-w-[85%] flex-col gap-2 rounded-2xl border border-input bg-card p-3"
      onSubmit={(event) => {
        event.preventDefault();
        save();
      }}
    >
      <textarea
        ref={area}
        aria-label={words.edit}
        value={value}
        rows={1}
        className="grow-with-text max-h-80 w-full resize-none bg-transparent px-1 text-[15px] leading-6.5 outline-none"
        onChange={(event) => setValue(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") {
            event.stopPropagation();
            onCancel();
          } else if (isSend(event)) {
            event.preventDefault();
            save();
          }
        }}
      />
      <div className="flex justify-end gap-2">
        <Button size="sm" onClick={onCancel}>
          {words.cancel}
        </Button>
        <Button size="sm" variant="solid" type="submit" disabled={!value.trim()}>
          {words.save}
        </Button>
      </div>
    </form>
  );
}
