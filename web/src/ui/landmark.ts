import { useState } from "react";

/**
 * Where something that floats stands in the page's structure: in the dialog that is open, else in
 * the main part. Screen readers find nothing that stands in no part of the page.
 *
 * @returns the place, and what must be told when the thing opens.
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
