import { type RefObject, useCallback, useLayoutEffect, useRef, useState } from "react";

const NEAR = 24;
const FAR = 160;

export interface Scroll {
  viewport: RefObject<HTMLDivElement | null>;
  content: RefObject<HTMLDivElement | null>;
  /** Whether the reader is so far from the end that a way back is welcome. */
  away: boolean;
  /** Go to the end and stay there. */
  jump: () => void;
  /** Keep what is seen where it is while `change` adds or removes messages above it. */
  keepInPlace: (change: () => void) => void;
}

/**
 * Stays at the end while the content grows, until the reader scrolls up; then the position is the
 * reader's alone.
 */
export function useScroll(): Scroll {
  const viewport = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const sticking = useRef(true);
  const last = useRef({ top: 0, height: 0 });
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
      // The content's own shrinking moves the position too; only a reader moves it up otherwise.
      const movedUp = scrollTop < last.current.top - 1 && scrollHeight >= last.current.height;
      if (movedUp) sticking.current = false;
      if (distance < NEAR) sticking.current = true;
      last.current = { top: scrollTop, height: scrollHeight };
      setAway(distance > FAR && !sticking.current);
    };
    const observer = new ResizeObserver(() => {
      if (sticking.current) toEnd();
      else onScroll();
    });
    observer.observe(view);
    observer.observe(inner);
    view.addEventListener("scroll", onScroll, { passive: true });
    toEnd();
    return () => {
      observer.disconnect();
      view.removeEventListener("scroll", onScroll);
    };
  }, [toEnd]);

  const keepInPlace = useCallback((change: () => void) => {
    const view = viewport.current;
    if (!view || CSS.supports("overflow-anchor", "auto")) {
      change(); // the browser does it
      return;
    }
    const fromEnd = view.scrollHeight - view.scrollTop;
    change();
    requestAnimationFrame(() => (view.scrollTop = view.scrollHeight - fromEnd));
  }, []);

  return { viewport, content, away, jump, keepInPlace };
}
