/**
 * The text of an attempt that was cut off.
 *
 * After `reset-step` the answer restarts, and its old text is void. On the screen that text stays
 * until the new one is as long; see `screens/thread/standing.tsx`.
 */
import type { Message } from "./model";

/**
 * The text of the cut attempt, after a change of the last message.
 *
 * @param before - the last message as it was shown.
 * @param now - the last message as it is now.
 * @param kept - the cut attempt that is shown already; the longer of the two stays.
 */
export function cutAttempt(
  before: Message | undefined,
  now: Message | undefined,
  kept: Message | null,
): Message | null {
  if (before === undefined || now?.id !== before.id || now.role !== "assistant") return null;
  const cut = continues(before, now) ? kept : longer(kept, before);
  return cut !== null && isAmongThoughts(cut, now) ? null : cut;
}

function longer(kept: Message | null, before: Message): Message {
  return kept !== null && sizeOf(kept) >= sizeOf(before) ? kept : before;
}

/** Whether a text turned out to be reasoning: it was moved, not cut off. */
function isAmongThoughts(cut: Message, now: Message): boolean {
  const text = textOf(cut, "text");
  return text !== "" && textOf(now, "reasoning").includes(text);
}

function textOf(message: Message, type: "text" | "reasoning"): string {
  return message.parts.map((part) => (part.type === type ? part.text : "")).join("");
}

/** Whether a message has all its old content. */
function continues(before: Message, now: Message): boolean {
  return before.parts.every((part, index) => {
    const other = now.parts[index];
    if (part.type !== "text" && part.type !== "reasoning") return other?.type === part.type;
    return other?.type === part.type && other.text.startsWith(part.text);
  });
}

function sizeOf(message: Message): number {
  const sizes = message.parts.map((part) =>
    part.type === "text" || part.type === "reasoning" ? part.text.length : 0,
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
