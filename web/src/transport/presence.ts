/** Whether a connection makes sense now: is there a network, does anybody look? */

import type { Clock, Environment } from "./environment.js";

export interface PresenceListener {
  /** The network is gone. */
  onOffline(): void;
  /** The network is back, or the page is seen again: a good moment to try. */
  onReturn(): void;
  /** The page has been hidden for long. */
  onAway(): void;
}

export class Presence {
  /** Whether the page has been hidden for longer than allowed. */
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

  /** As if the page were seen. */
  return(): void {
    this.#stopTimer();
    this.away = false;
    this.#listener.onReturn();
  }

  /** As if the page had been hidden for long; nothing while it is seen. */
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
