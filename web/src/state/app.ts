/** Assembles the parts of the page for the screens. The only module here with one instance. */
import { ResumableChatTransport, type TransportError } from "@/transport/index";
import { Api } from "./api";
import { at, scope } from "./base";
import {
  chats,
  dropChat,
  hearOfChats,
  hideChat,
  markSeen,
  putChat,
  refreshChats,
  watchSeen,
} from "./chats";
import { Conversation } from "./conversation";
import { Crowd, followers } from "./crowd";
import { watchVisitor } from "./devices";
import { forgetDraft } from "./drafts";
import { Feed } from "./feed";
import { nextFrame } from "./frames";
import { type FeedEvent, type Message, newId, type Snapshot } from "./model";
import { models, currentModel } from "./models";
import { announce, missPart, page, toast, watchNetwork } from "./notices";
import { addToOutbox, outbox, type OutboxItem, removeChatFromOutbox, watchOutbox } from "./outbox";
import { pause } from "./backoff";
import { go, place, watchAddress } from "./router";
import { watchStorage } from "./storage";
import { watchTheme } from "./theme";
import { hasNoCookies } from "./visitor";
import { words } from "@/words";

const UNDO_MS = 7_000;
const SHORT_LOSS_MS = 2_000;
const KEPT_CONVERSATIONS = 4;

export const api = new Api();
export const transport = new ResumableChatTransport<Message>({ api: at("api/chat") });

const conversations = new Map<string, Conversation>();
const watches = new Map<string, () => void>();
const crowd = new Crowd(followers, () => transport.pauseIfHidden());

/** The conversation of a chat, created and loaded at the first call. */
export function conversationOf(id: string, options: { isNew?: boolean } = {}): Conversation {
  let conversation = conversations.get(id);
  if (conversation) conversations.delete(id); // move it to the end: most recently used
  else {
    conversation = new Conversation(id, {
      api: { getChat: openChat },
      transport,
      schedule: nextFrame,
      pause,
      exclusively,
      onAccepted: accepted,
      onUnauthorized: () => page.setState({ expired: true }),
    });
    watches.set(id, transport.subscribe(id, countFollowed));
    if (options.isNew) conversation.begin();
    else void conversation.load(place.getState().chat === id ? place.getState().leaf : null);
  }
  conversations.set(id, conversation);
  forgetOld();
  return conversation;
}

async function openChat(id: string, leaf: string | null): Promise<Snapshot> {
  const snapshot = await api.getChat(id, leaf);
  const { title, created_at, updated_at, active } = snapshot;
  chats.setState({ opened: { id, title, created_at, updated_at, active } });
  return snapshot;
}

/**
 * Send a message. It is stored in the outbox first.
 *
 * @returns whether it was accepted. No message is while cookies are blocked.
 */
export function send(chat: string, text: string, replaces?: string): boolean {
  if (page.getState().cookieless) {
    announce(words.noCookies);
    return false;
  }
  const model = currentModel(models.getState());
  const isNew = !chats.getState().rows.some((row) => row.id === chat);
  const item: Omit<OutboxItem, "at"> = { id: newId(), chat, text };
  if (model) item.model = model.id;
  if (replaces) item.replaces = replaces;
  addToOutbox(item);
  const conversation = conversations.get(chat) ?? conversationOf(chat, { isNew });
  if (place.getState().chat !== chat) go(chat, { replace: true });
  void conversation.deliver();
  return true;
}

/** Send the messages that an earlier visit left in the outbox. */
function flushOutbox(): void {
  for (const chat of new Set(outbox.getState().map((item) => item.chat))) {
    void conversationOf(chat).deliver();
  }
}

export async function rename(id: string, title: string): Promise<void> {
  const { rows, opened } = chats.getState();
  const before = rows.find((row) => row.id === id) ?? (opened?.id === id ? opened : undefined);
  if (before === undefined || title === "" || title === before.title) return;
  putChat({ ...before, title });
  try {
    putChat(await api.rename(id, title));
  } catch {
    putChat(before);
    toast(words.renameFailed);
  }
}

const deletions = new Map<string, ReturnType<typeof setTimeout>>();

/** Delete a chat after a delay, in which the deletion can be undone. */
export function deleteChat(id: string): void {
  hideChat(id, true);
  if (place.getState().chat === id) go(null);
  deletions.set(
    id,
    setTimeout(() => void deleteNow(id), UNDO_MS),
  );
  toast(words.chatDeleted, { label: words.undo, run: () => undelete(id) }, UNDO_MS);
}

function undelete(id: string): void {
  clearTimeout(deletions.get(id));
  if (deletions.delete(id)) hideChat(id, false);
}

async function deleteNow(id: string): Promise<void> {
  deletions.delete(id);
  try {
    await api.delete(id);
  } catch (error) {
    if ((error as TransportError).kind !== "not-found") {
      hideChat(id, false);
      toast(words.deleteFailed);
      return;
    }
  }
  forget(id);
  eraseTexts(id);
  dropChat(id);
  hideChat(id, false);
}

/** Remove what this browser keeps of a deleted chat. */
function eraseTexts(id: string): void {
  removeChatFromOutbox(id);
  forgetDraft(id);
}

/** Start, once, when the page is loaded. */
export function start(): void {
  watchStorage();
  watchTheme();
  watchVisitor();
  watchAddress();
  watchNetwork();
  watchOutbox();
  watchSeen();
  outbox.subscribe(() => void deliverElsewhereWritten());
  addEventListener("pagehide", () => {
    for (const id of deletions.keys()) {
      eraseTexts(id);
      void api.delete(id, { keepalive: true }).catch(() => undefined);
    }
  });
  addEventListener("vite:preloadError", () => void missPart());
  document.addEventListener("visibilitychange", lookedAt);
  place.subscribe(lookedAt);
  chats.subscribe(lookedAt);
  new Feed(at("api/events"), {
    onEvent: onFeedEvent,
    onStatus: hearOfFeed,
  }).start();
  void untilLoaded(async () => models.setState({ offered: await api.models() }));
  void untilLoaded(async () => {
    try {
      await refreshChats(api);
    } catch (error) {
      chats.setState({ failed: true });
      throw error;
    }
  });
  void meet();
}

/** Check that cookies work; then send waiting messages, unless they would be lost. */
async function meet(): Promise<void> {
  const cookieless = await hasNoCookies(api);
  page.setState({ cookieless });
  if (!cookieless) flushOutbox();
}

let feedTimer: ReturnType<typeof setTimeout> | undefined;

/** A short loss is not reported: it is over before the report is read. */
function hearOfFeed(status: "up" | "down"): void {
  if (status === "up") {
    clearTimeout(feedTimer);
    feedTimer = undefined;
    page.setState({ feed: "up" });
  } else feedTimer ??= setTimeout(() => page.setState({ feed: "down" }), SHORT_LOSS_MS);
}

function onFeedEvent(event: FeedEvent): void {
  hearOfChats(event);
  if (event.type === "open") {
    if (!event.complete) {
      void refreshChats(api).catch(() => undefined);
      for (const conversation of conversations.values()) conversation.onFeedEvent(event);
    }
  } else if (event.type === "chat-deleted") {
    eraseTexts(event.id);
    conversations.get(event.id)?.onFeedEvent(event);
  } else {
    conversations.get(event.chat.id)?.onFeedEvent(event);
    if (event.type === "run-ended" && place.getState().chat !== event.chat.id) {
      announce(words.answeredElsewhere(event.chat.title));
    }
  }
}

function accepted(chat: string, item: OutboxItem): void {
  const known = chats.getState().rows.find((row) => row.id === chat);
  const now = new Date().toISOString();
  const title = item.text.replace(/\s+/g, " ").trim().slice(0, 80);
  putChat(known ? { ...known, active: true } : { id: chat, title, created_at: now, updated_at: now, active: true });
}

function lookedAt(): void {
  if (document.visibilityState !== "visible") return;
  const shown = chats.getState().rows.find((row) => row.id === place.getState().chat);
  if (shown && !shown.active) markSeen(shown);
}

/** Show a message that another tab wrote for an open chat. One tab sends it, once. */
function deliverElsewhereWritten(): void {
  for (const conversation of conversations.values()) void conversation.deliver();
}

/** Whether any chat of this tab holds a connection. */
function countFollowed(): void {
  const phases = [...conversations.keys()].map((id) => transport.getState(id).phase);
  crowd.follows = phases.some((phase) => phase !== "idle" && phase !== "ended" && phase !== "paused");
}

function forgetOld(): void {
  const shown = place.getState().chat;
  const idle = [...conversations.values()].filter(
    (conversation) => !conversation.busy && conversation.id !== shown,
  );
  for (const conversation of idle.slice(0, Math.max(0, idle.length - KEPT_CONVERSATIONS))) {
    if (outbox.getState().some((item) => item.chat === conversation.id)) continue;
    forget(conversation.id);
  }
}

function forget(id: string): void {
  conversations.get(id)?.close();
  conversations.delete(id);
  watches.get(id)?.();
  watches.delete(id);
}

async function untilLoaded(load: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await load();
    } catch (error) {
      if ((error as TransportError).kind === "unauthorized") {
        page.setState({ expired: true });
        return;
      }
      await pause(attempt, (error as TransportError).retryAfterMs);
    }
  }
}

/** Runs in one tab at a time; a closed tab releases its locks. */
async function exclusively(name: string, work: () => Promise<void>): Promise<void> {
  if ("locks" in navigator) await navigator.locks.request(`${scope}${name}`, work);
  else await work();
}
