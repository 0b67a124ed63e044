import { useEffect, useLayoutEffect, useReducer, useRef } from "react";

/** After a render, wait this many times its duration. */
const REST = 4;

/**
 * Throttles a value that is expensive to render: renders take at most a fifth of the time. Where it
 * is not `bounded`, every value is passed on at once, in the same render.
 */
export function useAffordable<Value>(value: Value, bounded: boolean): Value {
  const shown = useRef(value);
  const due = useRef(0);
  const [, repaint] = useReducer((count: number) => count + 1, 0);
  if (!bounded) shown.current = value;
  const current = shown.current;
  const began = performance.now();

  // Children are in the page by now. What depends on `began` is the render that changed the value.
  useLayoutEffect(() => {
    if (!bounded) return;
    // The layout is needed in this frame anyway, and is part of the cost.
    void document.documentElement.offsetHeight;
    const now = performance.now();
    due.current = now + REST * (now - began);
  }, [current, bounded]);

  useEffect(() => {
    if (!bounded || current === value) return undefined;
    const show = () => {
      shown.current = value;
      repaint();
    };
    const timer = setTimeout(show, Math.max(0, due.current - performance.now()));
    return () => clearTimeout(timer);
  }, [value, current, bounded]);
  return current;
}
