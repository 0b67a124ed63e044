/** The stream that the application reads. */

import type { UIMessageChunk } from "ai";
import { joined } from "./chunks.js";

/** Requests more when its reader has consumed everything. Joins neighbouring deltas. */
export class Output {
  readonly stream: ReadableStream<UIMessageChunk>;
  #controller!: ReadableStreamDefaultController<UIMessageChunk>;
  #held: UIMessageChunk | undefined;
  #wake: (() => void) | undefined;
  #failure: { readonly reason: unknown } | undefined;
  #open = true;

  constructor(onCancel: () => void) {
    this.stream = new ReadableStream<UIMessageChunk>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => {
        if (this.#failure) this.fail(this.#failure.reason);
        this.wake();
      },
      cancel: () => {
        this.#open = false;
        onCancel();
      },
    });
  }

  /** Resolves when the reader wants more, or when `wake` is called. */
  async room(): Promise<void> {
    if ((this.#controller.desiredSize ?? 1) > 0) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Wakes the task that waits for room. */
  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Adds a chunk. The reader receives it no later than `flush`. */
  add(chunk: UIMessageChunk): void {
    const both = this.#held && joined(this.#held, chunk);
    if (!both) this.flush();
    this.#held = both ?? chunk;
  }

  /** Delivers the delta that was held back for joining. */
  flush(): void {
    if (this.#held && this.#open) this.#controller.enqueue(this.#held);
    this.#held = undefined;
  }

  close(): void {
    if (this.#open) this.#controller.close();
    this.#open = false;
  }

  /** Fails once the reader has consumed everything. */
  failAfterwards(reason: unknown): void {
    if ((this.#controller.desiredSize ?? 1) > 0) this.fail(reason);
    else this.#failure = { reason };
  }

  /** Fails at once and drops all chunks that are not consumed yet. */
  fail(reason: unknown): void {
    if (this.#open) this.#controller.error(reason);
    this.#open = false;
  }
}
