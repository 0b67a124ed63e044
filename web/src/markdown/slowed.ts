import { useEffect, useReducer, useRef } from "react";

/**
 * A value that changes often, passed on at most once every `ms` milliseconds: for what costs more
 * to render than a frame has. 0 passes everything on.
 */
export function useSlowed<Value>(value: Value, ms: number): Value {
  const shown = useRef(value);
  const since = useRef(0);
  const [, repaint] = useReducer((count: number) => count + 1, 0);
  if (ms === 0) shown.current = value;
  useEffect(() => {
    if (ms === 0 || shown.current === value) return undefined;
    const wait = since.current + ms - performance.now();
    const timer = setTimeout(() => {
      since.current = performance.now();
      shown.current = value;
      repaint();
    }, Math.max(0, wait));
    return () => clearTimeout(timer);
  }, [value, ms]);
  return shown.current;
}
