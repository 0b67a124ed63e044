import { Check, Copy } from "lucide-react";
import { type RefObject, useEffect, useRef, useState } from "react";
import { copyText } from "@/ui/clipboard";
import { selectAll } from "./selection";

const SHOWN_MS = 2_000;

type Outcome = "idle" | "copied" | "selected";

const labels: Record<Outcome, string> = {
  idle: "Copy code",
  copied: "Copied",
  selected: /Mac|iP(hone|ad)/.test(globalThis.navigator?.platform ?? "")
    ? "Press ⌘C to copy"
    : "Press Ctrl+C to copy",
};

export interface CopyButtonProps {
  /** Read when the button is pressed, so that a growing block does not render its button again. */
  text: () => string;
  /** The element to select where the browser refuses to write to its clipboard. */
  source: RefObject<HTMLElement | null>;
  onCopied?: (() => void) | undefined;
}

export function CopyButton({ text, source, onCopied }: CopyButtonProps) {
  const [outcome, setOutcome] = useState<Outcome>("idle");
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);

  async function copy() {
    const copied = await copyText(text());
    if (!copied && source.current) selectAll(source.current);
    setOutcome(copied ? "copied" : "selected");
    if (copied) onCopied?.();
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setOutcome("idle"), SHOWN_MS * (copied ? 1 : 2));
  }

  return (
    <button
      type="button"
      className="md-copy"
      data-outcome={outcome}
      aria-label={labels[outcome]}
      onClick={() => void copy()}
    >
      {outcome === "selected" ? <span>{labels.selected}</span> : null}
      {outcome === "copied" ? <Check aria-hidden size={14} /> : <Copy aria-hidden size={14} />}
    </button>
  );
}
