// @vitest-environment jsdom
/** Operations on chats: rename, delete, send, view; and events of the feed. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { words } from "@/words";
import type { FeedEvent } from "./model";
import { answers, asked, broken, gone, leaveApp, newApp, row, times, wire, withChats } from "./testing/app";
import { Source } from "./testing/source";
import { until } from "./testing/wait";

beforeEach(newApp);
afterEach(leaveApp);

/** Locks that are free, in a browser where four tabs follow an answer. */
function stubLocks(): readonly string[] {
  const held: string[] = [];
  const request = async (name: string, ...rest: unknown[]) => {
    held.push(name);
    await (rest.at(-1) as () => Promise<void>)();
    held.splice(held.indexOf(name), 1);
  };
  const query = async () => ({ held: Array(4).fill({ name: "dls:following" }) });
  vi.stubGlobal("navigator", { onLine: true, locks: { request, query } });
  return held;
}

describe("a chat's new title", () => {
  it("is shown at once, then replaced by the server's", async () => {
    const { chats, rename } = await withChats(row("c2"), row("c1"));
    answers["PATCH /api/chats/c1"] = [() => Response.json(row("c1", { title: "Kept" }))];
    const renamed = rename("c1", "Typed");
    const title = () => chats.getState().rows.find(({ id }) => id === "c1")?.title;
    expect(title()).toBe("Typed");
    await renamed;
    expect(title()).toBe("Kept");
  });

  it("is reverted, with an error message, when the server refuses", async () => {
    const { chats, rename, toasts } = await withChats(row("c1"));
    answers["PATCH /api/chats/c1"] = [broken];
    await rename("c1", "Typed");
    expect([chats.getState().rows[0]?.title, toasts()]).toEqual(["Chat c1", [words.renameFailed]]);
  });

  it("can be given to an open chat that is not listed, not to an unknown one", async () => {
    const { chats, conversationOf, rename } = await withChats();
    await rename("c1", "Before anything was opened");
    conversationOf("c1");
    await until(() => expect(chats.getState().opened?.id).toBe("c1"));
    answers["PATCH /api/chats/c1"] = [() => Response.json(row("c1", { title: "New" }))];
    for (const [id, title] of [["c1", ""], ["c1", "Chat"], ["c2", "New"]] as const) await rename(id, title);
    expect(asked.filter((one) => one.startsWith("PATCH"))).toEqual([]);
    await rename("c1", "New");
    expect([times("PATCH /api/chats/c1"), chats.getState().rows[0]?.title]).toEqual([1, "New"]);
  });
});

describe("a chat that is deleted", () => {
  /** A page that shows a chat with a draft and a waiting message, and deletes it. */
  async function deleted(answer: () => Response) {
    const page = await withChats(row("c1"), row("c2"));
    const { go } = await import("./router");
    const { readDraft, writeDraft } = await import("./drafts");
    const { addToOutbox, outboxOf } = await import("./outbox");
    answers["DELETE /api/chats/c1"] = [answer];
    go("c1");
    page.conversationOf("c1");
    writeDraft("c1", "Half");
    addToOutbox({ id: "m1", chat: "c1", text: "Hello", refused: "No." });
    vi.useFakeTimers();
    page.deleteChat("c1");
    const isHidden = () => page.chats.getState().hidden.has("c1");
    const rows = () => page.chats.getState().rows.map(({ id }) => id);
    const left = () => [rows(), readDraft("c1"), outboxOf("c1").length];
    return { ...page, isHidden, left };
  }
  const deletions = () => asked.filter((one) => one.startsWith("DELETE"));

  it.each([
    ["was there", () => new Response()],
    ["was gone already", gone],
  ])("is gone after seven seconds, with its waiting messages, where it %s", async (_, answer) => {
    const page = await deleted(answer);
    expect([page.isHidden(), page.place.getState().chat, page.toasts()]).toEqual([
      true,
      null,
      [words.chatDeleted],
    ]);
    await vi.advanceTimersByTimeAsync(6_999);
    expect(deletions()).toEqual([]);
    const conversation = page.conversationOf("c1");
    await vi.advanceTimersByTimeAsync(1);
    expect(deletions()).toEqual(["DELETE /api/chats/c1"]);
    expect([page.isHidden(), page.left(), page.toasts()]).toEqual([false, [["c2"], "", 0], []]);
    dispatchEvent(new Event("pagehide"));
    expect(deletions()).toHaveLength(1);
    expect(page.conversationOf("c1")).not.toBe(conversation);
  });

  it("does not change the page when another chat is shown", async () => {
    const page = await withChats(row("c1"), row("c2"));
    const { go } = await import("./router");
    go("c2");
    vi.useFakeTimers();
    page.deleteChat("c1");
    await vi.advanceTimersByTimeAsync(7_000);
    expect(page.place.getState().chat).toBe("c2");
    expect(page.chats.getState().rows.map(({ id }) => id)).toEqual(["c2"]);
  });

  it("is restored in its place by an undo", async () => {
    const page = await deleted(gone);
    const { action } = page.page.getState().toasts[0]!;
    expect(action?.label).toBe(words.undo);
    action?.run();
    expect(page.isHidden()).toBe(false);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(deletions()).toEqual([]);
  });

  it("is restored, with an error message, when the server refuses", async () => {
    const page = await deleted(broken);
    await vi.advanceTimersByTimeAsync(7_000);
    expect([page.isHidden(), page.left(), page.toasts()]).toEqual([
      false,
      [["c1", "c2"], "Half", 1],
      [words.deleteFailed],
    ]);
  });

  it("is deleted at once when the page unloads", async () => {
    const page = await deleted(broken);
    dispatchEvent(new Event("pagehide"));
    expect(deletions()).toEqual(["DELETE /api/chats/c1 beyond the page"]);
    expect(page.left().slice(1)).toEqual(["", 0]);
  });
});

describe("a sent message", () => {
  it("creates a chat with its address, row and chosen model", async () => {
    const model = { id: "m", name: "M", demo: false };
    answers["GET /api/models"] = [() => Response.json({ models: [model] })];
    const { chats, place, send } = await withChats(row("c9"));
    const { models } = await import("./models");
    await until(() => expect(models.getState().offered).toEqual([model]));
    const before = history.length;
    expect(send("c1", `  Hello \n there ${"x".repeat(100)}`)).toBe(true);
    expect([place.getState().chat, location.pathname, history.length]).toEqual(["c1", "/c/c1", before]);
    await until(() => expect(wire.posted[0]?.body).toMatchObject({ model: "m" }));
    await until(() => expect(chats.getState().rows).toHaveLength(2));
    const title = `Hello there ${"x".repeat(68)}`;
    expect(chats.getState().rows.at(-1)).toMatchObject({ id: "c1", title, active: true });
    expect(times("/api/chats/c1")).toBe(0); // a new chat is not loaded
  });

  it("to a listed chat follows its last message and keeps its address", async () => {
    wire.ask("m1", "Hello");
    wire.finish();
    const { place, send } = await withChats(row("c1"));
    const { go } = await import("./router");
    go("c1", { leaf: "m1" });
    send("c1", "And?");
    await until(() => expect(wire.posted[0]?.body).toMatchObject({ parentId: "a1" }));
    expect([times("/api/chats/c1"), place.getState().leaf]).toEqual([1, "m1"]);
  });

  it("activates a listed chat, and may be another version of a message", async () => {
    wire.ask("m1", "Hello");
    wire.finish();
    const { chats, conversationOf, send } = await withChats(row("c2"), row("c1"));
    const conversation = conversationOf("c1");
    conversation.enter();
    await until(() => expect(conversation.store.getState().loading).toBe("ready"));
    send("c1", "Hi", "m1");
    await until(() => expect(wire.posted[0]?.body).toMatchObject({ messageId: "m1" }));
    expect(wire.posted[0]?.body).not.toHaveProperty("model");
    await until(() => expect(chats.getState().rows).toEqual([row("c1", { active: true }), row("c2")]));
  });

  it("is also sent by this tab when another one wrote it", async () => {
    const { conversationOf } = await withChats();
    const conversation = conversationOf("c1");
    await until(() => expect(conversation.store.getState().loading).toBe("ready"));
    const item = { id: "m1", chat: "c1", text: "Hello", at: 1 };
    localStorage.setItem("dls:outbox:m1", JSON.stringify(item));
    dispatchEvent(new StorageEvent("storage", { key: "dls:outbox:m1" }));
    await until(() => expect(wire.posted.map(({ key }) => key)).toEqual(["m1"]));
  });

  it("is sent by one tab at a time, until the server has accepted it", async () => {
    const held = stubLocks();
    const { conversationOf, send } = await withChats();
    const sending = () => held.filter((name) => name.startsWith("dls:send:"));
    let refuse = (_: Response): void => undefined;
    wire.refusals.push(() => new Promise((resolve) => (refuse = resolve)));
    send("c1", "Hello");
    await until(() => expect(wire.posted).toHaveLength(1));
    conversationOf("c1").enter();
    expect(sending()).toEqual([`dls:send:${wire.posted[0]?.key}`]);
    refuse(new Response(null, { status: 503 }));
    await until(() => expect(sending()).toEqual([])); // while the answer is being written
    expect(wire.run?.ended).toBe(false);
  });
});

describe("an event of the feed", () => {
  it("of an answer that ended in another chat is announced", async () => {
    const { announcement } = await withChats(row("c1"));
    const { go } = await import("./router");
    const ended = (id: string): FeedEvent => ({
      ...{ type: "run-ended", chat: row(id), run: "r", message: "a", status: "finished" },
    });
    go("c1");
    Source.last.emit(ended("c1"), "p1");
    expect(announcement.getState().text).toBe("");
    Source.last.emit(ended("c2"), "p2");
    expect(announcement.getState().text).toBe(words.answeredElsewhere("Chat c2"));
    Source.last.emit({ type: "chat-renamed", chat: row("c3") }, "p3");
    expect(announcement.getState().count).toBe(1);
  });

  it("about a deletion reaches the open chat", async () => {
    const { conversationOf } = await withChats(row("c1"));
    const conversation = conversationOf("c1");
    conversation.enter();
    await until(() => expect(conversation.store.getState().loading).toBe("ready"));
    answers["GET /api/chats/c1"] = [gone];
    for (const id of ["unopened", "c1"]) Source.last.emit({ type: "chat-deleted", id }, id);
    await until(() => expect(conversation.store.getState().loading).toBe("missing"));
  });
});

describe("a chat that was deleted elsewhere", () => {
  it("leaves no draft and no waiting message, also not from a composer that shows it", async () => {
    await withChats(row("c1"), row("c2"));
    const { readDraft, writeDraft } = await import("./drafts");
    const { addToOutbox, outboxOf } = await import("./outbox");
    for (const chat of ["c1", "c2"]) {
      writeDraft(chat, "Half");
      addToOutbox({ id: `m-${chat}`, chat, text: "Hello", refused: "No." });
    }
    Source.last.emit({ type: "chat-deleted", id: "c1" }, "p1");
    writeDraft("c1", "Half");
    const left = (chat: string) => [readDraft(chat), outboxOf(chat).length];
    expect([left("c1"), left("c2")]).toEqual([["", 0], ["Half", 1]]);
  });
});

describe("a chat that is opened", () => {
  it("shows the version in its address while it is the shown chat", async () => {
    const { conversationOf } = await withChats();
    const { go } = await import("./router");
    const leaves: unknown[] = [];
    vi.stubGlobal("fetch", async (input: string) => {
      leaves.push(new URL(input, "http://server").searchParams.get("leaf"));
      return Response.json(wire.snapshot());
    });
    go("c1", { leaf: "m1" });
    conversationOf("c1");
    conversationOf("c2");
    await until(() => expect(leaves).toEqual(["m1", null]));
  });

  it("reports an expired session when the server rejects the visitor", async () => {
    const { conversationOf, page } = await withChats();
    answers["GET /api/chats/c1"] = [() => new Response(null, { status: 401 })];
    conversationOf("c1");
    await until(() => expect(page.getState().expired).toBe(true));
  });

  it("counts as a follower only while it follows an answer", async () => {
    const held = stubLocks();
    wire.ask("m1", "Hello");
    const { conversationOf } = await withChats(row("c1"));
    conversationOf("c9"); // follows nothing
    const follows = () => held.includes("dls:following");
    const conversation = conversationOf("c1");
    conversation.enter();
    await until(() => expect(conversation.store.getState().status).toBe("streaming"));
    expect(follows()).toBe(true);
    vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    document.dispatchEvent(new Event("visibilitychange")); // four tabs follow: a hidden one disconnects
    await until(() => expect(follows()).toBe(false));
    vi.spyOn(document, "visibilityState", "get").mockReturnValue("visible");
    document.dispatchEvent(new Event("visibilitychange"));
    await until(() => expect(follows()).toBe(true));
    wire.finish();
    await until(() => expect(follows()).toBe(false));
  });
});

describe("a chat that is viewed", () => {
  it("is read once its answer has ended on a visible page", async () => {
    const { chats, place } = await withChats(row("c1"), row("c2", { active: true }), row("c3"));
    const { go } = await import("./router");
    const seen = () => Object.keys(chats.getState().seen);
    const isSeen = vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    go("c1");
    expect([place.getState().chat, seen()]).toEqual(["c1", []]);
    isSeen.mockReturnValue("visible");
    document.dispatchEvent(new Event("visibilitychange"));
    expect(seen()).toEqual(["c1"]);
    go("c2");
    expect(seen()).toEqual(["c1"]);
    Source.last.emit({ type: "chat-renamed", chat: row("c2") }, "p1");
    go("c3");
    expect(seen().sort()).toEqual(["c1", "c2", "c3"]);
  });
});

describe("the chats that are kept open", () => {
  it("are the last four idle ones, and those with a waiting message", async () => {
    answers["GET /api/chats/c1"] = [gone];
    const { conversationOf } = await withChats();
    const { addToOutbox } = await import("./outbox");
    const { go } = await import("./router");
    const waiting = conversationOf("w");
    for (const [id, chat] of [["m1", "w"], ["m2", "unopened"]] as const) {
      addToOutbox({ id, chat, text: "Hello", refused: "No." });
    }
    go("s");
    const shown = conversationOf("s");
    const [a, b] = [conversationOf("a"), conversationOf("b")];
    for (const id of ["c", "d"]) conversationOf(id);
    expect(conversationOf("a")).toBe(a); // used again: b is the oldest now
    conversationOf("e");
    expect([conversationOf("s"), conversationOf("w"), conversationOf("a")]).toEqual([shown, waiting, a]);
    expect(conversationOf("b")).not.toBe(b);
  });
});
