import clsx from "clsx";
import { MoreHorizontal } from "lucide-react";
import { memo, useRef, useState } from "react";
import { rename } from "@/state/app";
import type { ChatRow } from "@/state/model";
import { go, href } from "@/state/router";
import { Button } from "@/ui/button";
import { Menu } from "@/ui/menu";
import { useFocusAfter } from "@/ui/use-focus-after";
import { words } from "@/words";
import { ChatMenuItems } from "./chat-menu";

export interface ChatRowProps {
  row: ChatRow;
  current: boolean;
  unread: boolean;
  onPick: () => void;
}

export const ChatRowItem = memo(function ChatRowItem({ row, current, unread, onPick }: ChatRowProps) {
  const [editing, setEditing] = useState(false);
  const link = useFocusAfter<HTMLAnchorElement>(editing);
  if (editing) {
    return (
      <li>
        <TitleEditor
          title={row.title}
          onDone={(title) => {
            setEditing(false);
            if (title !== null) void rename(row.id, title);
          }}
        />
      </li>
    );
  }
  return (
    <li
      className={clsx(
        "group relative rounded-lg",
        current ? "bg-accent" : "hover:bg-accent/60 focus-within:bg-accent/60",
      )}
      data-testid="chat-row"
      data-active={row.active || undefined}
      data-unread={unread || undefined}
    >
      <a
        ref={link}
        href={href(row.id)}
        aria-current={current ? "page" : undefined}
        className="flex items-center gap-2 rounded-lg py-2 pr-9 pl-3 text-sm outline-none focus-visible:ring-2 focus-visible:ring-ring max-md:py-2.5 max-md:pr-12"
        onClick={(event) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
          event.preventDefault();
          go(row.id);
          onPick();
        }}
      >
        <span className={clsx("truncate", unread && "font-semibold")}>{row.title}</span>
        {row.active && <Mark label={words.active} className="mark-live" />}
        {unread && <Mark label={words.unread} className="bg-live" />}
      </a>
      <div className="absolute top-1/2 right-1 -translate-y-1/2 opacity-0 group-focus-within:opacity-100 group-hover:opacity-100 has-data-[state=open]:opacity-100 pointer-coarse:opacity-100">
        <Menu
          align="end"
          trigger={
            <Button size="icon-sm" className="md:size-7!" aria-label={words.optionsOf(row.title)}>
              <MoreHorizontal aria-hidden />
            </Button>
          }
        >
          <ChatMenuItems chat={row.id} onRename={() => setEditing(true)} />
        </Menu>
      </div>
    </li>
  );
});

function Mark({ label, className }: { label: string; className: string }) {
  return (
    <span className={clsx("ml-auto size-1.5 shrink-0 rounded-full", className)} title={label}>
      <span className="sr-only">{label}</span>
    </span>
  );
}

/** @param onDone - called with the new title, or null for no change. */
export function TitleEditor({
  title,
  onDone,
}: {
  title: string;
  onDone: (title: string | null) => void;
}) {
  const done = useRef(false);
  const end = (value: string | null): void => {
    if (done.current) return; // Enter ends the edit; the blur that follows must not end it again
    done.current = true;
    onDone(value === null || value.trim() === "" ? null : value.trim());
  };
  return (
    <input
      autoFocus
      aria-label={words.title}
      defaultValue={title}
      maxLength={200}
      className="w-full rounded-lg border border-input bg-background px-3 py-1.5 text-sm outline-none focus-visible:ring-2 focus-visible:ring-ring"
      onFocus={(event) => event.target.select()}
      onBlur={(event) => end(event.target.value)}
      onKeyDown={(event) => {
        if (event.key === "Enter") end(event.currentTarget.value);
        if (event.key === "Escape") {
          event.preventDefault(); // Escape belongs to this box, not to the answer
          end(null);
        }
      }}
    />
  );
}
