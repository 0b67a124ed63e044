// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

beforeEach(() => {
  vi.resetModules();
  document.head.innerHTML = "";
  localStorage.clear();
});
afterEach(() => {
  history.replaceState(null, "", "/");
  vi.unstubAllGlobals();
});

/** The modules as on a page that is served under a path. */
function under(path: string): void {
  document.head.innerHTML = `<base href="${path}" />`;
}

describe("an interface under a path", () => {
  it("sends its requests to that path", async () => {
    under("/chat/");
    const { Api } = await import("./api");
    const asked: string[] = [];
    const api = new Api(async (input) => {
      asked.push(String(input));
      return Response.json({ models: [], chats: [], next: null, known: true });
    });
    await api.models();
    await api.listChats({ limit: 5 });
    await api.getChat("a b", "m1");
    await api.delete("c1");
    await api.isKnown();
    expect(asked).toEqual([
      "/chat/api/models",
      "/chat/api/chats?limit=5",
      "/chat/api/chats/a%20b?leaf=m1",
      "/chat/api/chats/c1",
      "/chat/api/visitor",
    ]);
    vi.stubGlobal("fetch", async (input: string) => Response.json({ stopped: asked.push(input) }));
    const { transport } = await import("./app");
    await transport.stop("c1");
    expect(asked.at(-1)).toBe("/chat/api/chat/c1/stop");
  });

  it("has its chats under that path", async () => {
    under("/a/b/");
    history.replaceState(null, "", "/a/b/c/one?leaf=m1");
    const { go, href, place } = await import("./router");
    expect(place.getState()).toEqual({ chat: "one", leaf: "m1" });
    expect([href(null), href("x/y")]).toEqual(["/a/b/", "/a/b/c/x%2Fy"]);
    go("two");
    expect(location.pathname).toBe("/a/b/c/two");
    go(null);
    expect(location.pathname).toBe("/a/b/");
  });

  it("accepts no chat address outside of that path", async () => {
    under("/chat/");
    history.replaceState(null, "", "/c/one");
    const { place } = await import("./router");
    expect(place.getState().chat).toBeNull();
  });

  it("shares no storage with another instance", async () => {
    const root = await import("./storage");
    root.write("draft:new", "Root");
    vi.resetModules();
    under("/chat/");
    const chat = await import("./storage");
    expect(chat.read("draft:new")).toBeNull();
    chat.write("draft:new", "Chat");
    expect(chat.namesOf("draft:")).toEqual(["draft:new"]);
    expect(root.namesOf("draft:")).toEqual(["draft:new"]);
    expect([root.read("draft:new"), chat.read("draft:new")]).toEqual(["Root", "Chat"]);
    const { scope } = await import("./base");
    expect(scope).toBe("dls:/chat/:");
  });

  it("sends no message of another instance", async () => {
    const root = await import("./outbox");
    root.addToOutbox({ id: "m1", chat: "c1", text: "Root" });
    vi.resetModules();
    under("/chat/");
    const chat = await import("./outbox");
    expect(chat.outbox.getState()).toEqual([]);
    chat.addToOutbox({ id: "m2", chat: "c1", text: "Chat" });
    chat.removeFromOutbox("m1");
    vi.resetModules();
    under("/");
    const again = await import("./outbox");
    expect(again.outbox.getState().map(({ text }) => text)).toEqual(["Root"]);
    expect(chat.outboxOf("c1").map(({ text }) => text)).toEqual(["Chat"]);
    again.addToOutbox({ id: "m2", chat: "c1", text: "Root's own" });
    again.removeChatFromOutbox("c1");
    expect(chat.outboxOf("c1").map(({ text }) => text)).toEqual(["Chat"]);
  });

  it("is at the root by default", async () => {
    history.replaceState(null, "", "/c/one");
    const { at, base, baseOf, scope } = await import("./base");
    expect([base, scope, at("api/chat")]).toEqual(["/", "dls:", "/api/chat"]);
    under("/chat/");
    expect(baseOf(document.querySelector("base"))).toBe("/chat/");
    under("/chat/index.html");
    expect(baseOf(document.querySelector("base"))).toBe("/chat/");
  });
});
