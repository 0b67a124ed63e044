import { type RefObject, useEffect, useRef } from "react";

/** The element that gets the focus back when its replacement is closed. */
export function useFocusAfter<T extends HTMLElement = HTMLButtonElement>(
  isOn: boolean,
): RefObject<T | null> {
  const element = useRef<T>(null);
  const wasOn = useRef(isOn);
  useEffect(() => {
    const isFree = document.activeElement === document.body || document.activeElement === null;
    if (wasOn.current && !isOn && isFree) element.current?.focus();
    wasOn.current = isOn;
  }, [isOn]);
  return element;
}
