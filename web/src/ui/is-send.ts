import type { KeyboardEvent } from "react";

/** The key code of whatever an input method takes for itself. Safari tells no other way. */
const COMPOSING = 229;

/** Whether a key sends what is written: Enter alone, and not the one that ends a composition. */
export function isSend(event: KeyboardEvent): boolean {
  const isComposing = event.nativeEvent.isComposing || event.keyCode === COMPOSING;
  return event.key === "Enter" && !event.shiftKey && !isComposing;
}
