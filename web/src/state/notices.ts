/** What the page tells its reader beside the answers: banners, toasts, and words for screen readers. */
import { createStore } from "zustand/vanilla";
import { at } from "./base";

export interface Toast {
  id: number;
  text: string;
  action?: { label: string; run: () => void };
}

export interface PageState {
  /** The browser says that there is no network. */
  offline: boolean;
  /** The live feed: without it the sidebar does not know what happens elsewhere. */
  feed: "connecting" | "up" | "down";
  /** The server no longer knows who asks. */
  expired: boolean;
  /** No cookie comes back to the server: nothing that is sent can be found again. */
  cookieless: boolean;
  /** Part of the interface is gone: another version was deployed. */
  stale: boolean;
  toasts: readonly Toast[];
}

export const page = createStore<PageState>(() => ({
  offline: !navigator.onLine,
  feed: "connecting",
  expired: false,
  cookieless: false,
  stale: false,
  toasts: [],
}));

/** Said by screen readers, politely; `count` makes a repetition a new announcement. */
export const announcement = createStore<{ text: string; count: number }>(() => ({
  text: "",
  count: 0,
}));

let toasts = 0;

/** Show a sentence for a while. Returns its id. */
export function toast(text: string, action?: Toast["action"], ms = 6_000): number {
  const id = ++toasts;
  page.setState((state) => ({ toasts: [...state.toasts.slice(-2), { id, text, action }] }));
  announce(text);
  setTimeout(() => dismiss(id), ms);
  return id;
}

export function dismiss(id: number): void {
  page.setState((state) => ({ toasts: state.toasts.filter((other) => other.id !== id) }));
}

export function announce(text: string): void {
  announcement.setState((state) => ({ text, count: state.count + 1 }));
}

/**
 * A part of the interface could not be loaded. If the server answers, the part is gone: another
 * version was deployed. Otherwise it comes when the server does.
 */
export async function missPart(): Promise<void> {
  try {
    await fetch(at("healthz"), { cache: "no-store" });
    page.setState({ stale: true });
  } catch {
    // no network, or no server: that is told elsewhere
  }
}

export function watchNetwork(): void {
  const update = (): void => {
    const offline = !navigator.onLine;
    // What the feed could not reach without a network says nothing about the server.
    page.setState(({ feed }) => ({ offline, feed: feed === "down" ? "connecting" : feed }));
  };
  addEventListener("online", update);
  addEventListener("offline", update);
}
