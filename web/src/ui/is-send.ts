import type { KeyboardEvent } from "react";

/** The key code of a key that an input method handles. Safari has no other indication. */
const COMPOSING = 229;

/** Whether a key sends the message: Enter alone, but not to end a composition. */
export function isSend(event: KeyboardEvent): boolean {
  const isComposing = event.nativeEvent.isComposing || event.keyCode === COMPOSING;
  return event.key === "Enter" && !event.shiftKey && !isComposing;
}
