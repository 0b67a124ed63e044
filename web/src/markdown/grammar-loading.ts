import { useEffect, useState } from "react";
import { grammarName } from "./languages";
import type { LineTokenizer } from "./shiki";

type Load = (name: string) => Promise<LineTokenizer>;

const FIRST_RETRY_MS = 2_000;
const LAST_RETRY_MS = 60_000;

/**
 * Tokenizers that have come, and who waits for the others. A file that cannot be fetched (a cut
 * network, a deploy) is asked for again: later and later, and at once when the network is back.
 */
export class Tokenizers {
  private readonly ready = new Map<string, LineTokenizer>();
  private readonly waiting = new Map<string, Set<() => void>>();

  constructor(private readonly load: Load) {}

  get(name: string): LineTokenizer | undefined {
    return this.ready.get(name);
  }

  /** Calls `onReady` once, when the tokenizer is there. Returns how to wait no more. */
  wait(name: string, onReady: () => void): () => void {
    const waiters = this.waiting.get(name);
    if (waiters) waiters.add(onReady);
    else {
      this.waiting.set(name, new Set([onReady]));
      void this.fetch(name, FIRST_RETRY_MS);
    }
    return () => this.waiting.get(name)?.delete(onReady);
  }

  private async fetch(name: string, retryMs: number): Promise<void> {
    try {
      this.ready.set(name, await this.load(name));
    } catch {
      await online(retryMs);
      if (this.waiting.get(name)?.size === 0) this.waiting.delete(name);
      else void this.fetch(name, Math.min(retryMs * 2, LAST_RETRY_MS));
      return;
    }
    const waiters = this.waiting.get(name) ?? [];
    this.waiting.delete(name);
    for (const onReady of waiters) onReady();
  }
}

/** Settles after `ms` milliseconds, or as soon as the browser says that it is online again. */
function online(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
  });
}

export const tokenizers = new Tokenizers(async (name) =>
  (await import("./shiki")).loadTokenizer(name),
);

/** The tokenizer for a fence's language, or undefined: not known, or not here yet. */
export function useTokenizer(language: string): LineTokenizer | undefined {
  const name = grammarName(language);
  const [, arrived] = useState<string | null>(null);
  const tokenizer = name === null ? undefined : tokenizers.get(name);
  useEffect(() => {
    if (name === null || tokenizer) return undefined;
    return tokenizers.wait(name, () => arrived(name));
  }, [name, tokenizer]);
  return tokenizer;
}
