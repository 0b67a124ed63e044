import { ChevronLeft, ChevronRight } from "lucide-react";
import type { Conversation } from "@/state/conversation";
import { go } from "@/state/router";
import { Button } from "@/ui/button";
import { words } from "@/words";
import type { Place } from "@/state/versions";

/** Arrows between the versions of a message. */
export function VersionArrows({ conversation, place }: { conversation: Conversation; place: Place }) {
  const { index, ids } = place;
  const show = (id: string | undefined): void => {
    if (id === undefined) return;
    go(conversation.id, { replace: true, leaf: id });
    void conversation.load(id);
  };
  return (
    <div className="flex items-center text-xs text-muted-foreground tabular-nums" data-testid="versions">
      <Button
        size="icon-sm"
        aria-label={words.previousVersion}
        disabled={index === 0}
        onClick={() => show(ids[index - 1])}
      >
        <ChevronLeft aria-hidden />
      </Button>
      <span aria-label={words.version(index + 1, ids.length)}>
        {index + 1}/{ids.length}
      </span>
      <Button
        size="icon-sm"
        aria-label={words.nextVersion}
        disabled={index === ids.length - 1}
        onClick={() => show(ids[index + 1])}
      >
        <ChevronRight aria-hidden />
      </Button>
    </div>
  );
}
