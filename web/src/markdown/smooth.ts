import { useEffect, useReducer, useRef } from "react";
import { Pacer } from "./pacing";

/** At most about 30 renders a second; a little less than two frames, so that 60 Hz gives 30. */
const STEP_MS = 31;

/**
 * The part of a growing text to show now, so that it appears evenly although it comes in bursts.
 * Text that is there at mount is shown at once. With reduced motion, or in a hidden tab, nothing is
 * held back.
 */
export function useSmoothText(text: string, live: boolean): string {
  const held = useRef<Pacer>(null);
  const pacer = (held.current ??= new Pacer(text));
  const [, repaint] = useReducer((count: number) => count + 1, 0);

  useEffect(() => {
    pacer.receive(text, performance.now());
    if (!live) pacer.end(performance.now());
    if (unhurried()) return animate(pacer, repaint);
    pacer.finish();
    repaint();
    return undefined;
  }, [pacer, text, live]);

  useEffect(() => {
    const onHide = () => {
      if (!document.hidden) return;
      pacer.finish();
      repaint();
    };
    document.addEventListener("visibilitychange", onHide);
    return () => document.removeEventListener("visibilitychange", onHide);
  }, [pacer]);

  return pacer.visible(text);
}

function unhurried(): boolean {
  return !document.hidden && !matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** One loop of frames while something is held back. */
function animate(pacer: Pacer, repaint: () => void): (() => void) | undefined {
  repaint();
  if (!pacer.pending) return undefined;
  let painted = 0;
  let frame = requestAnimationFrame(function tick(now) {
    if (now - painted >= STEP_MS) {
      painted = now;
      if (pacer.advance(performance.now())) repaint();
    }
    if (pacer.pending) frame = requestAnimationFrame(tick);
  });
  return () => cancelAnimationFrame(frame);
}
