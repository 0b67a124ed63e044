/** A browser's `EventSource` whose server is the test. */
import type { FeedEvent } from "../model";

export class Source {
  static opened: Source[] = [];
  isClosed = false;
  onerror: (() => void) | null = null;
  onmessage: ((event: { data: string; lastEventId: string }) => void) | null = null;

  constructor(readonly url: string) {
    Source.opened.push(this);
  }

  /** The one that was opened last. */
  static get last(): Source {
    const last = Source.opened.at(-1);
    if (last === undefined) throw new Error("No EventSource was opened.");
    return last;
  }

  emit(event: FeedEvent, id: string): void {
    if (!this.isClosed) this.onmessage?.({ data: JSON.stringify(event), lastEventId: id });
  }

  /** The connection is lost, or fails. */
  fail(): void {
    if (!this.isClosed) this.onerror?.();
  }

  close(): void {
    this.isClosed = true;
  }
}
