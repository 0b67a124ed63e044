// @vitest-environment jsdom
/** The page's parts together, over a server in memory: what the feed and the first visit lead to. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { newPage } from "./testing/page";
import { Source } from "./testing/source";
import { Wire } from "./testing/wire";

let wire: Wire;
let asked: string[];
/** Whether the server knows the browser, for each time that it is asked. */
let known: boolean[];
let leavePage: () => void;

beforeEach(() => {
  localStorage.clear();
  history.replaceState(null, "", "/");
  leavePage = newPage();
  [wire, asked, known] = [new Wire(), [], [true]];
  Source.opened = [];
  vi.stubGlobal("EventSource", Source);
  vi.stubGlobal("BroadcastChannel", undefined);
  vi.stubGlobal("fetch", serve);
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener: () => undefined }));
  vi.resetModules();
});
afterEach(() => {
  leavePage();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

async function serve(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const url = new URL(String(input), "http://server");
  const path = url.pathname;
  asked.push(path);
  if (path === "/api/models") return Response.json({ models: [] });
  if (path === "/api/chats") return Response.json({ chats: [], next: null });
  if (path === "/api/visitor") return Response.json({ known: known.shift() ?? false });
  if (path === "/api/chats/c1") return Response.json(wire.snapshot());
  return wire.fetch(url, init);
}

const times = (path: string): number => asked.filter((one) => one === path).length;
const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 4_000, interval: 2 });

/** A page that has begun; a message of an earlier visit may wait. */
async function begun(waiting?: string) {
  const { addToOutbox } = await import("./outbox");
  if (waiting !== undefined) addToOutbox({ id: "m1", chat: "c1", text: waiting });
  const app = await import("./app");
  const { page } = await import("./notices");
  app.start();
  await until(() => expect([times("/api/models"), times("/api/chats")]).toEqual([1, 1]));
  await until(() => expect(known).toEqual([]));
  return { ...app, page };
}

describe("a feed that was opened", () => {
  it("with a gap lists the chats again, and loads the one that is open", async () => {
    wire.ask("m1", "Hello");
    wire.finish();
    const { conversationOf } = await begun();
    const conversation = conversationOf("c1");
    conversation.enter();
    await until(() => expect(conversation.store.getState().loading).toBe("ready"));
    Source.last.tell({ type: "open", complete: true }, "p1");
    Source.last.tell({ type: "open", complete: false }, "p2");
    await until(() => expect([times("/api/chats"), times("/api/chats/c1")]).toEqual([2, 2]));
    Source.last.tell({ type: "open", complete: true }, "p3");
    Source.last.tell({ type: "open", complete: false }, "p4");
    await until(() => expect([times("/api/chats"), times("/api/chats/c1")]).toEqual([3, 3]));
  });

  it("is shown as up; a loss is shown when it lasts", async () => {
    const { page } = await begun();
    vi.useFakeTimers();
    Source.last.tell({ type: "open", complete: true }, "p1");
    expect(page.getState().feed).toBe("up");
    Source.last.fail();
    await vi.advanceTimersByTimeAsync(500);
    Source.last.tell({ type: "open", complete: true }, "p1");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(page.getState().feed).toBe("up");
    for (let i = 0; i < 4; i++) {
      Source.last.fail();
      await vi.advanceTimersByTimeAsync(500);
    }
    expect(page.getState().feed).toBe("down");
    await vi.advanceTimersByTimeAsync(20_000);
    Source.last.tell({ type: "open", complete: true }, "p2");
    expect(page.getState().feed).toBe("up");
    await vi.advanceTimersByTimeAsync(20_000);
    expect(page.getState().feed).toBe("up");
    vi.useRealTimers();
  });
});

describe("what an earlier visit could not send", () => {
  it.each([
    ["the server knows the browser", [true]],
    ["its first answer brought the cookie", [false, true]],
  ])("is sent when %s", async (_, answers) => {
    known = [...answers];
    const { page } = await begun("From a train");
    await until(() => expect(wire.posted.map(({ key }) => key)).toEqual(["m1"]));
    expect(page.getState().cookieless).toBe(false);
    expect(times("/api/visitor")).toBe(answers.length);
  });

  it("stays, and nothing more is taken, while no cookie comes back", async () => {
    known = [false, false];
    const { page, send } = await begun("From a train");
    await until(() => expect(page.getState().cookieless).toBe(true));
    expect(send("c2", "More")).toBe(false);
    const { outbox } = await import("./outbox");
    expect(outbox.getState().map(({ id }) => id)).toEqual(["m1"]);
    expect(wire.posted).toEqual([]);
  });
});
