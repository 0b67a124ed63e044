/** The assembled parts of the page, with an in-memory server. */
import { expect, vi } from "vitest";
import type { ChatRow } from "../model";
import { newPage } from "./page";
import { Source } from "./source";
import { until } from "./wait";
import { Wire } from "./wire";

export let wire: Wire;
export let asked: string[];
/** Whether the server recognises the browser, for each request. */
let known: boolean[];
/** Answers for a method and a path that replace the server's; the last one stays. */
export let answers: Record<string, (() => Response | Promise<Response>)[]>;
let leavePage: () => void;

/** A browser at the root, new to the server. Leave it afterwards. */
export function newApp(): void {
  localStorage.clear();
  history.replaceState(null, "", "/");
  leavePage = newPage();
  [wire, asked, known, answers] = [new Wire(), [], [true], {}];
  Source.opened = [];
  vi.stubGlobal("EventSource", Source);
  vi.stubGlobal("BroadcastChannel", undefined);
  vi.stubGlobal("fetch", serve);
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener: () => undefined }));
  vi.resetModules();
}

export function leaveApp(): void {
  dispatchEvent(new Event("pagehide")); // the feed ends
  leavePage();
  vi.unstubAllGlobals();
  vi.useRealTimers();
  vi.restoreAllMocks();
}

/** Set whether the server recognises the browser, for each request. */
export function willBeKnown(...answers: boolean[]): void {
  known = answers;
}

async function serve(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const url = new URL(String(input), "http://server");
  const path = url.pathname;
  const method = init?.method ?? "GET";
  asked.push(method === "GET" ? path : `${method} ${path}${init?.keepalive ? " beyond the page" : ""}`);
  const given = answers[`${method} ${path}`] ?? [];
  const answer = given.length > 1 ? given.shift() : given[0];
  if (answer) return answer();
  if (path === "/api/models") return Response.json({ models: [] });
  if (path === "/api/chats") return Response.json({ chats: [], next: null });
  if (path === "/api/visitor") return Response.json({ known: known.shift() ?? false });
  if (path === "/api/chats/c1") return Response.json(wire.snapshot());
  return wire.fetch(url, init);
}

export const times = (path: string): number => asked.filter((one) => one === path).length;

/** A page that has started; a message of an earlier visit may wait. */
export async function begun(waiting?: string) {
  const { addToOutbox } = await import("../outbox");
  if (waiting !== undefined) addToOutbox({ id: "m1", chat: "c1", text: waiting });
  const app = await import("../app");
  const { page } = await import("../notices");
  app.start();
  await until(() => expect(asked).toEqual(expect.arrayContaining(["/api/models", "/api/chats"])));
  await until(() => expect(known).toEqual([]));
  return { ...app, page };
}

const at = "2126-01-01T00:00:00Z";
export const row = (id: string, more: Partial<ChatRow> = {}): ChatRow => ({
  ...{ id, title: `Chat ${id}`, created_at: at, updated_at: at, active: false },
  ...more,
});

/** A page that has started with these chats in its list. */
export async function withChats(...rows: ChatRow[]) {
  answers["GET /api/chats"] = [() => Response.json({ chats: rows, next: null })];
  const app = await begun();
  const { chats } = await import("../chats");
  await until(() => expect(chats.getState().loaded).toBe(true));
  const { announcement } = await import("../notices");
  const { place } = await import("../router");
  const toasts = () => app.page.getState().toasts.map(({ text }) => text);
  return { ...app, chats, announcement, place, toasts };
}

export const gone = () => new Response(null, { status: 404 });
export const broken = () => new Response(null, { status: 500 });
