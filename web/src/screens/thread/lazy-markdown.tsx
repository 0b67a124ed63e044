import { type ComponentType, useEffect, useSyncExternalStore } from "react";
import { pause } from "@/state/backoff";

type Markdown = ComponentType<{ text: string; live: boolean }>;

/** The timeout for the renderer; afterwards the text is shown as source. */
const PATIENCE_MS = 1_000;

let loaded: Markdown | null = null;
let loading: Promise<void> | null = null;
let isLate = false;
const listeners = new Set<() => void>();

/** Fetch the Markdown renderer. Fails silently and retries. */
export function loadMarkdown(): Promise<void> {
  loading ??= load();
  return loading;
}

async function load(): Promise<void> {
  setTimeout(beLate, PATIENCE_MS);
  for (let attempt = 1; loaded === null; attempt++) {
    try {
      loaded = (await import("@/markdown")).Markdown;
      notify();
    } catch {
      beLate();
      await pause(attempt, 2_000);
    }
  }
}

function beLate(): void {
  isLate = true;
  notify();
}

function notify(): void {
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

const state = (): Markdown | "soon" | "late" => loaded ?? (isLate ? "late" : "soon");

/**
 * Markdown. Until its renderer is loaded the text is invisible but keeps its place, because the
 * source would change shape a moment later. After a timeout the source is shown.
 */
export function LazyMarkdown({ text, live }: { text: string; live: boolean }) {
  const Component = useSyncExternalStore(subscribe, state);
  useEffect(() => void loadMarkdown(), []);
  if (typeof Component !== "string") return <Component text={text} live={live} />;
  return (
    <div
      className="text-[15px] leading-7 break-words whitespace-pre-wrap"
      style={Component === "soon" ? { visibility: "hidden" } : undefined}
    >
      {text}
    </div>
  );
}
