/** Functions of a chat's snapshot. */
import type { FeedEvent, Message, Snapshot } from "./model";

/** Whether an answer is on the shown branch: it is shown, or follows the last shown message. */
export function isOnBranch(snapshot: Snapshot, answer: string): boolean {
  if (snapshot.messages.some((message) => message.id === answer)) return true;
  const version = snapshot.versions.find((candidate) => candidate.id === answer);
  return version !== undefined && version.parent === (snapshot.messages.at(-1)?.id ?? null);
}

/** Keep the objects of messages that have not changed, to avoid needless renders. */
export function reuse(before: readonly Message[], after: readonly Message[]): Message[] {
  const known = new Map(before.map((message) => [message.id, message]));
  return after.map((message) => {
    const old = known.get(message.id);
    return old !== undefined && JSON.stringify(old) === JSON.stringify(message) ? old : message;
  });
}

/** The text and reasoning of an answer. */
export function saidBy(message: Message | undefined): string {
  if (message?.role !== "assistant") return "";
  const texts = message.parts.map((part) =>
    part.type === "text" || part.type === "reasoning" ? part.text : "",
  );
  return texts.join("");
}

/** Whether a run's answer is among the messages. */
export function hasRun(messages: readonly Message[], run: string): boolean {
  return messages.some((message) => message.metadata?.run === run);
}

/** Whether an answer is among the messages, complete. */
function hasEnded(messages: readonly Message[], answer: string): boolean {
  const status = messages.find((message) => message.id === answer)?.metadata?.status;
  return status === "finished" || status === "failed" || status === "stopped";
}

/**
 * Whether an event of the feed is about a change that is missing from the messages.
 *
 * @param busy - whether an answer is followed here already.
 * @param exists - whether the chat is on the server.
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
