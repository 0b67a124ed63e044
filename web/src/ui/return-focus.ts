import { useRef } from "react";

/**
 * For dialogs that no button opens: gives the focus back to what had it before.
 *
 * @returns for `onCloseAutoFocus` of a Radix dialog that is mounted when it opens.
 */
export function useReturnFocus(): (event: Event) => void {
  const before = useRef(document.activeElement);
  return (event) => {
    event.preventDefault();
    const { activeElement, body } = document;
    const isFree = activeElement === null || activeElement === body;
    if (isFree && before.current instanceof HTMLElement) before.current.focus();
  };
}
