/** Sends the messages of a chat from the outbox, one at a time, while the chat is idle. */
import { type OutboxItem, outboxOf, removeFromOutbox } from "./outbox";

export interface Recipient {
  /** Whether the chat can accept a message now. */
  isReady: () => boolean;
  /** Whether the server has the message already. */
  hasArrived: (message: string) => boolean;
  /** Send it. Resolves when the server has accepted or refused it. */
  deliver: (item: OutboxItem) => Promise<void>;
}

/** Runs `work` while no other tab runs work of this name. */
export type Exclusively = (name: string, work: () => Promise<void>) => Promise<void>;

export class Delivery {
  #running = false;

  constructor(
    private readonly chat: string,
    private readonly recipient: Recipient,
    private readonly exclusively: Exclusively,
  ) {}

  /** Deliver the messages that can be sent now. Called after every relevant change. */
  async run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      for (let item = this.#next(); item !== undefined; ) {
        const { id } = item;
        await this.exclusively(`send:${id}`, async () => {
          const same = this.#next(); // another tab may have sent it
          if (same?.id === id) await this.recipient.deliver(same);
        });
        item = this.#next();
        if (item?.id === id) return; // a later event triggers the retry
      }
    } finally {
      this.#running = false;
    }
  }

  #next(): OutboxItem | undefined {
    if (!this.recipient.isReady()) return undefined;
    for (const item of outboxOf(this.chat)) {
      if (this.recipient.hasArrived(item.id)) removeFromOutbox(item.id);
      else if (item.refused === undefined) return item;
    }
    return undefined;
  }
}
