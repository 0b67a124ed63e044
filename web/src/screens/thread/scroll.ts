import { type RefObject, useCallback, useLayoutEffect, useRef, useState } from "react";

const NEAR = 24;
const FAR = 160;

/** The events of scrolling by the reader; a movement within this time is the reader's. */
const HANDS = ["wheel", "touchmove", "pointerdown", "keydown"] as const;
const HAND_MS = 600;

export interface Scroll {
  viewport: RefObject<HTMLDivElement | null>;
  content: RefObject<HTMLDivElement | null>;
  /** Whether the reader is far enough from the end for a button back. */
  away: boolean;
  /** Go to the end and stay there. */
  jump: () => void;
  /** Keep the visible content in place while `change` adds or removes messages above it. */
  keepInPlace: (change: () => void) => void;
}

/**
 * Stays at the end while the content grows, until the reader scrolls up; then only the reader
 * changes the position.
 */
export function useScroll(): Scroll {
  const viewport = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const sticking = useRef(true);
  const last = useRef({ top: 0 });
  const touched = useRef(-Infinity);
  const [away, setAway] = useState(false);

  const toEnd = useCallback(() => {
    const view = viewport.current;
    if (view) view.scrollTop = view.scrollHeight;
  }, []);

  const jump = useCallback(() => {
    sticking.current = true;
    setAway(false);
    toEnd();
  }, [toEnd]);

  useLayoutEffect(() => {
    const view = viewport.current;
    const inner = content.current;
    if (!view || !inner) return;
    const onScroll = (): void => {
      const { scrollTop, scrollHeight, clientHeight } = view;
      const distance = scrollHeight - scrollTop - clientHeight;
      // Shrinking content moves the position, too: without reader input, and near the end.
      const byHand = performance.now() - touched.current < HAND_MS || distance > FAR;
      if (byHand && scrollTop < last.current.top - 1) sticking.current = false;
      if (distance < NEAR) sticking.current = true;
      last.current.top = scrollTop;
      setAway(distance > FAR && !sticking.current);
    };
    const observer = new ResizeObserver(() => {
      if (sticking.current) toEnd();
      else onScroll();
    });
    observer.observe(view);
    observer.observe(inner);
    view.addEventListener("scroll", onScroll, { passive: true });
    const touch = (): void => void (touched.current = performance.now());
    for (const type of HANDS) view.addEventListener(type, touch, { passive: true });
    toEnd();
    return () => {
      observer.disconnect();
      view.removeEventListener("scroll", onScroll);
      for (const type of HANDS) view.removeEventListener(type, touch);
    };
  }, [toEnd]);

  const keepInPlace = useCallback((change: () => void) => {
    const view = viewport.current;
    if (!view || CSS.supports("overflow-anchor", "auto")) {
      change(); // the browser keeps the position
      return;
    }
    const fromEnd = view.scrollHeight - view.scrollTop;
    change();
    requestAnimationFrame(() => (view.scrollTop = view.scrollHeight - fromEnd));
  }, []);

  return { viewport, content, away, jump, keepInPlace };
}
