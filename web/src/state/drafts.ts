/** The unsent text of each chat; it survives a reload. */
import { read, write } from "./storage";

/** The draft of the chat that does not exist yet. */
export const NEW_CHAT = "new";

export function readDraft(chatId: string): string {
  return read(`draft:${chatId}`) ?? "";
}

export function writeDraft(chatId: string, text: string): void {
  if (!deleted.has(chatId)) write(`draft:${chatId}`, text === "" ? null : text);
}

/** Deleted chats: a composer that still shows one must not store its text again. */
const deleted = new Set<string>();

export function forgetDraft(chatId: string): void {
  writeDraft(chatId, "");
  deleted.add(chatId);
}
