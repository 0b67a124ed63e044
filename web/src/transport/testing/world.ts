/** A simulated host: a clock, a page and a network that tests control. */

import type { Clock, Environment, EnvironmentEvent } from "../environment.js";

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

export class FakeClock implements Clock {
  time = 1_700_000_000_000;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.time;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.time + ms, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  get pending(): number {
    return this.#timers.size;
  }

  /** Advances the clock; due timers run in order. */
  async advance(ms: number): Promise<void> {
    await turn(); // pending work belongs to the time before
    const end = this.time + ms;
    for (let next = this.#next(); next && next.at <= end; next = this.#next()) {
      await this.#run(next);
    }
    this.time = end;
    await turn();
  }

  /** Advances the clock to the next timer. False if there is none. */
  async toNext(): Promise<boolean> {
    const next = this.#next();
    if (next) await this.#run(next);
    return next !== undefined;
  }

  #next(): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) if (!first || timer.at < first.at) first = timer;
    return first;
  }

  async #run(timer: Timer): Promise<void> {
    this.#timers.delete(timer);
    this.time = Math.max(this.time, timer.at);
    timer.callback();
    await turn();
  }
}

export class FakeEnvironment implements Environment {
  #online = true;
  #visible = true;
  readonly #listeners = new Map<EnvironmentEvent, Set<() => void>>();

  isOnline(): boolean {
    return this.#online;
  }

  isVisible(): boolean {
    return this.#visible;
  }

  on(event: EnvironmentEvent, listener: () => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  get listening(): number {
    return [...this.#listeners.values()].reduce((sum, { size }) => sum + size, 0);
  }

  goOffline(): Promise<void> {
    this.#online = false;
    return this.#fire("offline");
  }

  goOnline(): Promise<void> {
    this.#online = true;
    return this.#fire("online");
  }

  hide(): Promise<void> {
    this.#visible = false;
    return this.#fire("hidden");
  }

  show(): Promise<void> {
    this.#visible = true;
    return this.#fire("visible");
  }

  async #fire(event: EnvironmentEvent): Promise<void> {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) listener();
    await turn();
  }
}

/** Runs all tasks that are ready. */
export async function turn(): Promise<void> {
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits for a condition, for a limited number of turns. */
export async function until(condition: () => boolean, what = String(condition)): Promise<void> {
  for (let i = 0; i < 200; i += 1) {
    if (condition()) return;
    await turn();
  }
  throw new Error(`Expected within 200 turns: ${what}`);
}

/** Advances the clock whenever everything is idle, until the promise settles. */
export async function drive<T>(clock: FakeClock, promise: Promise<T>): Promise<T> {
  let settled = false;
  const end = () => {
    settled = true;
  };
  promise.then(end, end);
  for (let i = 0; i < 20_000 && !settled; i += 1) {
    await turn();
    if (!settled) await clock.toNext();
  }
  if (!settled) {
    throw new Error(
      "Expected a promise to settle within 20000 turns, with time passing: it is still pending, " +
        `with ${clock.pending} timers left.`,
    );
  }
  return promise;
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
