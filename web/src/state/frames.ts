/**
 * The AI SDK's chat state, published once per frame.
 *
 * `AbstractChat` writes its state after every chunk. Hundreds of chunks a second need only one
 * rendering per frame. A replay begins with an empty message, and must stay hidden until it has
 * caught up with the screen.
 */
import type { ChatState, ChatStatus } from "ai";
import type { Message } from "./model";

export type Schedule = (run: () => void) => void;

/** The next frame, or a short timeout where no frames are drawn. */
export const nextFrame: Schedule = (run) => {
  if (document.visibilityState === "visible") requestAnimationFrame(run);
  else setTimeout(run, 100);
};

export class FrameState implements ChatState<Message> {
  #messages: Message[] = [];
  #status: ChatStatus = "ready";
  #error: Error | undefined;
  #scheduled = false;

  /**
   * @param publish - shows the state as it is now.
   * @param schedule - schedules a publication; a status is published at once.
   */
  constructor(
    private readonly publish: () => void,
    private readonly schedule: Schedule,
  ) {}

  get messages(): Message[] {
    return this.#messages;
  }

  set messages(messages: Message[]) {
    this.#messages = [...messages];
    this.publish();
  }

  get status(): ChatStatus {
    return this.#status;
  }

  set status(status: ChatStatus) {
    this.#status = status;
    this.publish();
  }

  get error(): Error | undefined {
    return this.#error;
  }

  set error(error: Error | undefined) {
    this.#error = error;
    this.publish();
  }

  pushMessage = (message: Message): void => {
    this.#messages = [...this.#messages, message];
    this.#later();
  };

  popMessage = (): void => {
    this.#messages = this.#messages.slice(0, -1);
    this.#later();
  };

  replaceMessage = (index: number, message: Message): void => {
    this.#messages = this.#messages.with(index, this.snapshot(message));
    this.#later();
  };

  /** Parts are written in place by the SDK; a copy of the list and of each part is enough. */
  snapshot = <T>(value: T): T => {
    if (typeof value !== "object" || value === null || !("parts" in value)) return value;
    const message = value as T & Message;
    const parts = message.parts.map((part) => ({ ...part }));
    return { ...message, parts, metadata: message.metadata && { ...message.metadata } };
  };

  #later(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.schedule(() => {
      this.#scheduled = false;
      this.publish();
    });
  }
}
