import { Tooltip } from "radix-ui";
import { useEffect, useMemo, useRef, useState } from "react";
import { conversationOf } from "@/state/app";
import { chats } from "@/state/chats";
import { takeToken } from "@/state/devices";
import { newId } from "@/state/model";
import { toast } from "@/state/notices";
import { go, place } from "@/state/router";
import { read, write } from "@/state/storage";
import { useLoaded } from "@/ui/use-loaded";
import { useMedia } from "@/ui/use-media";
import { whenIdle } from "@/ui/when-idle";
import { words } from "@/words";
import { Announcer } from "./announcer";
import { Banner } from "./banner";
import { Chat } from "./chat";
import type { ComposerHandle } from "./composer";
import type { DevicesDialog } from "./devices";
import { Drawer } from "./drawer";
import { useAll, usePart } from "./hooks";
import { useKeyboard } from "./keyboard";
import { Sidebar } from "./sidebar/sidebar";
import { TitleBar } from "./title";
import { Toasts } from "./toasts";

const loadPalette = () => import("./palette");
const loadShortcuts = () => import("./shortcuts");
const loadDevices = () => import("./devices");

type Overlay = "palette" | "shortcuts" | DevicesDialog | null;

/** Once: the address does not keep it. */
const arrivedWith = takeToken();

export function App() {
  const { chat } = useAll(place);
  const wide = useMedia("(min-width: 768px)");
  const [open, setOpen] = useState(() => read("sidebar") !== "closed");
  const [drawer, setDrawer] = useState(false);
  const [overlay, setOverlay] = useState<Overlay>(arrivedWith === null ? null : "arrival");
  const composer = useRef<ComposerHandle>(null);
  const fresh = useFreshId(chat);
  const id = chat ?? fresh;
  const isMissing = usePart(conversationOf(id, { isNew: chat === null }).store, ({ loading }) => loading === "missing");
  useEffect(() => whenIdle(() => void loadPalette().catch(() => undefined)), []);

  const toggleSidebar = (): void => {
    if (!wide) {
      setDrawer(!drawer);
      return;
    }
    write("sidebar", open ? "closed" : null);
    setOpen(!open);
  };
  const onMissing = (): void => {
    setOverlay(null);
    toast(words.partMissing);
  };
  const Palette = useLoaded(loadPalette, overlay === "palette", onMissing);
  const Shortcuts = useLoaded(loadShortcuts, overlay === "shortcuts", onMissing);
  const devices = overlay === "link" || overlay === "arrival" || overlay === "signOut" ? overlay : null;
  const Devices = useLoaded(loadDevices, devices !== null, onMissing);
  const stop = async (): Promise<void> => {
    if (overlay !== null) {
      setOverlay(null); // it is requested, and not loaded yet
      return;
    }
    const takenBack = await conversationOf(id).stop();
    if (takenBack !== null) composer.current?.insert(takenBack);
  };
  useKeyboard({
    palette: () => setOverlay(overlay === "palette" ? null : "palette"),
    newChat: () => go(null),
    toggleSidebar,
    focusComposer: () => composer.current?.focus(),
    shortcuts: () => setOverlay("shortcuts"),
    stop: () => void stop(),
    neighbour: (step) => goToNeighbour(chat, step),
  });
  const fromSidebar = (opened: Overlay) => (): void => {
    setDrawer(false);
    setOverlay(opened);
  };
  const sidebar = (
    <Sidebar
      onClose={toggleSidebar}
      onPick={() => setDrawer(false)}
      onCommands={fromSidebar("palette")}
      onLink={fromSidebar("link")}
      onSignOut={fromSidebar("signOut")}
    />
  );

  return (
    <Tooltip.Provider delayDuration={400}>
      {!isMissing && (
        <a
          href="#composer"
          className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded-md focus:bg-primary focus:px-3 focus:py-2 focus:text-sm focus:text-primary-foreground"
        >
          {words.skipToComposer}
        </a>
      )}
      <div className="flex h-dvh overflow-hidden">
        {wide && open && (
          <aside aria-label={words.chats} className="w-66 shrink-0 border-r border-border bg-sidebar">
            {sidebar}
          </aside>
        )}
        {!wide && (
          <Drawer open={drawer} onOpenChange={setDrawer}>
            {sidebar}
          </Drawer>
        )}
        <main className="relative flex min-w-0 flex-1 flex-col">
          <TitleBar chat={chat} sidebarOpen={wide && open} onToggleSidebar={toggleSidebar} />
          <Banner />
          <Chat
            key={id}
            id={id}
            isNew={chat === null}
            composer={composer}
            onStop={() => void stop()}
          />
        </main>
      </div>
      <Toasts />
      <Announcer />
      {Palette && (
        <Palette
          onClose={() => setOverlay(null)}
          onShortcuts={() => setOverlay("shortcuts")}
          onToggleSidebar={toggleSidebar}
        />
      )}
      {Shortcuts && <Shortcuts onClose={() => setOverlay(null)} />}
      {Devices && devices && (
        <Devices dialog={devices} token={arrivedWith} onClose={() => setOverlay(null)} />
      )}
    </Tooltip.Provider>
  );
}

/** The id of the next new chat; a new id after each chat that was started. */
function useFreshId(chat: string | null): string {
  const last = useRef<string | null>(null);
  return useMemo(() => {
    if (chat === null || last.current === null) last.current = newId();
    return last.current;
  }, [chat]);
}

function goToNeighbour(chat: string | null, step: -1 | 1): void {
  const { rows, hidden } = chats.getState();
  const listed = rows.filter((row) => !hidden.has(row.id));
  const at = listed.findIndex((row) => row.id === chat);
  const next = at < 0 ? listed[0] : listed[at + step];
  if (next) go(next.id);
}
