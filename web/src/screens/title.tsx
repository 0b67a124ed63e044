import { Menu as MenuIcon, MoreHorizontal, PanelLeft, SquarePen } from "lucide-react";
import { useEffect, useState } from "react";
import { rename } from "@/state/app";
import { chats, isUnread } from "@/state/chats";
import { go } from "@/state/router";
import { Button } from "@/ui/button";
import { Menu } from "@/ui/menu";
import { Tip } from "@/ui/tip";
import { useFocusAfter } from "@/ui/use-focus-after";
import { words } from "@/words";
import { useAll } from "./hooks";
import { ChatMenuItems } from "./sidebar/chat-menu";
import { TitleEditor } from "./sidebar/chat-row";

export interface TitleBarProps {
  chat: string | null;
  sidebarOpen: boolean;
  onToggleSidebar: () => void;
}

export function TitleBar({ chat, sidebarOpen, onToggleSidebar }: TitleBarProps) {
  const { rows, opened, seen } = useAll(chats);
  const [editing, setEditing] = useState(false);
  const options = useFocusAfter(editing);
  const listed = rows.find((candidate) => candidate.id === chat);
  const row = listed ?? (opened?.id === chat ? opened : undefined);
  const title = row?.title ?? (chat === null ? words.newChat : words.product);
  const unread = rows.some((other) => other.id !== chat && isUnread(other, seen));
  useEffect(() => {
    document.title = `${unread ? "● " : ""}${row ? row.title : words.product}`;
  }, [row, unread]);
  useEffect(() => setEditing(false), [chat]);
  return (
    <header className="flex h-14 shrink-0 items-center gap-1 px-2 md:px-3">
      {!sidebarOpen && (
        <>
          <Tip label={words.toggleSidebar} keys="mod+b">
            <Button size="icon" aria-label={words.toggleSidebar} aria-expanded={false} onClick={onToggleSidebar}>
              <PanelLeft aria-hidden className="max-md:hidden" />
              <MenuIcon aria-hidden className="md:hidden" />
            </Button>
          </Tip>
          <Tip label={words.newChat} keys="mod+shift+o">
            <Button size="icon" aria-label={words.newChat} onClick={() => go(null)}>
              <SquarePen aria-hidden />
            </Button>
          </Tip>
        </>
      )}
      {editing && row ? (
        <div className="min-w-0 flex-1 px-1">
          <TitleEditor
            title={row.title}
            onDone={(changed) => {
              setEditing(false);
              if (changed !== null) void rename(row.id, changed);
            }}
          />
        </div>
      ) : (
        <h1 className="min-w-0 truncate px-2 text-sm font-medium">{title}</h1>
      )}
      {row && !editing && (
        <Menu
          trigger={
            <Button ref={options} size="icon-sm" aria-label={words.optionsOf(row.title)}>
              <MoreHorizontal aria-hidden />
            </Button>
          }
        >
          <ChatMenuItems chat={row.id} onRename={() => setEditing(true)} />
        </Menu>
      )}
    </header>
  );
}
