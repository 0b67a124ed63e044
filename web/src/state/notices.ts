/** The page's messages beside the answers: banners, toasts, and screen reader announcements. */
import { createStore } from "zustand/vanilla";
import { at } from "./base";

export interface Toast {
  id: number;
  text: string;
  action?: { label: string; run: () => void };
}

export interface PageState {
  /** The browser reports that there is no network. */
  offline: boolean;
  /** The live feed: without it the sidebar misses changes by other clients. */
  feed: "connecting" | "up" | "down";
  /** The session has expired. */
  expired: boolean;
  /** Cookies are blocked: sent messages could not be found again. */
  cookieless: boolean;
  /** Part of the interface is missing: another version was deployed. */
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

/** Announced by screen readers, politely; `count` makes a duplicate a new announcement. */
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
 * A part of the interface could not be loaded. If the server answers, another version was deployed.
 * Otherwise the part is loaded when the server is back.
 */
export async function missPart(): Promise<void> {
  try {
    await fetch(at("healthz"), { cache: "no-store" });
    page.setState({ stale: true });
  } catch {
    // no network, or no server: reported elsewhere
  }
}

export function watchNetwork(): void {
  const update = (): void => {
    const offline = !navigator.onLine;
    // A feed that fails without a network does not mean that the server is down.
    page.setState(({ feed }) => ({ offline, feed: feed === "down" ? "connecting" : feed }));
  };
  addEventListener("online", update);
  addEventListener("offline", update);
}
