import { useEffect, useRef } from "react";
import { words } from "@/words";

export const SHORTCUTS = [
  { keys: "mod+k", label: words.commands },
  { keys: "mod+shift+o", label: words.newChat },
  { keys: "mod+b", label: words.toggleSidebar },
  { keys: "alt+↑", label: "Newer chat" },
  { keys: "alt+↓", label: "Older chat" },
  { keys: "/", label: "Go to the message box" },
  { keys: "enter", label: words.send },
  { keys: "shift+enter", label: "New line" },
  { keys: "esc", label: words.stop },
  { keys: "?", label: words.shortcuts },
] as const;

export interface Keyboard {
  palette: () => void;
  newChat: () => void;
  toggleSidebar: () => void;
  focusComposer: () => void;
  shortcuts: () => void;
  stop: () => void;
  /** Go to a neighbour in the list of chats: -1 newer, 1 older. */
  neighbour: (step: -1 | 1) => void;
}

/** The shortcuts that work everywhere on the page. */
export function useKeyboard(keyboard: Keyboard): void {
  const latest = useRef(keyboard);
  latest.current = keyboard;
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.isComposing) return;
      const run = commandOf(event, latest.current);
      if (run === undefined) return;
      event.preventDefault();
      run();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
}

function commandOf(event: KeyboardEvent, keyboard: Keyboard): (() => void) | undefined {
  const mod = event.metaKey || event.ctrlKey;
  const key = event.key.toLowerCase();
  if (mod && !event.altKey) {
    if (key === "k" && !event.shiftKey) return keyboard.palette;
    if (key === "o" && event.shiftKey) return keyboard.newChat;
    if (key === "b" && !event.shiftKey) return keyboard.toggleSidebar;
    return undefined;
  }
  if (event.altKey && key === "arrowup") return () => keyboard.neighbour(-1);
  if (event.altKey && key === "arrowdown") return () => keyboard.neighbour(1);
  if (event.altKey) return undefined;
  if (key === "escape") return isOverlayOpen() ? undefined : keyboard.stop;
  if (isTyping(event.target)) return undefined;
  if (key === "/") return keyboard.focusComposer;
  if (key === "?") return keyboard.shortcuts;
  return undefined;
}

function isTyping(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  return element?.matches("input, textarea, select, [contenteditable]") ?? false;
}

/** Menus and dialogs handle Escape first. */
function isOverlayOpen(): boolean {
  return document.querySelector("[role=dialog], [role=menu]") !== null;
}
