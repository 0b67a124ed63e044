import { type ComponentType, useEffect, useSyncExternalStore } from "react";
import { pause } from "@/state/patience";

type Markdown = ComponentType<{ text: string; live: boolean }>;

/** So long a text waits for its renderer before it is shown as it was written. */
const PATIENCE_MS = 1_000;

let loaded: Markdown | null = null;
let loading: Promise<void> | null = null;
let isLate = false;
const listeners = new Set<() => void>();

/** Fetch what renders Markdown. Fails quietly and tries again. */
export function loadMarkdown(): Promise<void> {
  loading ??= load();
  return loading;
}

async function load(): Promise<void> {
  setTimeout(beLate, PATIENCE_MS);
  for (let attempt = 1; loaded === null; attempt++) {
    try {
      loaded = (await import("@/markdown")).Markdown;
      tell();
    } catch {
      beLate();
      await pause(attempt, 2_000);
    }
  }
}

function beLate(): void {
  isLate = true;
  tell();
}

function tell(): void {
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

const state = (): Markdown | "soon" | "late" => loaded ?? (isLate ? "late" : "soon");

/**
 * Markdown. Until its renderer is there the text keeps its place, unseen: shown as it was written
 * it would change shape a moment later. If that takes long, it is shown as it was written.
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
