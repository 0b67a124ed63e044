/**
 * Messages that the server has not accepted yet, kept across reloads.
 *
 * A message leaves the outbox when its run is known. Sending is idempotent by the message's id, so
 * one that was accepted just before a crash is found again, not sent twice.
 */
import { createStore } from "zustand/vanilla";
import { onChangeElsewhere, readJson, writeJson } from "./storage";

export interface OutboxItem {
  /** The message's id. */
  id: string;
  chat: string;
  text: string;
  model?: string;
  /** The message that this one is another version of. */
  replaces?: string;
  /** Why the server refused it; it waits for a decision of its writer. */
  refused?: string;
}

const KEY = "outbox";

export const outbox = createStore<readonly OutboxItem[]>(() => load());

export function addToOutbox(item: OutboxItem): void {
  save([...load().filter((other) => other.id !== item.id), item]);
}

export function removeFromOutbox(id: string): void {
  const items = load();
  if (items.some((item) => item.id === id)) save(items.filter((item) => item.id !== id));
}

export function setRefused(id: string, refused: string | undefined): void {
  save(load().map((item) => (item.id === id ? { ...item, refused } : item)));
}

export function outboxOf(chat: string): readonly OutboxItem[] {
  return outbox.getState().filter((item) => item.chat === chat);
}

export function removeChatFromOutbox(chat: string): void {
  save(load().filter((item) => item.chat !== chat));
}

export function watchOutbox(): void {
  onChangeElsewhere(KEY, () => outbox.setState([...load()], true));
}

function load(): OutboxItem[] {
  return readJson(KEY, isItems) ?? [];
}

function save(items: readonly OutboxItem[]): void {
  writeJson(KEY, items);
  outbox.setState([...items], true);
}

function isItems(value: unknown): value is OutboxItem[] {
  return Array.isArray(value) && value.every(isItem);
}

function isItem(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const item = value as Record<string, unknown>;
  return [item.id, item.chat, item.text].every((field) => typeof field === "string");
}
