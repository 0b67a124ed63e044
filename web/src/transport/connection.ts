/**
 * One stream of chunks over as many connections as necessary.
 *
 * Theory of operation
 * ===================
 * 1. The cursor is the id of the last event whose chunk is in the stream. It moves only together
 *    with the chunk, so an attempt that is cut anywhere loses nothing. Duplicates (ids that are
 *    not beyond the cursor) are dropped.
 * 2. An attempt without a terminal chunk was cut, however its bytes end.
 * 3. One loop does everything that takes time. Events of the page only cancel the current exchange
 *    or end the delay; the loop decides what comes next.
 * 4. The network is read when the stream has room (backpressure). An event is dropped once its
 *    chunk is in the stream.
 */

import type { UIMessageChunk } from "ai";
import type { Backoff } from "./backoff.js";
import { pauseMs } from "./backoff.js";
import { InvalidChunk, isTerminal, parseChunk } from "./chunks.js";
import type { Clock, Environment } from "./environment.js";
import { refusal, TransportError } from "./errors.js";
import type { ServerEvent } from "./events.js";
import { EventDecoder, EventTooLarge } from "./events.js";
import { Exchange } from "./exchange.js";
import { Output } from "./output.js";
import { Presence } from "./presence.js";
import type { ConnectionState } from "./state.js";
import { IDLE } from "./state.js";

/** The options that all connections of a transport share. */
export interface Settings {
  readonly clock: Clock;
  readonly environment: Environment;
  readonly random: () => number;
  readonly backoff: Backoff;
  readonly silenceMs: number;
  readonly hiddenMs: number;
}

/** The requests of a connection. */
export interface Subject {
  /** Requests the stream from its beginning, or from behind a cursor. */
  request(cursor: string | undefined, signal: AbortSignal): Promise<Response>;
  /** Whether the request carries a message: it is then sent from a hidden page, too. */
  readonly carriesMessage: boolean;
}

/** The consecutive failures of a server, or answers of another host, before giving up. */
const MAX_DOUBTFUL = 5;
const MAX_PROBLEM_BYTES = 64 * 1024;

const HIDDEN = new TransportError("network", { message: "The page is hidden." });

export class Connection {
  /** True once the server streams; false if it answers that no run is active. */
  readonly opened: Promise<boolean>;

  readonly #subject: Subject;
  readonly #settings: Settings;
  readonly #report: () => void;
  readonly #output = new Output(() => this.detach());
  readonly #presence: Presence;
  #resolveOpened!: (open: boolean) => void;
  #rejectOpened!: (reason: unknown) => void;

  #state: ConnectionState = { ...IDLE, phase: "connecting" };
  #cursor: string | undefined;
  #skipped = 0;
  #failures = 0; // consecutive, since the last event
  #doubtful = 0; // those among them that may be permanent
  #connected = false; // at least once
  #lost = false; // since the last connection
  #unnumbered = false; // a chunk without an id was delivered
  #floorMs = 0;
  #notBefore = 0; // the end of a delay that the server asked for
  #atOnce = false; // the next attempt needs no delay
  #exchange: Exchange | undefined;
  #endWait: (() => void) | undefined;
  #over = false;

  /**
   * Connects at once.
   *
   * @param report called when more than the cursor of the state changes.
   */
  constructor(subject: Subject, settings: Settings, report: () => void) {
    this.#subject = subject;
    this.#settings = settings;
    this.#report = report;
    this.opened = new Promise((resolve, reject) => {
      this.#resolveOpened = resolve;
      this.#rejectOpened = reject;
    });
    this.opened.catch(() => {}); // the stream reports the error, too
    this.#presence = new Presence(settings.environment, settings.clock, settings.hiddenMs, {
      onOffline: () => this.#onOffline(),
      onReturn: () => this.#onReturn(),
      onAway: () => this.#onAway(),
    });
    void this.#run();
  }

  /** The chunks. Cancelling this stream detaches. */
  get stream(): ReadableStream<UIMessageChunk> {
    return this.#output.stream;
  }

  /** The state: the same object until something changes. */
  get state(): ConnectionState {
    if (this.#state.cursor !== this.#cursor) this.#state = { ...this.#state, cursor: this.#cursor };
    return this.#state;
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** Disconnects and fails the stream with the reason. The run continues. */
  detach(reason: unknown = new DOMException("The stream was let go.", "AbortError")): void {
    if (!this.#settle({ phase: "idle" })) return;
    this.#output.fail(reason);
    this.#rejectOpened(reason);
  }

  /** Ends the delay before the next attempt, whatever its reason. */
  retryNow(): void {
    this.#notBefore = 0;
    this.#presence.return();
  }

  /** Disconnects now if the page is hidden, instead of after a timeout. */
  pauseIfHidden(): void {
    this.#presence.leave();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#over) {
        if (this.#mayPause()) await this.#waitUntilVisible();
        else await this.#attempt();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  async #attempt(): Promise<void> {
    const { clock, silenceMs } = this.#settings;
    const exchange = new Exchange(clock, silenceMs);
    this.#exchange = exchange;
    let failure: unknown;
    try {
      const response = await exchange.open((s) => this.#subject.request(this.#cursor, s));
      if (response.status === 204 && this.#takeEmpty()) return;
      await this.#accept(response, exchange);
      await this.#follow(exchange);
    } catch (error) {
      failure = error;
    } finally {
      exchange.close();
      this.#exchange = undefined;
    }
    if (!this.#over && failure !== HIDDEN) await this.#recover(failure);
  }

  /** Ends after an empty answer: no run, or no more records. False where none is allowed. */
  #takeEmpty(): boolean {
    if (this.#cursor !== undefined) this.#finish();
    else if (this.#subject.carriesMessage) return false;
    else if (this.#connected) this.#fail(new TransportError("cursor-lost"));
    else if (this.#settle({ phase: "idle" })) {
      this.#output.close();
      this.#resolveOpened(false);
    }
    return true;
  }

  async #accept(response: Response, exchange: Exchange): Promise<void> {
    if (!response.ok || !isEventStream(response)) {
      const body = await exchange.text(MAX_PROBLEM_BYTES).catch(() => "");
      throw refusal(response, body, this.#settings.clock.now());
    }
    const runId = response.headers.get("x-run-id") ?? this.#state.runId;
    if (this.#cursor !== undefined && this.#state.runId !== runId) {
      throw new TransportError("cursor-lost");
    }
    this.#connected = true;
    this.#doubtful = 0;
    const resumes = this.#state.resumes + (this.#lost ? 1 : 0);
    this.#lost = false;
    this.#publish({ ...CALM, phase: "live", runId, resumes });
    this.#resolveOpened(true);
    if (this.#mayPause()) throw HIDDEN;
  }

  async #follow(exchange: Exchange): Promise<void> {
    const decoder = new EventDecoder();
    for (;;) {
      await this.#output.room();
      const bytes = await exchange.read();
      if (!bytes) throw new TransportError("network");
      const ended = this.#deliver(decode(decoder, bytes));
      this.#floorMs = decoder.retryMs ?? this.#floorMs;
      if (ended) return this.#finish();
    }
  }

  /** Returns whether the terminal chunk was among the events. */
  #deliver(events: readonly ServerEvent[]): boolean {
    try {
      return events.some((event) => this.#take(event));
    } finally {
      this.#output.flush();
      if (this.#skipped > this.#state.skipped) this.#publish({ skipped: this.#skipped });
    }
  }

  #take({ id, type, data }: ServerEvent): boolean {
    if (id !== undefined && this.#cursor !== undefined && id <= this.#cursor) return false;
    if (data === DONE) throw new TransportError("network"); // no terminal chunk: the connection was cut
    const chunk = type === "message" ? readChunk(data) : undefined;
    if (chunk) this.#output.add(chunk);
    else this.#skipped += 1;
    this.#cursor = id ?? this.#cursor;
    this.#unnumbered = this.#cursor === undefined;
    this.#failures = 0;
    return chunk !== undefined && isTerminal(chunk);
  }

  /** Decides after a failed attempt whether to retry. */
  async #recover(error: unknown): Promise<void> {
    if (!(error instanceof TransportError) || !error.retryable) return this.#fail(error);
    if (this.#unnumbered) return this.#fail(new TransportError("cursor-lost", { cause: error }));
    this.#doubtful = isDoubtful(error) ? this.#doubtful + 1 : 0;
    if (this.#doubtful >= MAX_DOUBTFUL) return this.#fail(error);
    this.#failures += 1;
    this.#lost = this.#connected;
    const waits = !this.#atOnce && !this.#mayPause();
    this.#atOnce = false;
    if (waits) await this.#backOff(error);
    else this.#publish({ phase: this.#waitingPhase(), attempt: this.#failures, error });
  }

  async #backOff(error: TransportError): Promise<void> {
    const { backoff, clock, random } = this.#settings;
    const askedMs = error.retryAfterMs ?? 0;
    const delayMs = Math.max(askedMs, pauseMs(backoff, this.#failures, this.#floorMs, random));
    const retryAt = clock.now() + delayMs;
    this.#notBefore = clock.now() + askedMs;
    const phase = this.#waitingPhase();
    this.#publish({ phase, attempt: this.#failures, delayMs, retryAt, error });
    await this.#waitFor(delayMs);
    if (this.#over || this.#mayPause()) return;
    this.#publish({ phase: this.#waitingPhase(), delayMs: undefined, retryAt: undefined });
  }

  /** Waits until the page is visible again. */
  async #waitUntilVisible(): Promise<void> {
    this.#notBefore = 0;
    this.#publish({ ...CALM, phase: "paused" });
    await this.#waitFor(undefined);
    if (!this.#over) this.#publish({ phase: this.#waitingPhase() });
  }

  async #waitFor(ms: number | undefined): Promise<void> {
    let cancelTimer: (() => void) | undefined;
    await new Promise<void>((resolve) => {
      this.#endWait = resolve;
      if (ms !== undefined) cancelTimer = this.#settings.clock.after(ms, resolve);
    });
    cancelTimer?.();
    this.#endWait = undefined;
  }

  #waitingPhase(): "reconnecting" | "offline" {
    return this.#settings.environment.isOnline() ? "reconnecting" : "offline";
  }

  /** Whether to disconnect while the page is hidden. */
  #mayPause(): boolean {
    return this.#presence.away && (this.#connected || !this.#subject.carriesMessage);
  }

  #onOffline(): void {
    if (this.#mayPause()) return;
    if (this.#exchange) this.#cut(new TransportError("network", { message: NO_NETWORK }));
    else this.#publish({ phase: "offline" });
  }

  #onReturn(): void {
    if (this.#exchange?.cutIfSilent()) this.#atOnce = true;
    if (this.#settings.clock.now() >= this.#notBefore) this.#endWait?.();
    else if (this.#state.phase === "offline") this.#publish({ phase: this.#waitingPhase() });
  }

  #onAway(): void {
    if (!this.#mayPause()) return;
    if (this.#exchange) this.#cut(HIDDEN);
    this.#endWait?.();
  }

  #cut(reason: Error): void {
    this.#exchange?.cut(reason);
    this.#output.wake();
  }

  #finish(): void {
    if (!this.#settle({ phase: "ended" })) return;
    this.#output.close();
    this.#resolveOpened(true);
  }

  #fail(error: unknown): void {
    const shown = error instanceof Error ? error : new Error(String(error));
    if (!this.#settle({ phase: "ended", error: shown })) return;
    this.#output.failAfterwards(error);
    this.#rejectOpened(error);
  }

  /** Ends the connection and releases everything. Returns false if it had ended already. */
  #settle(last: Partial<ConnectionState>): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#presence.close();
    this.#cut(new TransportError("network"));
    this.#endWait?.();
    this.#publish({ ...CALM, ...last });
    return true;
  }

  #publish(patch: Partial<ConnectionState>): void {
    this.#state = { ...this.state, ...patch };
    this.#report();
  }
}

/** The members of a state without failures. */
const CALM = { attempt: 0, delayMs: undefined, retryAt: undefined, error: undefined } as const;

const NO_NETWORK = "There is no network.";

/** The end marker of a stream, without an id, for readers that need it. */
const DONE = "[DONE]";

function isEventStream(response: Response): boolean {
  return /^text\/event-stream\b/i.test(response.headers.get("content-type") ?? "");
}

function isDoubtful({ kind }: TransportError): boolean {
  return kind === "server" || kind === "not-a-stream";
}

function decode(decoder: EventDecoder, bytes: Uint8Array): ServerEvent[] {
  try {
    return decoder.feed(bytes);
  } catch (error) {
    throw error instanceof EventTooLarge ? brokenStream(error) : error;
  }
}

function readChunk(data: string): UIMessageChunk | undefined {
  try {
    return parseChunk(data);
  } catch (error) {
    throw error instanceof InvalidChunk ? brokenStream(error) : error;
  }
}

/** Whether a retry cannot help. */
function brokenStream(cause: Error): TransportError {
  const message = "The server's answer cannot be read. Load the chat again.";
  return new TransportError("not-a-stream", { message, retryable: false, cause });
}
