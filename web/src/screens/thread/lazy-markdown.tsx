import { type ComponentType, useEffect, useSyncExternalStore } from "react";
import { page } from "@/state/notices";
import { pause } from "@/state/patience";

type Markdown = ComponentType<{ text: string; live: boolean }>;

let loaded: Markdown | null = null;
let loading: Promise<void> | null = null;
const listeners = new Set<() => void>();

/** Fetch what renders Markdown, soon after the first paint. Fails quietly and tries again. */
export function loadMarkdown(): Promise<void> {
  loading ??= (async () => {
    for (let attempt = 1; loaded === null; attempt++) {
      try {
        loaded = (await import("@/markdown")).Markdown;
        for (const listener of listeners) listener();
      } catch {
        if (attempt > 2) page.setState({ stale: true });
        await pause(attempt, 2_000);
      }
    }
  })();
  return loading;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Markdown; the plain text until its renderer is there, and if it never comes. */
export function LazyMarkdown({ text, live }: { text: string; live: boolean }) {
  const Component = useSyncExternalStore(subscribe, () => loaded);
  useEffect(() => void loadMarkdown(), []);
  if (Component) return <Component text={text} live={live} />;
  return <div className="text-[15px] leading-7 break-words whitespace-pre-wrap">{text}</div>;
}
