/** A chat with an in-memory server, whose answers a test can replace. */
import type { UIMessageChunk } from "ai";
import { expect } from "vitest";
import { refusal, ResumableChatTransport, type TransportError } from "@/transport/index";
import { Conversation } from "../conversation";
import { type FeedEvent, type Message, type RunNotice, type Snapshot, textOf } from "../model";
import { addToOutbox, type OutboxItem, removeChatFromOutbox } from "../outbox";
import { explain, until } from "./wait";
import { problem, Wire } from "./wire";

interface Faults {
  /** Answers a stream or stop request in place of the server; once each. */
  stream: (() => Response | Promise<Response>)[];
  stop: (() => Response)[];
  /** The same for a snapshot. */
  load: ((leaf: string | null) => Snapshot | Promise<Snapshot>)[];
}

export let wire: Wire;
export let conversation: Conversation;
export let transport: ResumableChatTransport<Message>;
export let faults: Faults;
/** How many requests of a kind there were. */
export let counts: { streams: number; stops: number };
/** The messages that the server has accepted. */
export let accepted: OutboxItem[];
export let unauthorized: TransportError[];

const fetchOverFaults: typeof fetch = async (input, init) => {
  const isStop = String(input).includes("/stop");
  const isStream = String(input).endsWith("/stream");
  if (isStop) counts.stops++;
  if (isStream) counts.streams++;
  const fault = isStop ? faults.stop.shift() : isStream ? faults.stream.shift() : undefined;
  return fault ? fault() : wire.fetch(input, init);
};

function load(): Snapshot {
  if (wire.exists) return wire.snapshot();
  throw refusal(problem(404, "chat-not-found", "No such chat."), "", 0);
}

/** A chat that is shown and not loaded yet. Close the conversation afterwards. */
export function newTalk(): void {
  localStorage.clear();
  removeChatFromOutbox("c1");
  wire = new Wire();
  faults = { stream: [], stop: [], load: [] };
  counts = { streams: 0, stops: 0 };
  [accepted, unauthorized] = [[], []];
  transport = new ResumableChatTransport({
    api: "http://server/api/chat",
    fetch: fetchOverFaults,
    backoff: { minMs: 1, maxMs: 2 },
    stopMs: 20,
  });
  conversation = new Conversation("c1", {
    api: {
      getChat: async (_, leaf = null) => {
        wire.loads++;
        return (faults.load.shift() ?? load)(leaf);
      },
    },
    transport,
    schedule: (run) => void queueMicrotask(run),
    pause: () => Promise.resolve(),
    exclusively: (_, work) => work(),
    onAccepted: (_, item) => accepted.push(item),
    onUnauthorized: (error) => unauthorized.push(error),
  });
  conversation.enter();
  explain(() => {
    const { loading, status, problem, notice } = view();
    return { texts: texts(), loading, status, problem, notice, counts, loads: wire.loads, log: wire.run?.log };
  });
}

export const view = () => conversation.store.getState();
export const texts = (): string[] => view().messages.map((message) => textOf(message));
export const shows = (...expected: string[]): Promise<void> =>
  until(() => expect(texts()).toEqual(expected));
export const isIdle = (): Promise<void> => until(() => expect(view().status).toBe("ready"));

export const refuse = (status: number, name: string) => () =>
  problem(status, name, `It is ${name}.`);
export const nothing = () => new Response(null, { status: 204 });

export function notice(data: RunNotice): UIMessageChunk {
  return { type: "data-run", data, transient: true };
}

export function event(
  type: "run-started" | "run-ended",
  run: string,
  message: string,
): FeedEvent {
  const what = { chat: wire.snapshot(), run, message };
  return type === "run-started" ? { ...what, type } : { ...what, type, status: "finished" };
}

export function send(id: string, text: string, more: Partial<OutboxItem> = {}): void {
  addToOutbox({ id, chat: "c1", text, ...more });
  void conversation.deliver();
}

/** A question, and a followed answer with this text so far. */
export async function asked(half: string): Promise<void> {
  conversation.begin();
  send("m1", "Hello");
  await until(() => expect(view().status).toBe("streaming"));
  wire.writeText(half);
  await shows("Hello", half);
}

/** Cuts the stream; resolves when another one was requested. */
export async function cut(): Promise<void> {
  const before = counts.streams;
  dispatchEvent(new Event("offline"));
  await until(() => expect(counts.streams).toBeGreaterThan(before));
}
