// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FeedEvent } from "./model";
import { newPage } from "./testing/page";
import { Source } from "./testing/source";

let received: string[];
let leavePage: () => void;
let Feed: typeof import("./feed").Feed;

beforeEach(async () => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(1); // delays of 400 ms, 800 ms, …
  vi.stubGlobal("EventSource", Source);
  vi.stubGlobal("BroadcastChannel", undefined);
  leavePage = newPage();
  Source.opened = [];
  received = [];
  await underPath("/");
});
afterEach(() => {
  leavePage();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

async function underPath(path: string): Promise<void> {
  document.head.innerHTML = `<base href="${path}" />`;
  vi.resetModules();
  ({ Feed } = await import("./feed"));
}

function start(): void {
  const onEvent = (event: FeedEvent): number =>
    received.push(event.type === "open" ? `open ${event.complete ? "complete" : "with a gap"}` : event.type);
  new Feed("/api/events", { onEvent, onStatus: (status) => received.push(status) }).start();
}

const open = (complete: boolean): FeedEvent => ({ type: "open", complete });
const deleted: FeedEvent = { type: "chat-deleted", id: "c1" };
const asked = (): string[] => Source.opened.map(({ url }) => url);
const passes = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

function setHidden(hidden: boolean): void {
  vi.spyOn(document, "visibilityState", "get").mockReturnValue(hidden ? "hidden" : "visible");
  document.dispatchEvent(new Event("visibilitychange"));
}

describe("the feed", () => {
  it("resumes after its last event at each reconnect", async () => {
    start();
    expect(asked()).toEqual(["/api/events"]);
    Source.last.emit(open(true), "p/1");
    Source.last.emit(deleted, "p/2");
    expect(received).toEqual(["up", "open complete", "chat-deleted"]);
    Source.last.fail();
    await passes(400);
    expect(asked().slice(1)).toEqual(["/api/events?after=p%2F2"]);
    Source.last.fail(); // no event: the position stays
    await passes(400);
    Source.last.emit(open(true), "p/3");
    Source.last.fail();
    await passes(400);
    expect(asked().slice(2)).toEqual(["/api/events?after=p%2F2", "/api/events?after=p%2F3"]);
  });

  it("reports up and down, and whether it has a gap", async () => {
    start();
    Source.last.emit(open(true), "p1");
    Source.last.fail();
    await passes(400);
    Source.last.emit(open(false), "p9");
    expect(received).toEqual(["up", "open complete", "down", "up", "open with a gap"]);
    expect(Source.opened.map(({ isClosed }) => isClosed)).toEqual([true, false]);
  });

  it("has a growing backoff, reset by an event", async () => {
    start();
    const waits = async (ms: number): Promise<void> => {
      const before = Source.opened.length;
      Source.last.fail();
      await passes(ms - 1);
      expect(Source.opened).toHaveLength(before);
      await passes(1);
      expect(Source.opened).toHaveLength(before + 1);
    };
    for (const ms of [400, 800, 1_600]) await waits(ms);
    Source.last.emit(open(true), "p1");
    for (const ms of [400, 400, 800]) await waits(ms);
  });

  it("reconnects when the network is back", async () => {
    start();
    Source.last.emit(open(true), "p1");
    dispatchEvent(new Event("offline"));
    expect(Source.last.isClosed).toBe(true);
    await passes(0);
    dispatchEvent(new Event("online"));
    await passes(0);
    expect(asked()).toEqual(["/api/events", "/api/events?after=p1"]);
  });

  it("disconnects on a page hidden for 30 seconds, and resumes later", async () => {
    start();
    Source.last.emit(open(true), "p1");
    setHidden(true);
    await passes(29_999);
    expect(Source.last.isClosed).toBe(false);
    await passes(1);
    expect(Source.last.isClosed).toBe(true);
    await passes(60_000);
    expect(Source.opened).toHaveLength(1);
    setHidden(false);
    expect(asked()).toEqual(["/api/events", "/api/events?after=p1"]);
  });

  it("stays connected on a page that is visible again within 30 seconds", async () => {
    start();
    setHidden(true);
    await passes(29_000);
    setHidden(false);
    await passes(60_000);
    expect([Source.opened.length, Source.last.isClosed]).toEqual([1, false]);
  });

  it("has one connection, however often the page becomes visible", () => {
    start();
    setHidden(true);
    setHidden(false);
    setHidden(false);
    expect(Source.opened).toHaveLength(1);
  });
});

describe("the feed of several tabs", () => {
  /** The tabs of a browser: a message of one reaches the other channels of its name. */
  class Channel {
    static all: Channel[] = [];
    onmessage: ((event: { data: unknown }) => void) | null = null;

    constructor(readonly name: string) {
      Channel.all.push(this);
    }

    postMessage(data: unknown): void {
      for (const other of Channel.all) {
        if (other !== this && other.name === this.name) other.onmessage?.({ data });
      }
    }
  }

  beforeEach(async () => {
    Channel.all = [];
    vi.stubGlobal("BroadcastChannel", Channel);
    await underPath("/");
  });

  it("is published by its reader, and resumed by another tab", async () => {
    start();
    const other = new Channel("dls:feed");
    const published: unknown[] = [];
    other.onmessage = ({ data }) => published.push(data);
    Source.last.emit(open(true), "p1");
    expect(published).toEqual([{ status: "up" }, { event: open(true), position: "p1" }]);
    other.postMessage({ event: deleted, position: "p2" });
    expect(received).toEqual(["up", "open complete", "chat-deleted"]);
    Source.last.fail();
    await passes(400);
    expect(asked()).toEqual(["/api/events", "/api/events?after=p2"]);
  });

  it("is separate for an instance under another path", async () => {
    await underPath("/chat/");
    start();
    new Channel("dls:feed").postMessage({ event: deleted, position: "p2" });
    expect(received).toEqual([]);
    expect(Channel.all[0]?.name).toBe("dls:/chat/:feed");
  });
});

describe("the feed of a page that is left", () => {
  const shown = (persisted: boolean): void => {
    dispatchEvent(Object.assign(new Event("pageshow"), { persisted }));
  };

  it("ends, and resumes when the page is restored from the cache", async () => {
    start();
    Source.last.emit(open(true), "p1");
    shown(false); // the first showing of the page
    dispatchEvent(new Event("pagehide"));
    expect([Source.opened.length, Source.last.isClosed]).toEqual([1, true]);
    await passes(0);
    expect(received).toEqual(["up", "open complete"]);
    shown(false);
    expect(Source.opened).toHaveLength(1);
    shown(true);
    expect(asked()).toEqual(["/api/events", "/api/events?after=p1"]);
  });

  it("is not requested again during a delay", async () => {
    start();
    Source.last.fail();
    dispatchEvent(new Event("pagehide"));
    await passes(60_000);
    expect(Source.opened).toHaveLength(1);
  });
});

describe("the feed's lock", () => {
  /** The browser's locks: one tab at a time, in their order. */
  function stubLocks() {
    const asked: string[] = [];
    let last: Promise<unknown> = Promise.resolve();
    const request = (name: string, { signal }: { signal: AbortSignal }, lead: () => Promise<void>) => {
      asked.push(name);
      const aborted = new Promise<never>((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error)),
      );
      const before = last;
      let leads = false;
      const led = before.then(() => (signal.aborted ? undefined : ((leads = true), lead())));
      last = led;
      return Promise.race([led, aborted.catch((error: unknown) => (leads ? led : Promise.reject(error)))]);
    };
    vi.stubGlobal("navigator", { locks: { request } });
    return asked;
  }

  it("lets one tab read at a time, and is released when the page is left", async () => {
    const locks = stubLocks();
    start();
    start();
    await passes(0);
    expect([locks, Source.opened.length]).toEqual([["dls:feed", "dls:feed"], 1]);
    Source.last.fail(); // a delay
    dispatchEvent(new Event("pagehide")); // both
    await passes(0);
    setHidden(false);
    await passes(0);
    expect([locks.length, Source.opened.length]).toEqual([4, 2]);
  });
});
