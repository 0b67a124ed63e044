/** The host of the transport: clock, network, visibility. Tests and other hosts replace it. */

export type EnvironmentEvent = "online" | "offline" | "visible" | "hidden";

/** The page and its network state. */
export interface Environment {
  /** False only where the host reports that there is no network. */
  isOnline(): boolean;
  /** False only for a hidden page. */
  isVisible(): boolean;
  /** Subscribes to an event. The returned function unsubscribes. */
  on(event: EnvironmentEvent, listener: () => void): () => void;
}

/** Time, in milliseconds. */
export interface Clock {
  /** Since the epoch. */
  now(): number;
  /** Calls back once after a delay. The returned function cancels. */
  after(ms: number, callback: () => void): () => void;
}

/** The longest delay of a timer; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, callback) {
    if (ms > MAX_TIMER_MS) return () => {}; // more than 24 days: never
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** The browser's page; in a worker only the network; in Node always online and visible. */
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
