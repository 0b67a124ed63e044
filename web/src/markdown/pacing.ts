/**
 * When to show text that has already arrived.
 *
 * 1. Every received length has a deadline, `LAG_MS` after its arrival. The pace is the slowest one
 *    that meets every deadline: a burst is spread evenly, and no text waits longer.
 * 2. A backlog of more than `JUMP` characters is a resume, not a burst: all but the last `GLIDE`
 *    characters appear at once.
 * 3. Text that does not continue the shown text replaces it at once.
 *
 * No clock of its own: every method takes the time in milliseconds.
 */
import { graphemeCut } from "./graphemes";

export const LAG_MS = 260;
export const JUMP = 2000;
export const GLIDE = 160;

interface Arrival {
  length: number;
  due: number;
}

export class Pacer {
  private arrivals: Arrival[] = [];
  private position: number;
  private last = 0;

  /** The initial text is shown at once. */
  constructor(private text: string) {
    this.position = text.length;
  }

  /** How many UTF-16 units of the text to show: never in the middle of a character. */
  get shown(): number {
    return graphemeCut(this.text, Math.floor(this.position));
  }

  get pending(): boolean {
    return this.position < this.text.length;
  }

  /** The part of `text` to show, also for a text that has not been received yet. */
  visible(text: string): string {
    if (text === this.text) return text.slice(0, this.shown);
    const shown = this.text.slice(0, this.shown);
    return text.startsWith(shown) ? shown : text;
  }

  receive(text: string, now: number): void {
    if (text === this.text) return;
    const continues = text.startsWith(this.text.slice(0, this.shown));
    if (!this.pending) this.last = now;
    this.text = text;
    if (!continues || text.length <= this.position) {
      this.finish();
      return;
    }
    this.arrivals = this.arrivals.filter((arrival) => arrival.length < text.length);
    this.arrivals.push({ length: text.length, due: now + LAG_MS });
    if (text.length - this.position > JUMP) {
      this.position = text.length - GLIDE;
      this.arrivals = [{ length: text.length, due: now + LAG_MS }];
    }
  }

  finish(): void {
    this.position = this.text.length;
    this.arrivals = [];
  }

  /** Advance to `now`. Returns whether more is shown than before. */
  advance(now: number): boolean {
    const before = this.shown;
    const passed = Math.max(0, now - this.last);
    const pace = Math.max(0, ...this.arrivals.map((arrival) => this.paceFor(arrival)));
    this.last = now;
    this.position = Math.min(this.text.length, this.position + pace * passed);
    for (const arrival of this.arrivals) {
      if (arrival.due <= now) this.position = Math.max(this.position, arrival.length);
    }
    this.arrivals = this.arrivals.filter((arrival) => arrival.length > this.position);
    return this.shown > before;
  }

  private paceFor(arrival: Arrival): number {
    return (arrival.length - this.position) / Math.max(1, arrival.due - this.last);
  }
}
