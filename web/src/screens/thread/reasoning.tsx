import clsx from "clsx";
import { ChevronRight } from "lucide-react";
import { words } from "@/words";

export interface ReasoningProps {
  text: string;
  /** Whether there is no other text yet. */
  live: boolean;
  /** The reader's choice; null: open while it is live. */
  unfolded: boolean | null;
  onUnfold: (unfolded: boolean) => void;
}

/** The model's reasoning: folded, but open while there is no other text. */
export function Reasoning({ text, live, unfolded, onUnfold }: ReasoningProps) {
  const open = unfolded ?? live;
  return (
    <div className="mb-3">
      <button
        type="button"
        aria-expanded={open}
        onClick={() => onUnfold(!open)}
        className="-ml-1 flex items-center gap-1 rounded-md px-1 py-0.5 text-[13px] text-muted-foreground outline-none hover:text-foreground focus-visible:ring-2 focus-visible:ring-ring"
      >
        <ChevronRight aria-hidden className={clsx("size-3.5 transition-transform", open && "rotate-90")} />
        {live ? words.thinking : words.thoughts}
      </button>
      {open && (
        <div className="mt-1.5 ml-1.5 border-l border-border pl-3.5 text-[13.5px] leading-6 whitespace-pre-wrap text-muted-foreground">
          {text}
        </div>
      )}
    </div>
  );
}
