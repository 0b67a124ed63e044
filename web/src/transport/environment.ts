/** What the transport knows of the world around it; tests and other worlds replace it. */

export type EnvironmentEvent = "online" | "offline" | "visible" | "hidden";

/** The page and its network. */
export interface Environment {
  /** False only where it is known that there is no network. */
  isOnline(): boolean;
  /** False only where there is a page that nobody sees. */
  isVisible(): boolean;
  /** Calls the listener at each such event, until the returned function is called. */
  on(event: EnvironmentEvent, listener: () => void): () => void;
}

/** Time, in milliseconds. */
export interface Clock {
  /** Since the epoch. */
  now(): number;
  /** Calls back once after a while, unless the returned function is called before. */
  after(ms: number, callback: () => void): () => void;
}

/** The longest time that timers take; beyond it they run out at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, callback) {
    if (ms > MAX_TIMER_MS) return () => {}; // 24 days and more: as good as never
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** The browser's page; in a worker the network alone; in Node always online and visible. */
export const hostEnvironment: Environment = {
  isOnline: () => globalThis.navigator?.onLine !== false,
  isVisible: () => globalThis.document?.visibilityState !== "hidden",
  on(event, listener) {
    if (event === "online" || event === "offline") {
      return listen(globalThis, event, listener);
    }
    const hidden = event === "hidden";
    return listen(globalThis.document, "visibilitychange", () => {
      if ((document.visibilityState === "hidden") === hidden) listener();
    });
  },
};

function listen(
  target: Partial<EventTarget> | undefined,
  type: string,
  listener: () => void,
): () => void {
  target?.addEventListener?.(type, listener);
  return () => target?.removeEventListener?.(type, listener);
}
