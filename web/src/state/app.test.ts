// @vitest-environment jsdom
/** The start of a page, its feed, and messages left by an earlier visit. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { words } from "@/words";
import { answers, begun, broken, leaveApp, newApp, row, times, willBeKnown, wire } from "./testing/app";
import { Source } from "./testing/source";
import { until } from "./testing/wait";

beforeEach(newApp);
afterEach(leaveApp);

describe("the start of a page", () => {
  it("retries to load models and chats, and reports a failed list", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const model = { id: "m", name: "M", demo: false };
    answers["GET /api/models"] = [broken, () => Response.json({ models: [model] })];
    answers["GET /api/chats"] = [broken, () => Response.json({ chats: [row("c1")], next: null })];
    await begun();
    const { chats } = await import("./chats");
    const { models } = await import("./models");
    await until(() => expect(chats.getState().failed).toBe(true));
    dispatchEvent(new Event("online")); // ends the delays
    await until(() => expect(models.getState().offered).toEqual([model]));
    await until(() => expect(chats.getState()).toMatchObject({ failed: false, rows: [row("c1")] }));
    expect([times("/api/models"), times("/api/chats")]).toEqual([2, 2]);
  });

  it("waits as long as the server asks, with a growing backoff", async () => {
    vi.useFakeTimers();
    const busy = () => new Response(null, { status: 503, headers: { "retry-after": "20" } });
    answers["GET /api/models"] = [busy, broken, () => Response.json({ models: [] })];
    vi.spyOn(Math, "random").mockReturnValue(1);
    const { start } = await import("./app");
    start();
    for (const [ms, asked] of [[19_999, 1], [1, 2], [799, 2], [1, 3]] as const) {
      await vi.advanceTimersByTimeAsync(ms);
      expect(times("/api/models")).toBe(asked);
    }
  });

  it("does not retry after the session has expired", async () => {
    answers["GET /api/models"] = [() => new Response(null, { status: 401 })];
    const { page } = await begun();
    await until(() => expect(page.getState().expired).toBe(true));
    dispatchEvent(new Event("online"));
    await new Promise((resolve) => setTimeout(resolve));
    expect(times("/api/models")).toBe(1);
  });

  it("follows the network, the other tabs, the address and the feed", async () => {
    const { page } = await begun();
    expect(Source.last.url).toBe("/api/events");
    vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
    dispatchEvent(new Event("offline"));
    expect(page.getState().offline).toBe(true);
    const { chats } = await import("./chats");
    localStorage.setItem("dls:seen", '{"c1":"2126"}');
    dispatchEvent(new StorageEvent("storage", { key: "dls:seen" }));
    expect(chats.getState().seen).toEqual({ c1: "2126" });
    localStorage.setItem("dls:theme", "dark");
    dispatchEvent(new StorageEvent("storage", { key: "dls:theme" }));
    expect(document.documentElement.className).toBe("dark");
    const { place } = await import("./router");
    history.replaceState(null, "", "/c/c7");
    dispatchEvent(new PopStateEvent("popstate"));
    expect(place.getState().chat).toBe("c7");
  });

  it("notices that a part is missing after a deployment", async () => {
    const { page } = await begun();
    answers["GET /healthz"] = [() => new Response()];
    dispatchEvent(new Event("vite:preloadError"));
    await until(() => expect(page.getState().stale).toBe(true));
  });
});

describe("an open feed", () => {
  it("with a gap reloads the list and the open chat", async () => {
    wire.ask("m1", "Hello");
    wire.finish();
    const { conversationOf } = await begun();
    const conversation = conversationOf("c1");
    conversation.enter();
    await until(() => expect(conversation.store.getState().loading).toBe("ready"));
    Source.last.emit({ type: "open", complete: true }, "p1");
    Source.last.emit({ type: "open", complete: false }, "p2");
    await until(() => expect([times("/api/chats"), times("/api/chats/c1")]).toEqual([2, 2]));
    Source.last.emit({ type: "open", complete: true }, "p3");
    Source.last.emit({ type: "open", complete: false }, "p4");
    await until(() => expect([times("/api/chats"), times("/api/chats/c1")]).toEqual([3, 3]));
  });

  it("is shown as up; a loss is shown only after a delay", async () => {
    const { page } = await begun();
    vi.useFakeTimers();
    Source.last.emit({ type: "open", complete: true }, "p1");
    expect(page.getState().feed).toBe("up");
    Source.last.fail();
    await vi.advanceTimersByTimeAsync(500);
    Source.last.emit({ type: "open", complete: true }, "p1");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(page.getState().feed).toBe("up");
    for (let i = 0; i < 4; i++) {
      Source.last.fail();
      await vi.advanceTimersByTimeAsync(500);
    }
    expect(page.getState().feed).toBe("down");
    await vi.advanceTimersByTimeAsync(20_000);
    Source.last.emit({ type: "open", complete: true }, "p2");
    expect(page.getState().feed).toBe("up");
    await vi.advanceTimersByTimeAsync(20_000);
    expect(page.getState().feed).toBe("up");
  });
});

describe("a message left by an earlier visit", () => {
  it.each([
    ["the server knows the browser", [true]],
    ["its first answer brought the cookie", [false, true]],
  ])("is sent when %s", async (_, answers) => {
    willBeKnown(...answers);
    const { page, transport } = await begun("From a train");
    await until(() => expect(wire.posted.map(({ key }) => key)).toEqual(["m1"]));
    await until(() => expect(transport.getState("c1")).toMatchObject({ phase: "idle", runId: "01run1" }));
    expect(page.getState().cookieless).toBe(false);
    expect(times("/api/visitor")).toBe(answers.length);
  });

  it("stays while cookies are blocked, and no other is accepted", async () => {
    willBeKnown(false, false);
    const { page, send } = await begun("From a train");
    await until(() => expect(page.getState().cookieless).toBe(true));
    expect(send("c2", "More")).toBe(false);
    const { announcement } = await import("./notices");
    expect(announcement.getState().text).toBe(words.noCookies);
    const { outbox } = await import("./outbox");
    expect(outbox.getState().map(({ id }) => id)).toEqual(["m1"]);
    expect(wire.posted).toEqual([]);
  });
});
