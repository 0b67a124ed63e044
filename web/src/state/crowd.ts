/**
 * Hidden tabs disconnect when too many tabs follow a run: connections are few.
 *
 * Theory of operation
 * ===================
 * 1. Over HTTP/1.1 a browser opens six connections to a site, for all tabs together. One is the
 *    feed's. If answers used the others, no page could be loaded.
 * 2. The tabs that follow an answer share a lock, so each can count them. A new one notifies the
 *    others, and hidden tabs disconnect if there are too many. They resume when they are visible.
 * 3. Visible tabs keep their connections: there are rarely many windows side by side.
 */
import { scope } from "./base";

const NAME = `${scope}following`;
const MOST = 3;

export interface Followers {
  /** Join the followers, until the returned function is called. */
  join: (joined: () => void) => () => void;
  count: () => Promise<number>;
}

export class Crowd {
  #leave: (() => void) | null = null;
  readonly #channel: BroadcastChannel | null;

  /**
   * @param followers - the followers of all tabs.
   * @param pause - disconnects this tab if it is hidden.
   */
  constructor(
    private readonly followers: Followers,
    private readonly pause: () => void,
  ) {
    this.#channel = typeof BroadcastChannel === "function" ? new BroadcastChannel(NAME) : null;
    if (this.#channel) this.#channel.onmessage = () => void this.#makeRoom();
    document.addEventListener("visibilitychange", () => void this.#makeRoom());
  }

  /** Set whether this tab holds a connection for an answer now. */
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
    if ((await this.followers.count()) > MOST) this.pause();
  }
}

/** Counts by Web Locks; without them (plain http in a local network) there is no count. */
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
