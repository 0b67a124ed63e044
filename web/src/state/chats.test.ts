// @vitest-environment jsdom
import { beforeEach, describe, expect, it } from "vitest";
import {
  chats,
  hearOfChats,
  hideChat,
  isUnread,
  loadMoreChats,
  markSeen,
  putChat,
  refreshChats,
} from "./chats";
import type { ChatRow } from "./model";

function row(id: string, minute: number, more: Partial<ChatRow> = {}): ChatRow {
  const at = new Date(Date.UTC(2126, 0, 1, 0, minute)).toISOString();
  return { id, title: id, created_at: at, updated_at: at, active: false, ...more };
}

const ids = (): string[] => chats.getState().rows.map(({ id }) => id);

beforeEach(() => {
  localStorage.clear();
  chats.setState({ rows: [], next: null, loaded: false, hidden: new Set(), seen: {} });
});

describe("the list of chats", () => {
  it("is ordered by the last change, newest first", () => {
    putChat(row("b", 2));
    putChat(row("a", 1));
    putChat(row("c", 3));
    expect(ids()).toEqual(["c", "b", "a"]);
    putChat(row("a", 4));
    expect(ids()).toEqual(["a", "c", "b"]);
  });

  it("follows the feed", () => {
    hearOfChats({ type: "chat-created", chat: row("a", 1) });
    hearOfChats({ type: "run-started", chat: row("a", 2, { active: true }), run: "r", message: "m" });
    expect(chats.getState().rows[0]?.active).toBe(true);
    hearOfChats({ type: "chat-renamed", chat: row("a", 2, { title: "New" }) });
    expect(chats.getState().rows[0]?.title).toBe("New");
    hearOfChats({ type: "chat-deleted", id: "a" });
    expect(ids()).toEqual([]);
  });

  it("keeps older pages when the newest is loaded again, and forgets what is gone from it", async () => {
    chats.setState({ rows: [row("gone", 9), row("c", 8), row("old", 1)], next: "more" });
    await refreshChats({ listChats: async () => ({ chats: [row("d", 9), row("c", 8)], next: "x" }) });
    expect(ids()).toEqual(["d", "c", "old"]);
    expect(chats.getState().next).toBe("more");
    await refreshChats({ listChats: async () => ({ chats: [row("d", 9)], next: null }) });
    expect(ids()).toEqual(["d"]);
  });

  it("is asked for again when the feed told of a change meanwhile", async () => {
    const answers = [[row("a", 1, { title: "old" })], [row("a", 1, { title: "new" })]];
    await refreshChats({
      listChats: async () => {
        const answer = answers.shift() ?? [];
        if (answers.length === 1) hearOfChats({ type: "chat-renamed", chat: row("a", 1, { title: "new" }) });
        return { chats: answer, next: null };
      },
    });
    expect(chats.getState().rows[0]?.title).toBe("new");
  });

  it("adds a page, without repeating a chat that has moved meanwhile", async () => {
    chats.setState({ rows: [row("b", 2)], next: "t" });
    await loadMoreChats({ listChats: async () => ({ chats: [row("b", 2), row("a", 1)], next: null }) });
    expect(ids()).toEqual(["b", "a"]);
    expect(chats.getState().next).toBeNull();
  });

  it("hides what is being deleted until it is undone", () => {
    hideChat("a", true);
    expect(chats.getState().hidden.has("a")).toBe(true);
    hideChat("a", false);
    expect(chats.getState().hidden.size).toBe(0);
  });
});

describe("unread", () => {
  it("is a chat that changed after it was last looked at, when no answer is being written", () => {
    const { seen } = chats.getState();
    expect(isUnread(row("a", 1), seen)).toBe(true);
    expect(isUnread(row("a", 1, { active: true }), seen)).toBe(false);
    markSeen(row("a", 1));
    expect(isUnread(row("a", 1), chats.getState().seen)).toBe(false);
    expect(isUnread(row("a", 2), chats.getState().seen)).toBe(true);
  });

  it("is no chat from before this browser's first visit", () => {
    const old = row("a", 1, { updated_at: "2020-01-01T00:00:00.000Z" });
    expect(isUnread(old, {})).toBe(false);
  });

  it("remembers a bounded number of chats", () => {
    for (let n = 0; n < 600; n++) markSeen(row(`c${n}`, n));
    expect(Object.keys(chats.getState().seen)).toHaveLength(500);
    expect(chats.getState().seen["c599"]).toBeDefined();
  });
});
