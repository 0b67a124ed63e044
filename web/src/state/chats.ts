/** The sidebar's list: newest first, live, with unread chats and pending deletions. */
import { createStore } from "zustand/vanilla";
import type { Api } from "./api";
import type { ChatRow, FeedEvent } from "./model";
import { onChangeElsewhere, readJson, writeJson } from "./storage";

export interface ChatsState {
  rows: readonly ChatRow[];
  /** The token of the next page; null at the end. */
  next: string | null;
  loaded: boolean;
  /** Whether the last attempt to load it failed. */
  failed: boolean;
  /** The chat that was opened last: it may be older than those in the list. */
  opened: ChatRow | null;
  /** Chats that are being deleted: hidden, and restored by an undo. */
  hidden: ReadonlySet<string>;
  /** For each chat, its `updated_at` at its last view in this browser. */
  seen: Readonly<Record<string, string>>;
}

const PAGE = 50;
const SEEN = "seen";
const SINCE = "seen-since";
const MOST_SEEN = 500;

export const chats = createStore<ChatsState>(() => ({
  rows: [],
  next: null,
  loaded: false,
  failed: false,
  opened: null,
  hidden: new Set(),
  seen: readJson(SEEN, isRecord) ?? {},
}));

/** Load the newest page; older pages that are loaded stay. */
export async function refreshChats(api: Pick<Api, "listChats">): Promise<void> {
  const before = changes;
  const page = await api.listChats({ limit: PAGE });
  if (before !== changes) return refreshChats(api); // the feed's changes are newer
  chats.setState((state) => {
    const oldest = page.chats.at(-1)?.updated_at;
    const listed = new Set(page.chats.map((row) => row.id));
    const older =
      page.next === null || oldest === undefined
        ? []
        : state.rows.filter((row) => row.updated_at < oldest && !listed.has(row.id));
    const next = older.length > 0 ? state.next : page.next;
    return { rows: [...page.chats, ...older], next, loaded: true, failed: false };
  });
}

export async function loadMoreChats(api: Pick<Api, "listChats">): Promise<void> {
  const { next } = chats.getState();
  if (next === null) return;
  const page = await api.listChats({ limit: PAGE, before: next });
  chats.setState((state) => {
    if (state.next !== next) return state;
    const known = new Set(state.rows.map((row) => row.id));
    return {
      rows: [...state.rows, ...page.chats.filter((row) => !known.has(row.id))],
      next: page.next,
    };
  });
}

/** Insert a row in order. */
export function putChat(row: ChatRow): void {
  chats.setState(({ rows }) => {
    const others = rows.filter((other) => other.id !== row.id);
    const at = others.findIndex((other) => other.updated_at <= row.updated_at);
    return { rows: at < 0 ? [...others, row] : others.toSpliced(at, 0, row) };
  });
}

export function dropChat(id: string): void {
  chats.setState(({ rows }) => ({ rows: rows.filter((row) => row.id !== id) }));
}

export function hideChat(id: string, hide: boolean): void {
  chats.setState(({ hidden }) => {
    const changed = new Set(hidden);
    if (hide) changed.add(id);
    else changed.delete(id);
    return { hidden: changed };
  });
}

let changes = 0;

export function hearOfChats(event: FeedEvent): void {
  if (event.type !== "open") changes++;
  if (event.type === "chat-deleted") dropChat(event.id);
  else if (event.type !== "open") putChat(event.chat);
}

// --- unread ---------------------------------------------------------------------------------

/** A chat is viewed: its content is read. */
export function markSeen(row: ChatRow): void {
  const { seen } = chats.getState();
  if (seen[row.id] === row.updated_at) return;
  const newest = Object.entries({ ...seen, [row.id]: row.updated_at })
    .sort(([, a], [, b]) => (a < b ? 1 : -1))
    .slice(0, MOST_SEEN);
  const kept = Object.fromEntries(newest);
  writeJson(SEEN, kept);
  chats.setState({ seen: kept });
}

/** Whether an answer ended since the chat's last view in this browser. */
export function isUnread(row: ChatRow, seen: ChatsState["seen"]): boolean {
  return !row.active && row.updated_at > (seen[row.id] ?? since);
}

/** Chats that are older than this browser's first visit count as read. */
const since = firstVisit();

function firstVisit(): string {
  const known = readJson(SINCE, (value): value is string => typeof value === "string");
  if (known !== null) return known;
  const now = new Date().toISOString();
  writeJson(SINCE, now);
  return now;
}

export function watchSeen(): void {
  onChangeElsewhere(SEEN, () => chats.setState({ seen: readJson(SEEN, isRecord) ?? {} }));
}

function isRecord(value: unknown): value is Record<string, string> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
