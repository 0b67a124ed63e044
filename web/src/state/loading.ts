/** Loads a chat's snapshot, with retries while they may help. A newer load replaces it. */
import { TransportError } from "@/transport/index";
import type { Snapshot } from "./model";

/** Waits before the next attempt. */
export type Pause = (attempt: number, leastMs?: number) => Promise<void>;

export class Loading {
  #number = 0;

  /**
   * @param get - makes one request to the server.
   */
  constructor(
    private readonly get: (leaf: string | null) => Promise<Snapshot>,
    private readonly pause: Pause,
  ) {}

  /** Cancel the pending load: it is older than a change. */
  overtake(): void {
    this.#number++;
  }

  /**
   * @param leaf - the message whose branch to load; null for the chat's head.
   * @param onFailure - called for every failure, also before a retry.
   * @returns null when it cannot be loaded, or was replaced by a newer load.
   */
  async load(
    leaf: string | null,
    onFailure: (problem: TransportError) => void,
  ): Promise<Snapshot | null> {
    const number = ++this.#number;
    for (let attempt = 1; number === this.#number; attempt++) {
      try {
        const snapshot = await this.get(leaf);
        return number === this.#number ? snapshot : null;
      } catch (error) {
        const problem = asProblem(error);
        if (number !== this.#number) return null;
        onFailure(problem);
        if (!problem.retryable) return null;
        await this.pause(attempt, problem.retryAfterMs);
      }
    }
    return null;
  }
}

/** Whether a failure is the server's or the network's; others are programming errors. */
export function asProblem(error: unknown): TransportError {
  if (error instanceof TransportError) return error;
  throw error;
}
