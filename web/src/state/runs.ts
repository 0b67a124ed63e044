import type { ConversationTools } from "./tools";

/**
 * Calls back once, when the server has named a new run of a chat.
 *
 * Returns a function that cancels.
 */
export function onNewRun(
  transport: ConversationTools["transport"],
  chat: string,
  then: () => void,
): () => void {
  const before = transport.getState(chat).runId;
  const stop = transport.subscribe(chat, () => {
    const run = transport.getState(chat).runId;
    if (run === undefined || run === before) return;
    stop();
    then();
  });
  return stop;
}
