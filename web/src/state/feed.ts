/**
 * `GET /api/events` for all tabs of a browser over one connection.
 *
 * Theory of operation
 * ===================
 * 1. Over HTTP/1.1 a browser opens six connections to a site. A feed in each tab would block the
 *    sixth. So the tab that holds a lock reads the feed and publishes it to the others.
 * 2. A tab that is hidden for half a minute releases the lock, so that a visible one reads.
 * 3. The position of the last event is published, too: the next reader resumes after it.
 * 4. After a gap the server says `open` with `complete: false`: all tabs reload the list.
 *    A new tab needs no event: it loads the list anyway.
 * 5. Where there are no locks (plain http in a local network), each tab reads for itself.
 */
import { scope } from "./base";
import type { FeedEvent } from "./model";
import { pause } from "./backoff";

const NAME = `${scope}feed`;
const HIDDEN_MS = 30_000;

type Status = "up" | "down";
type Message = { event: FeedEvent; position: string } | { status: Status };

export interface FeedListener {
  onEvent: (event: FeedEvent) => void;
  onStatus: (status: Status) => void;
}

export class Feed {
  #position: string | null = null;
  #release: (() => void) | null = null;
  #waiting: AbortController | null = null;
  #hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #channel: BroadcastChannel | null;

  constructor(
    private readonly url: string,
    private readonly listener: FeedListener,
  ) {
    this.#channel = typeof BroadcastChannel === "function" ? new BroadcastChannel(NAME) : null;
    if (this.#channel) this.#channel.onmessage = ({ data }) => this.#deliver(data as Message);
  }

  /** Take part while the page is visible. */
  start(): void {
    document.addEventListener("visibilitychange", () => this.#seen());
    addEventListener("pagehide", () => this.#leave());
    addEventListener("pageshow", (event) => event.persisted && this.#seen());
    this.#join();
  }

  #seen(): void {
    clearTimeout(this.#hiddenTimer);
    if (document.visibilityState === "visible") this.#join();
    else this.#hiddenTimer = setTimeout(() => this.#leave(), HIDDEN_MS);
  }

  #join(): void {
    if (this.#waiting) return;
    const waiting = new AbortController();
    this.#waiting = waiting;
    const lead = async (): Promise<void> => {
      const over = new Promise<void>((resolve) => (this.#release = resolve));
      await Promise.race([over, this.#read(waiting.signal)]);
    };
    if ("locks" in navigator) {
      navigator.locks.request(NAME, { signal: waiting.signal }, lead).catch(() => undefined);
    } else void lead();
  }

  #leave(): void {
    this.#waiting?.abort();
    this.#waiting = null;
    this.#release?.();
    this.#release = null;
  }

  async #read(signal: AbortSignal): Promise<void> {
    for (let attempt = 1; !signal.aborted; attempt++) {
      if (await this.#readOnce(signal)) attempt = 0;
      if (signal.aborted) return;
      this.#publish({ status: "down" });
      await pause(Math.max(1, attempt));
    }
  }

  /** One connection, to its end. Returns whether it received an event. */
  #readOnce(signal: AbortSignal): Promise<boolean> {
    const query = this.#position === null ? "" : `?after=${encodeURIComponent(this.#position)}`;
    const source = new EventSource(this.url + query);
    let brought = false;
    return new Promise((resolve) => {
      const end = (): void => {
        source.close();
        signal.removeEventListener("abort", end);
        removeEventListener("offline", end);
        resolve(brought);
      };
      signal.addEventListener("abort", end);
      addEventListener("offline", end);
      source.onerror = end; // delay, position and reconnects are handled here
      source.onmessage = ({ data, lastEventId }) => {
        brought = true;
        const event = JSON.parse(data as string) as FeedEvent;
        if (event.type === "open") this.#publish({ status: "up" });
        this.#publish({ event, position: lastEventId });
      };
    });
  }

  #publish(message: Message): void {
    this.#channel?.postMessage(message);
    this.#deliver(message);
  }

  #deliver(message: Message): void {
    if ("status" in message) {
      this.listener.onStatus(message.status);
      return;
    }
    this.#position = message.position;
    this.listener.onEvent(message.event);
  }
}
