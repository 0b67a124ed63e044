/**
 * Connections are few: hidden tabs make room.
 *
 * Theory of operation
 * ===================
 * 1. Over HTTP/1.1 a browser opens six connections to a site, for all tabs together. One is the
 *    feed's. If answers took the others, not even a page could be loaded.
 * 2. A tab that follows an answer holds a lock, together with the others that do; so each can count
 *    them. Whoever comes new says so, and then the hidden ones let go if there are too many. They
 *    go on when they are seen.
 * 3. Tabs that are seen keep their connections: windows side by side are rarely many.
 */
import { scope } from "./base";

const NAME = `${scope}following`;
const MOST = 3;

export interface Followers {
  /** Hold a place among those who follow, until the returned function is called. */
  join: (joined: () => void) => () => void;
  count: () => Promise<number>;
}

export class Crowd {
  #leave: (() => void) | null = null;
  readonly #channel: BroadcastChannel | null;

  /**
   * @param followers - of all tabs.
   * @param rest - lets this tab's connections go if it is hidden.
   */
  constructor(
    private readonly followers: Followers,
    private readonly rest: () => void,
  ) {
    this.#channel = typeof BroadcastChannel === "function" ? new BroadcastChannel(NAME) : null;
    if (this.#channel) this.#channel.onmessage = () => void this.#makeRoom();
    document.addEventListener("visibilitychange", () => void this.#makeRoom());
  }

  /** Tell whether this tab holds a connection for an answer now. */
  set follows(follows: boolean) {
    if (follows === (this.#leave !== null)) return;
    if (follows) this.#leave = this.followers.join(() => this.#channel?.postMessage("joined"));
    else {
      this.#leave?.();
      this.#leave = null;
    }
  }

  async #makeRoom(): Promise<void> {
    if (document.visibilityState === "visible" || this.#leave === null) return;
    if ((await this.followers.count()) > MOST) this.rest();
  }
}

/** By Web Locks; where there are none (plain http in a local network), nobody knows of anybody. */
export const followers: Followers = {
  join: (joined) => {
    let leave = (): void => undefined;
    const left = new Promise<void>((resolve) => (leave = resolve));
    if ("locks" in navigator) {
      void navigator.locks.request(NAME, { mode: "shared" }, () => {
        joined();
        return left;
      });
    }
    return leave;
  },
  count: async () => {
    if (!("locks" in navigator)) return 0;
    const { held = [] } = await navigator.locks.query();
    return held.filter(({ name }) => name === NAME).length;
  },
};
