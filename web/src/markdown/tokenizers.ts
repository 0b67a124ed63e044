import { useEffect, useReducer } from "react";
import { grammarName } from "./languages";
import { persist } from "./persist";
import type { LineTokenizer } from "./shiki";

type Load = (name: string) => Promise<LineTokenizer>;

/** Tokenizers that are loaded or being loaded. Failed fetches are retried. */
export class Tokenizers {
  private readonly ready = new Map<string, LineTokenizer>();
  private readonly coming = new Map<string, Promise<void>>();

  constructor(private readonly load: Load) {}

  get(name: string): LineTokenizer | undefined {
    return this.ready.get(name);
  }

  /** Settles when `get` has the tokenizer; it may take until the network is back. */
  fetch(name: string): Promise<void> {
    let coming = this.coming.get(name);
    if (!coming) {
      coming = persist(() => this.load(name)).then((it) => void this.ready.set(name, it));
      this.coming.set(name, coming);
    }
    return coming;
  }
}

const shared = new Tokenizers(async (name) => (await import("./shiki")).loadTokenizer(name));

/** The tokenizer for a fence's language, or undefined: unknown, or not loaded yet. */
export function useTokenizer(language: string, from = shared): LineTokenizer | undefined {
  const name = grammarName(language);
  const tokenizer = name === null ? undefined : from.get(name);
  const [, repaint] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    if (name === null || tokenizer) return undefined;
    let waiting = true;
    void from.fetch(name).then(() => waiting && repaint());
    return () => {
      waiting = false;
    };
  }, [name, tokenizer, from]);
  return tokenizer;
}
