/** The request for a new message, an edit or a regenerated answer. */

import type { UIMessage } from "ai";

export interface Sending {
  readonly chatId: string;
  readonly messages: readonly UIMessage[];
  readonly trigger: "submit-message" | "regenerate-message";
  readonly messageId: string | undefined;
  readonly body?: object | undefined;
}

/**
 * The body of the request. The server has the chat's history, so only the last message is sent. The
 * id of the one before it identifies the branch.
 *
 * @param more the transport's own members; those of the call override them.
 */
export function sendBody(sending: Sending, more: object | undefined): string {
  const { chatId, messages, trigger, messageId, body } = sending;
  const message = messages.at(-1);
  return JSON.stringify({
    id: chatId,
    message,
    trigger,
    // `regenerate()` means the last answer that the client sees: the answer to this message.
    messageId: trigger === "regenerate-message" ? (messageId ?? message?.id) : messageId,
    parentId: messages.at(-2)?.id,
    ...more,
    ...body,
  });
}

/** A unique key. Browsers have `randomUUID` only on https and on localhost. */
export function newKey(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
