import { useRef } from "react";

/**
 * For dialogs without a button: returns the focus to the element that had it before, or to the
 * message box.
 *
 * @returns the `onCloseAutoFocus` of a Radix dialog that is mounted when it opens.
 */
export function useReturnFocus(): (event: Event) => void {
  const before = useRef(document.activeElement);
  return (event) => {
    event.preventDefault();
    const { activeElement, body } = document;
    if (activeElement !== null && activeElement !== body) return;
    const last = before.current;
    const isThere = last instanceof HTMLElement && last.isConnected && last !== body;
    (isThere ? last : document.querySelector<HTMLElement>("#composer"))?.focus();
  };
}
