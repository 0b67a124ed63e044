import { type ReactNode, useLayoutEffect, useRef } from "react";
import { words } from "@/words";

export interface StandingProps {
  /** What the answer says now. */
  children: ReactNode;
  /** What the attempt said that was cut off, while the answer is written anew. */
  cut: ReactNode;
  /** Whether the new text may take the old one's place: thoughts alone do not stand for an answer. */
  comparable: boolean;
  /** The new text is as high. */
  onCovered: () => void;
}

/**
 * What stands on the screen never shrinks: an answer that is written anew grows over the text of the
 * attempt that was cut off. Below the new text the rest of the old one stays, dimmed, until the new
 * one is as high. Two lines are added at once, for the first new words and for the label, so that
 * nothing is hidden for them; from then on the height stays the same, and nothing moves.
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
      outer.style.setProperty("--said", `${height}px`);
      const left = below.offsetHeight + room - height;
      outer.toggleAttribute("data-nearly", left < room / 2); // no room for the label any more
      return comparable && below.offsetHeight > 0 && left <= 0;
    };
    // Looked at again in the next frame: the old text may not have been laid out yet, and a change of
    // the layout in the midst of measuring would be an error.
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
    // The old text is another element now: the browser does not keep it in place for who reads it.
    const view = frame.current.closest("[data-testid=scroller]");
    const isAbove = view && frame.current.getBoundingClientRect().top < view.getBoundingClientRect().top;
    if (isAbove) view.scrollTop += parseFloat(getComputedStyle(old.current).marginTop);
  }, [isCut]);
  return (
    <div ref={frame} className="standing">
      <div ref={fresh} className="standing-new" data-testid="said">
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
