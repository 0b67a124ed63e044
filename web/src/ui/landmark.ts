import { useState } from "react";

/**
 * The container of a floating element: the open dialog, else the main landmark. Screen readers do
 * not find elements outside of landmarks.
 *
 * @returns the container, and the callback for when the element opens.
 */
export function useLandmark(): [HTMLElement | undefined, (open: boolean) => void] {
  const [place, setPlace] = useState<HTMLElement>();
  const onOpenChange = (open: boolean): void => {
    if (!open) return;
    const dialogs = document.querySelectorAll<HTMLElement>("[role=dialog][aria-labelledby]");
    setPlace([...dialogs].at(-1) ?? document.querySelector("main") ?? undefined);
  };
  return [place, onOpenChange];
}
