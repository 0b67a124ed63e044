/**
 * Messages that the server has not accepted yet, kept across reloads.
 *
 * A message leaves the outbox when the server has named its run. Sending is idempotent by the
 * message's id, so a retry after a crash is a duplicate and starts no second run. Each message has a
 * storage key of its own: tabs that write at the same time cannot overwrite each other's.
 */
import { createStore } from "zustand/vanilla";
import { namesOf, onChangeElsewhere, readJson, write, writeJson } from "./storage";

export interface OutboxItem {
  /** The message's id. */
  id: string;
  chat: string;
  text: string;
  /** When it was written, in milliseconds since the epoch: they are sent in this order. */
  at: number;
  model?: string;
  /** The message that this one is another version of. */
  replaces?: string;
  /** Why the server refused it; it then waits for the user's decision. */
  refused?: string | undefined;
}

const PREFIX = "outbox:";

export const outbox = createStore<readonly OutboxItem[]>(() => load());

export function addToOutbox(item: Omit<OutboxItem, "at">): void {
  const last = load().at(-1)?.at ?? 0;
  keep({ ...item, at: Math.max(Date.now(), last + 1) });
}

export function removeFromOutbox(id: string): void {
  write(PREFIX + id, null);
  refresh();
}

export function setRefused(id: string, refused: string | undefined): void {
  const item = readJson(PREFIX + id, isItem);
  if (item !== null) keep({ ...item, refused });
}

export function outboxOf(chat: string): readonly OutboxItem[] {
  return load().filter((item) => item.chat === chat);
}

export function removeChatFromOutbox(chat: string): void {
  for (const { id } of outboxOf(chat)) write(PREFIX + id, null);
  refresh();
}

export function watchOutbox(): void {
  onChangeElsewhere(PREFIX, refresh);
}

function keep(item: OutboxItem): void {
  writeJson(PREFIX + item.id, item);
  refresh();
}

function refresh(): void {
  outbox.setState(load(), true);
}

function load(): OutboxItem[] {
  const items = namesOf(PREFIX).map((name) => readJson(name, isItem));
  return items.filter((item) => item !== null).sort((a, b) => a.at - b.at);
}

function isItem(value: unknown): value is OutboxItem {
  const item = Object(value) as Record<string, unknown>;
  const texts = [item.id, item.chat, item.text];
  return texts.every((field) => typeof field === "string") && typeof item.at === "number";
}
