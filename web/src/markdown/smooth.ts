import { useEffect, useReducer, useRef } from "react";
import { Pacer } from "./pacing";

/** At most about 30 renders a second; a little less than two frames, so that 60 Hz gives 30. */
const STEP_MS = 31;

/**
 * The part of a growing text to show now, so that it appears evenly although it arrives in bursts.
 * Text at mount is shown at once. There is no delay with reduced motion or in a hidden tab. A text
 * that has ended is shown in the same commit, so that content below it does not move.
 */
export function useSmoothText(text: string, live: boolean): string {
  const held = useRef<Pacer>(null);
  const pacer = (held.current ??= new Pacer(text));
  const frame = useRef(0);
  const [, repaint] = useReducer((count: number) => count + 1, 0);

  useEffect(() => {
    const before = pacer.visible(text);
    pacer.receive(text, performance.now());
    if (!live || !mayAnimate()) pacer.finish();
    if (pacer.visible(text) !== before) repaint();
    if (frame.current !== 0 || !pacer.pending) return;
    let painted = 0;
    frame.current = requestAnimationFrame(function step(now) {
      if (now - painted >= STEP_MS) {
        painted = now;
        if (pacer.advance(performance.now())) repaint();
      }
      frame.current = pacer.pending ? requestAnimationFrame(step) : 0;
    });
  }, [pacer, text, live]);

  useEffect(() => {
    const onHide = () => {
      if (!document.hidden || !pacer.pending) return;
      pacer.finish();
      repaint();
    };
    document.addEventListener("visibilitychange", onHide);
    return () => {
      document.removeEventListener("visibilitychange", onHide);
      cancelAnimationFrame(frame.current);
      frame.current = 0;
    };
  }, [pacer]);

  return live ? pacer.visible(text) : text;
}

/** Hidden tabs have no frames, and some people prefer reduced motion. */
function mayAnimate(): boolean {
  const still = globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;
  return !document.hidden && !still;
}
