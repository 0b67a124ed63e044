/** Loads a chat's snapshot, again and again while that may help. A newer load overtakes it. */
import { TransportError } from "@/transport/index";
import type { Snapshot } from "./model";

/** Waits before the next try. */
export type Pause = (attempt: number, leastMs?: number) => Promise<void>;

export class Loading {
  #number = 0;

  /**
   * @param get - asks the server once.
   */
  constructor(
    private readonly get: (leaf: string | null) => Promise<Snapshot>,
    private readonly pause: Pause,
  ) {}

  /** What is being loaded is older than what happened meanwhile. */
  overtake(): void {
    this.#number++;
  }

  /**
   * @param leaf - the message whose branch to load; null for the chat's own choice.
   * @param onFailure - told of every failure, also of those after which it is tried again.
   * @returns null when it cannot be loaded, or was overtaken.
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

/** What the server or the wire did wrong; our own mistakes go on their way. */
export function asProblem(error: unknown): TransportError {
  if (error instanceof TransportError) return error;
  throw error;
}
