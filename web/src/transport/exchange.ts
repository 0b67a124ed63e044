/** One request and its response. We, a timeout or the network may cut it at any moment. */

import type { Clock } from "./environment.js";
import { TransportError } from "./errors.js";

/** An exchange must be closed with `close`. */
export class Exchange {
  readonly #clock: Clock;
  readonly #silenceMs: number;
  readonly #controller = new AbortController();
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #reason: Error | undefined;
  #refuse: ((reason: Error) => void) | undefined;
  #waitingSince: number | undefined;
  #unwatch: (() => void) | undefined;

  /**
   * @param silenceMs the idle timeout: how long the server may send nothing during a read.
   */
  constructor(clock: Clock, silenceMs: number) {
    this.#clock = clock;
    this.#silenceMs = silenceMs;
  }

  /**
   * Sends the request and waits for the head of the response. Called once.
   *
   * @throws the reason given to `cut`, or the error of `request`.
   */
  async open(request: (signal: AbortSignal) => Promise<Response>): Promise<Response> {
    this.#watch();
    try {
      return await Promise.race([
        this.#answer(request),
        new Promise<never>((_, reject) => {
          this.#refuse = reject;
        }),
      ]);
    } catch (error) {
      throw this.#reason ?? error;
    } finally {
      this.#refuse = undefined;
      this.#endWatch();
    }
  }

  /**
   * The next bytes of the response, or undefined after the last.
   *
   * @throws the reason given to `cut`, or a `network` error.
   */
  async read(): Promise<Uint8Array | undefined> {
    if (this.#reason) throw this.#reason;
    this.#watch();
    try {
      const { value } = (await this.#reader?.read()) ?? {};
      if (this.#reason) throw this.#reason;
      return value;
    } catch (cause) {
      throw this.#reason ?? new TransportError("network", { cause });
    } finally {
      this.#endWatch();
    }
  }

  /** The beginning of the response as text. */
  async text(maxBytes: number): Promise<string> {
    const decoder = new TextDecoder();
    let [text, size] = ["", 0];
    for (let bytes = await this.read(); bytes && size < maxBytes; bytes = await this.read()) {
      text += decoder.decode(bytes, { stream: true });
      size += bytes.length;
    }
    return text;
  }

  /** Ends the exchange and fails its waiters with the reason. */
  cut(reason: Error): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#refuse?.(reason);
    // Cancel the reader first: this ends a pending read even where `fetch` ignores its signal.
    this.#reader?.cancel(reason).catch(ignore);
    this.#controller.abort(reason);
  }

  /**
   * Cuts if the idle timeout has passed by the clock: timers stop while a computer sleeps.
   * Returns whether it has passed.
   */
  cutIfSilent(): boolean {
    if (this.#waitingSince === undefined) return false;
    const isSilent = this.#clock.now() - this.#waitingSince >= this.#silenceMs;
    if (isSilent) this.#cutSilent();
    return isSilent;
  }

  /** Releases everything. */
  close(): void {
    this.cut(new TransportError("network"));
  }

  #watch(): void {
    this.#waitingSince = this.#clock.now();
    this.#unwatch = this.#clock.after(this.#silenceMs, () => this.#cutSilent());
  }

  #endWatch(): void {
    this.#waitingSince = undefined;
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  async #answer(request: (signal: AbortSignal) => Promise<Response>): Promise<Response> {
    const response = await request(this.#controller.signal);
    this.#reader = response.body?.getReader();
    // Not every `fetch` obeys its signal: a response may come after the cut.
    if (this.#reason) this.#reader?.cancel(this.#reason).catch(ignore);
    return response;
  }

  #cutSilent(): void {
    const seconds = Math.round(this.#silenceMs / 1000);
    const message = `The server has sent nothing for ${seconds} seconds.`;
    this.cut(new TransportError("network", { message }));
  }
}

function ignore(): void {
  // The reason is reported elsewhere.
}
