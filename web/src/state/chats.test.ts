// @vitest-environment jsdom
import { beforeEach, describe, expect, it, vi } from "vitest";
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
  it("is empty and not loaded at first", async () => {
    vi.resetModules();
    const fresh = await import("./chats");
    const nothing = { rows: [], next: null, opened: null, hidden: new Set(), seen: {} };
    expect(fresh.chats.getState()).toEqual({ ...nothing, loaded: false, failed: false });
  });

  it("is ordered by the last change, newest first", () => {
    putChat(row("b", 2));
    putChat(row("a", 1));
    putChat(row("c", 3));
    expect(ids()).toEqual(["c", "b", "a"]);
    putChat(row("a", 4));
    expect(ids()).toEqual(["a", "c", "b"]);
    putChat(row("d", 3)); // of equal times, the last added comes first
    expect(ids()).toEqual(["a", "d", "c", "b"]);
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

  it("keeps older pages when the newest is reloaded without deleted chats", async () => {
    const before = [row("gone", 9), row("c", 8), row("same", 7), row("moved", 2), row("old", 1)];
    chats.setState({ rows: before, next: "more", failed: true });
    const newest = [row("d", 10), row("moved", 9), row("c", 8), row("b", 7)];
    const asked: unknown[] = [];
    const listChats = async (query: unknown) => {
      asked.push(query);
      return { chats: newest, next: "x" };
    };
    await refreshChats({ listChats });
    expect(ids()).toEqual(["d", "moved", "c", "b", "old"]);
    expect(chats.getState()).toMatchObject({ next: "more", loaded: true, failed: false });
    expect(asked).toEqual([{ limit: 50 }]);
    chats.setState({ rows: [] });
    await refreshChats({ listChats });
    expect(chats.getState().next).toBe("x");
    await refreshChats({ listChats: async () => ({ chats: [row("d", 9)], next: null }) });
    expect(ids()).toEqual(["d"]);
    await refreshChats({ listChats: async () => ({ chats: [], next: "y" }) });
    expect(chats.getState()).toMatchObject({ rows: [], next: "y" });
  });

  it("is reloaded when an event of the feed arrived meanwhile", async () => {
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

  it("is not reloaded when the feed only opened meanwhile", async () => {
    let asked = 0;
    await refreshChats({
      listChats: async () => {
        hearOfChats({ type: "open", complete: true });
        return { chats: [], next: String(++asked) };
      },
    });
    expect(chats.getState().next).toBe("1");
  });

  it("adds a page without duplicates of a chat that has moved", async () => {
    chats.setState({ rows: [row("b", 2)], next: "t" });
    const asked: unknown[] = [];
    const listChats = async (query: unknown) => {
      asked.push(query);
      return { chats: [row("b", 2), row("a", 1)], next: null };
    };
    await loadMoreChats({ listChats });
    expect(ids()).toEqual(["b", "a"]);
    expect(chats.getState().next).toBeNull();
    await loadMoreChats({ listChats }); // the last page
    expect(asked).toEqual([{ limit: 50, before: "t" }]);
  });

  it("drops a page that was requested before the list was reloaded", async () => {
    chats.setState({ rows: [row("b", 2)], next: "t" });
    const listChats = async () => {
      chats.setState({ next: "u" });
      return { chats: [row("a", 1)], next: null };
    };
    await loadMoreChats({ listChats });
    expect([ids(), chats.getState().next]).toEqual([["b"], "u"]);
  });

  it("hides a chat that is being deleted until an undo", () => {
    const before = chats.getState().hidden;
    for (const id of ["a", "b"]) hideChat(id, true);
    hideChat("a", false);
    expect([[...chats.getState().hidden], before.size]).toEqual([["b"], 0]);
  });
});

describe("unread", () => {
  it("is a chat that changed after its last view, without an active run", () => {
    const { seen } = chats.getState();
    expect(isUnread(row("a", 1), seen)).toBe(true);
    expect(isUnread(row("a", 1, { active: true }), seen)).toBe(false);
    markSeen(row("a", 1));
    expect(isUnread(row("a", 1), chats.getState().seen)).toBe(false);
    expect(isUnread(row("a", 2), chats.getState().seen)).toBe(true);
  });

  it("excludes chats from before this browser's first visit", () => {
    const old = row("a", 1, { updated_at: "2020-01-01T00:00:00.000Z" });
    expect(isUnread(old, {})).toBe(false);
  });

  it("remembers a bounded number of chats: the newest", () => {
    const at = (n: number): string => row("c", n).updated_at;
    const many = Array.from({ length: 500 }, (_, n) => [`c${n}`, at(n)] as const);
    chats.setState({ seen: Object.fromEntries(many.toReversed()) });
    markSeen(row("c500", 500));
    const { seen } = chats.getState();
    const gone = ["c0", "c1", "c500"].map((id) => seen[id] === undefined);
    expect([Object.keys(seen).length, ...gone]).toEqual([500, true, false, false]);
    expect(JSON.parse(localStorage.getItem("dls:seen") ?? "")).toEqual(seen);
  });

  it("is stored once, when it changes", () => {
    markSeen(row("a", 1));
    localStorage.clear();
    markSeen(row("a", 1));
    expect(localStorage.length).toBe(0);
  });

  it.each([
    ['{"a":"2126"}', { a: "2126" }],
    ["[]", {}],
    ["null", {}],
    ["7", {}],
    [null, {}],
  ])("follows the storage of another tab: %s", async (kept, seen) => {
    vi.resetModules();
    if (kept !== null) localStorage.setItem("dls:seen", kept);
    const again = await import("./chats");
    expect(again.chats.getState().seen).toEqual(seen);
    const { watchStorage } = await import("./storage");
    again.chats.setState({ seen: { old: "2126" } });
    again.watchSeen();
    watchStorage();
    dispatchEvent(new StorageEvent("storage", { key: "dls:seen" }));
    expect(again.chats.getState().seen).toEqual(seen);
  });

  it.each([
    ['"2126-06-01"', false],
    ["7", true],
  ])("counts from the first visit, %s, where it is stored", async (since, isNew) => {
    vi.resetModules();
    localStorage.setItem("dls:seen-since", since);
    const again = await import("./chats");
    expect(again.isUnread(row("a", 1), {})).toBe(isNew);
    expect(localStorage.getItem("dls:seen-since") === since).toBe(!isNew);
  });
});
