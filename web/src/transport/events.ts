/**
 * Decodes server-sent events from bytes that are split anywhere. No I/O.
 *
 * Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */

/** The largest event accepted, in characters (UTF-16 code units). */
export const MAX_EVENT_LENGTH = 16 * 1024 * 1024;

export interface ServerEvent {
  /** The `id` field of this event itself; an id is not inherited from the previous event. */
  readonly id: string | undefined;
  /** The `event` field, `message` when there is none. */
  readonly type: string;
  /** The `data` lines, joined with line feeds. */
  readonly data: string;
}

/** The server sends a line or an event beyond the limit. */
export class EventTooLarge extends Error {
  override readonly name = "EventTooLarge";
}

/** Decodes one response. An incomplete event at its end is dropped. */
export class EventDecoder {
  /** The last reconnection delay that the server asked for, in milliseconds. */
  retryMs: number | undefined;

  readonly #maxLength: number;
  readonly #text = new TextDecoder(); // drops a byte order mark at the start
  #afterCarriageReturn = false;
  #line = "";
  #id: string | undefined;
  #type = "";
  #data: string[] = [];
  #length = 0;

  constructor(maxLength = MAX_EVENT_LENGTH) {
    this.#maxLength = maxLength;
  }

  /**
   * Takes the next bytes and returns the events that they complete.
   *
   * @throws {EventTooLarge} close the connection.
   */
  feed(bytes: Uint8Array): ServerEvent[] {
    let text = this.#text.decode(bytes, { stream: true });
    if (text === "") return [];
    if (this.#afterCarriageReturn && text.startsWith("\n")) text = text.slice(1);
    this.#afterCarriageReturn = text.endsWith("\r");
    const lines = text.split(/\r\n?|\n/);
    const rest = lines.pop() as string; // always there: the unfinished line
    const events: ServerEvent[] = [];
    for (const piece of lines) {
      const line = this.#line + piece;
      this.#line = "";
      this.#bound(line.length);
      if (line === "") this.#dispatch(events);
      else this.#take(line);
    }
    this.#line += rest;
    this.#bound(this.#line.length);
    return events;
  }

  #take(line: string): void {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon); // empty in a comment
    const start = line.startsWith(" ", colon + 1) ? colon + 2 : colon + 1;
    const value = colon < 0 ? "" : line.slice(start);
    if (field === "data") {
      this.#data.push(value);
      this.#length += value.length + 1;
    } else if (field === "id") {
      if (!value.includes("\0")) this.#id = value;
    } else if (field === "event") {
      this.#type = value;
    } else if (field === "retry" && /^[0-9]{1,9}$/.test(value)) {
      this.retryMs = Number(value);
    }
  }

  #dispatch(events: ServerEvent[]): void {
    if (this.#data.length > 0) {
      const [id, type] = [this.#id || undefined, this.#type || "message"];
      events.push({ id, type, data: this.#data.join("\n") });
      this.#data = [];
      this.#length = 0;
    }
    this.#id = undefined;
    this.#type = "";
  }

  #bound(lineLength: number): void {
    if (this.#length + lineLength > this.#maxLength) {
      throw new EventTooLarge(`An event has more than ${this.#maxLength} characters.`);
    }
  }
}
