/** What a page makes of a chat's snapshot. */
import type { FeedEvent, Message, Snapshot } from "./model";

/** Whether an answer belongs to the shown branch: it is shown, or answers the last message shown. */
export function isOnBranch(snapshot: Snapshot, answer: string): boolean {
  if (snapshot.messages.some((message) => message.id === answer)) return true;
  const version = snapshot.versions.find((candidate) => candidate.id === answer);
  return version !== undefined && version.parent === (snapshot.messages.at(-1)?.id ?? null);
}

/** Keep the objects of messages that have not changed: what shows them need not look again. */
export function reuse(before: readonly Message[], after: readonly Message[]): Message[] {
  const known = new Map(before.map((message) => [message.id, message]));
  return after.map((message) => {
    const old = known.get(message.id);
    return old !== undefined && JSON.stringify(old) === JSON.stringify(message) ? old : message;
  });
}

/** What an answer has said and thought. */
export function saidBy(message: Message | undefined): string {
  if (message?.role !== "assistant") return "";
  const texts = message.parts.map((part) =>
    part.type === "text" || part.type === "reasoning" ? part.text : "",
  );
  return texts.join("");
}

/** Whether the answer that a run writes is among the messages. */
export function hasRun(messages: readonly Message[], run: string): boolean {
  return messages.some((message) => message.metadata?.run === run);
}

/** Whether an answer is among the messages with its end. */
function hasEnded(messages: readonly Message[], answer: string): boolean {
  const status = messages.find((message) => message.id === answer)?.metadata?.status;
  return status === "finished" || status === "failed" || status === "stopped";
}

/**
 * Whether an event of the feed tells of something that the messages do not hold.
 *
 * @param busy - whether an answer is followed here already.
 * @param exists - whether the server knows the chat.
 */
export function isNews(
  event: FeedEvent,
  messages: readonly Message[],
  busy: boolean,
  exists: boolean,
): boolean {
  switch (event.type) {
    case "run-started":
      return !hasRun(messages, event.run);
    case "run-ended":
      return !busy && !hasEnded(messages, event.message);
    case "open":
      return exists && !busy && !event.complete;
    case "chat-deleted":
      return true;
    default:
      return false;
  }
}
