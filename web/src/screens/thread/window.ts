/**
 * Which messages of a long chat are mounted: the newest first, more as the reader scrolls.
 *
 * Indices into the list of messages, `to` exclusive.
 */
export interface Window {
  from: number;
  to: number;
}

export const FIRST = 30;
export const STEP = 30;
export const MOST = 120;

/** The newest messages. */
export function newest(total: number): Window {
  return { from: Math.max(0, total - FIRST), to: total };
}

/** Mount more above; unmount those far below. */
export function earlier({ from, to }: Window): Window {
  const first = Math.max(0, from - STEP);
  return { from: first, to: Math.min(to, first + MOST) };
}

/** Mount more below; unmount those far above. */
export function later({ from, to }: Window, total: number): Window {
  const last = Math.min(total, to + STEP);
  return { from: Math.max(from, last - MOST), to: last };
}

/** The length of the list changed: a window at its end stays there. */
export function fit(window: Window, before: number, total: number): Window {
  if (total < before) return newest(total); // another branch
  if (window.to < before) return window;
  return { from: Math.max(window.from, total - MOST), to: total };
}
