import type { ReactNode } from "react";
import type { AnswerMetadata } from "@/state/model";
import { words } from "@/words";

export interface EndingProps {
  about: AnswerMetadata;
  /** The actions for an answer that failed. */
  children: ReactNode;
}

/** Why an answer ended early. */
export function Ending({ about, children }: EndingProps) {
  const sentence = endingOf(about);
  if (sentence === null) return null;
  const hasFailed = about.status === "failed";
  return (
    <p
      className={
        hasFailed
          ? "mt-3 flex flex-wrap items-center gap-x-3 gap-y-1 text-sm text-destructive"
          : "mt-3 text-[13px] text-muted-foreground"
      }
      data-testid="ending"
    >
      {sentence}
      {hasFailed && children}
    </p>
  );
}

export function endingOf({ status, error, finishReason }: AnswerMetadata): string | null {
  if (status === "stopped") return words.stopped;
  if (status === "failed") return error ?? words.failed;
  if (finishReason === "length") return words.cutAtLength;
  return finishReason === "content-filter" ? words.filtered : null;
}
