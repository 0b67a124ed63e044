/** Addresses below the base: empty: a new chat; `c/ID`: a chat; `?leaf=MESSAGE`: another version. */
import { createStore } from "zustand/vanilla";
import { at, base } from "./base";

export interface Place {
  /** The chat that is shown; null for a new one. */
  chat: string | null;
  /** The message whose branch is shown; null for the chat's head. */
  leaf: string | null;
}

export const place = createStore<Place>(() => here());

export function href(chat: string | null): string {
  return at(chat === null ? "" : `c/${encodeURIComponent(chat)}`);
}

/** Show a chat. `replace` replaces the current history entry. */
export function go(chat: string | null, options: { replace?: boolean; leaf?: string } = {}): void {
  const query = options.leaf === undefined ? "" : `?leaf=${encodeURIComponent(options.leaf)}`;
  const address = href(chat) + query;
  if (options.replace) history.replaceState(null, "", address);
  else if (address !== location.pathname + location.search) history.pushState(null, "", address);
  place.setState({ chat, leaf: options.leaf ?? null });
}

export function watchAddress(): void {
  addEventListener("popstate", () => place.setState(here()));
}

function here(): Place {
  const path = location.pathname.startsWith(base) ? location.pathname.slice(base.length) : "";
  const match = /^c\/(.+?)\/?$/.exec(path);
  let chat: string | null = null;
  if (match?.[1] !== undefined) {
    try {
      chat = decodeURIComponent(match[1]);
    } catch {
      chat = match[1];
    }
  }
  return { chat, leaf: new URLSearchParams(location.search).get("leaf") };
}
