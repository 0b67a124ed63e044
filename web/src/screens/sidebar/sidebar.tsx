import { PanelLeft, Search, SquarePen } from "lucide-react";
import { useMemo, useState } from "react";
import { api } from "@/state/app";
import { chats, isUnread, loadMoreChats } from "@/state/chats";
import { toast } from "@/state/notices";
import { go, place } from "@/state/router";
import { Button } from "@/ui/button";
import { Keys } from "@/ui/keys";
import { Tip } from "@/ui/tip";
import { words } from "@/words";
import { useAll } from "../hooks";
import { ChatRowItem } from "./chat-row";
import { DevicesMenu } from "./devices-menu";
import { groupByDay } from "./groups";
import { useSearch } from "./search";
import { ThemeMenu } from "./theme-menu";

export interface SidebarProps {
  /** Close it: on a phone, also after a choice. */
  onClose: () => void;
  onPick: () => void;
  onCommands: () => void;
  onLink: () => void;
  onSignOut: () => void;
}

export function Sidebar({ onClose, onPick, onCommands, onLink, onSignOut }: SidebarProps) {
  const [query, setQuery] = useState("");
  const newChat = (): void => {
    go(null);
    onPick();
  };
  return (
    <div className="flex h-full min-h-0 flex-col">
      <div className="flex h-14 items-center gap-1 pr-2 pl-4">
        <span className="flex-1 text-[15px] font-semibold tracking-tight">
          durable<span className="text-live">.</span>
        </span>
        <Tip label={words.newChat} keys="mod+shift+o">
          <Button size="icon" aria-label={words.newChat} onClick={newChat}>
            <SquarePen aria-hidden />
          </Button>
        </Tip>
        <Tip label={words.closeSidebar} keys="mod+b">
          <Button size="icon" aria-label={words.closeSidebar} onClick={onClose}>
            <PanelLeft aria-hidden />
          </Button>
        </Tip>
      </div>
      <div className="px-3 pb-2">
        <label className="flex items-center gap-2 rounded-lg border border-border bg-background px-2.5 focus-within:ring-2 focus-within:ring-ring">
          <Search aria-hidden className="size-4 shrink-0 text-muted-foreground" />
          <input
            type="search"
            value={query}
            aria-label={words.searchChats}
            placeholder={words.searchChats}
            className="h-8.5 w-full min-w-0 bg-transparent text-sm outline-none placeholder:text-muted-foreground max-md:text-base"
            onChange={(event) => setQuery(event.target.value)}
            onKeyDown={(event) => {
              if (event.key !== "Escape" || query === "") return;
              event.preventDefault(); // Escape belongs to this box, not to the answer
              setQuery("");
            }}
          />
        </label>
      </div>
      <nav aria-label={words.chats} className="min-h-0 flex-1 overflow-y-auto px-2 pb-3">
        <ChatList query={query} onPick={onPick} />
      </nav>
      <div className="flex items-center justify-between border-t border-border px-2 py-2">
        <div className="flex items-center">
          <ThemeMenu />
          <DevicesMenu onLink={onLink} onSignOut={onSignOut} />
        </div>
        <Tip label={words.commands} keys="mod+k" side="top">
          <Button size="sm" className="font-normal" onClick={onCommands}>
            <Search aria-hidden />
            <span className="sr-only">{words.commands}</span>
            <Keys keys="mod+k" />
          </Button>
        </Tip>
      </div>
    </div>
  );
}

function ChatList({ query, onPick }: { query: string; onPick: () => void }) {
  const { rows, next, loaded, failed, hidden, seen } = useAll(chats);
  const { chat: current } = useAll(place);
  const found = useSearch(query);
  const listed = found === null ? rows : found.rows;
  const groups = useMemo(
    () => groupByDay((listed ?? []).filter((row) => !hidden.has(row.id)), new Date()),
    [listed, hidden],
  );
  if (groups.length === 0) {
    if (listed === null || !(loaded || failed)) return null;
    const none = loaded ? words.noChats : words.listFailed;
    return (
      <p className="px-3 py-6 text-[13px] text-muted-foreground">
        {found === null ? none : words.nothingFound}
      </p>
    );
  }
  const more = (): void => {
    loadMoreChats(api).catch((error: Error) => toast(error.message));
  };
  return (
    <>
      {/* One list: a row that goes to another day stays the same row, with its focus and its box. */}
      <ul className="flex flex-col gap-px">
        {groups.flatMap((group) => [
          <li key={`day ${group.name}`} className="mt-3 px-3 pb-1 first:mt-1">
            <h2 className="text-xs font-medium text-muted-foreground">{group.name}</h2>
          </li>,
          ...group.rows.map((row) => (
            <ChatRowItem
              key={row.id}
              row={row}
              current={row.id === current}
              unread={row.id !== current && isUnread(row, seen)}
              onPick={onPick}
            />
          )),
        ])}
      </ul>
      {found === null && next !== null && (
        <Button size="sm" className="mt-2 w-full font-normal" onClick={more}>
          {words.loadMore}
        </Button>
      )}
    </>
  );
}
