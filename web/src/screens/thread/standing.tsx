import { type ReactNode, useLayoutEffect, useRef } from "react";
import { words } from "@/words";

export interface StandingProps {
  /** The answer's text now. */
  children: ReactNode;
  /** The text of the cut attempt, during a restart. */
  cut: ReactNode;
  /** Whether the new text may replace the old one: reasoning alone may not. */
  comparable: boolean;
  /** Called when the new text is as high as the old one. */
  onCovered: () => void;
}

/**
 * The text on the screen never shrinks: a restarted answer grows over the text of the cut attempt.
 * The rest of the old text stays below the new one, dimmed, until the new one is as high. Two lines
 * are added at once, for the first new words and the label, so that they hide nothing. From then on
 * the height is constant, and nothing moves.
 *
 * The old text is inert: it cannot be selected, searched or focused, and no screen reader reads it.
 */
export function Standing({ children, cut, comparable, onCovered }: StandingProps) {
  const frame = useRef<HTMLDivElement>(null);
  const fresh = useRef<HTMLDivElement>(null);
  const old = useRef<HTMLDivElement>(null);
  const covered = useRef(onCovered);
  covered.current = onCovered;
  const isCut = cut !== null;
  useLayoutEffect(() => {
    if (!isCut || !frame.current || !fresh.current || !old.current) return;
    const [outer, above, below] = [frame.current, fresh.current, old.current];
    const room = parseFloat(getComputedStyle(below).marginTop);
    let next = 0;
    const isCovered = (): boolean => {
      const height = above.offsetHeight;
      outer.style.setProperty("--new-height", `${height}px`);
      const left = below.offsetHeight + room - height;
      outer.toggleAttribute("data-nearly", left < room / 2); // no more room for the label
      return comparable && below.offsetHeight > 0 && left <= 0;
    };
    // Measured again in the next frame: the old text may not have been laid out yet, and a layout
    // change during a measurement would be an error.
    const look = (): void => {
      cancelAnimationFrame(next);
      if (isCovered()) next = requestAnimationFrame(() => isCovered() && covered.current());
    };
    look();
    const observer = new ResizeObserver(look);
    observer.observe(above);
    observer.observe(below);
    return () => {
      observer.disconnect();
      cancelAnimationFrame(next);
    };
  }, [isCut, comparable]);
  useLayoutEffect(() => {
    if (!isCut || !frame.current || !old.current) return;
    // The old text is a new element now: the browser does not keep its scroll position.
    const view = frame.current.closest("[data-testid=scroller]");
    const isAbove = view && frame.current.getBoundingClientRect().top < view.getBoundingClientRect().top;
    if (isAbove) view.scrollTop += parseFloat(getComputedStyle(old.current).marginTop);
  }, [isCut]);
  return (
    <div ref={frame} className="standing">
      <div ref={fresh} className="standing-new" data-testid="new-text">
        {children}
      </div>
      {isCut && (
        <div className="standing-cut">
          <div ref={old} inert aria-hidden className="standing-old" data-testid="cut">
            {cut}
          </div>
          <div className="standing-rail">
            <p className="standing-label">{words.cutAttempt}</p>
          </div>
        </div>
      )}
    </div>
  );
}
