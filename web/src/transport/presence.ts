/** Whether to be connected now: is there a network, is the page visible? */

import type { Clock, Environment } from "./environment.js";

export interface PresenceListener {
  /** The network is lost. */
  onOffline(): void;
  /** The network is back, or the page is visible again: retry now. */
  onReturn(): void;
  /** The page has been hidden for longer than the timeout. */
  onAway(): void;
}

export class Presence {
  /** Whether the page has been hidden for longer than the timeout. */
  away = false;

  readonly #environment: Environment;
  readonly #clock: Clock;
  readonly #hiddenMs: number;
  readonly #listener: PresenceListener;
  readonly #unlisten: readonly (() => void)[];
  #cancelTimer: (() => void) | undefined;

  constructor(
    environment: Environment,
    clock: Clock,
    hiddenMs: number,
    listener: PresenceListener,
  ) {
    this.#environment = environment;
    this.#clock = clock;
    this.#hiddenMs = hiddenMs;
    this.#listener = listener;
    this.#unlisten = [
      environment.on("offline", () => listener.onOffline()),
      environment.on("online", () => listener.onReturn()),
      environment.on("visible", () => this.return()),
      environment.on("hidden", () => this.#startTimer()),
    ];
    if (!environment.isVisible()) this.#startTimer();
  }

  /** Acts as if the page were visible. */
  return(): void {
    this.#stopTimer();
    this.away = false;
    this.#listener.onReturn();
  }

  /** Acts as if the timeout of a hidden page had passed; no effect while it is visible. */
  leave(): void {
    if (this.#environment.isVisible() || this.away) return;
    this.away = true;
    this.#listener.onAway();
  }

  close(): void {
    this.#stopTimer();
    for (const unlisten of this.#unlisten) unlisten();
  }

  #startTimer(): void {
    this.#stopTimer();
    this.#cancelTimer = this.#clock.after(this.#hiddenMs, () => this.leave());
  }

  #stopTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }
}
