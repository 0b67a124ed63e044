import { useState } from "react";
import { type Message } from "@/state/model";
import { sourcesOf } from "@/state/parts";
import { words } from "@/words";

const FIRST = 6;

/** The pages that an answer refers to, with their hosts. */
export function Sources({ message }: { message: Message }) {
  const [all, setAll] = useState(false);
  const sources = sourcesOf(message);
  if (sources.length === 0) return null;
  const shown = all ? sources : sources.slice(0, FIRST);
  return (
    <section aria-label={words.sources} className="mt-4 text-[13px] leading-5" data-testid="sources">
      <h3 className="text-muted-foreground">{words.sources}</h3>
      <ol className="mt-1.5 flex flex-wrap gap-1.5">
        {shown.map(({ url, title, host }, index) => (
          <li key={url} className="max-w-full min-w-0">
            <a
              href={url}
              title={url}
              target="_blank"
              rel="noopener noreferrer nofollow"
              className="flex max-w-full items-baseline gap-1.5 rounded-md border border-border px-2 py-1 outline-none hover:bg-accent focus-visible:ring-2 focus-visible:ring-ring"
            >
              <span className="text-muted-foreground tabular-nums">{index + 1}</span>
              <span className="max-w-56 min-w-0 truncate">{title}</span>
              {title !== host && <span className="max-w-3/5 shrink-0 break-all text-muted-foreground">{host}</span>}
            </a>
          </li>
        ))}
        {shown.length < sources.length && (
          <li>
            <button
              type="button"
              onClick={() => setAll(true)}
              className="rounded-md px-2 py-1 text-muted-foreground underline underline-offset-4 outline-none hover:text-foreground focus-visible:ring-2 focus-visible:ring-ring"
            >
              {words.moreSources(sources.length - shown.length)}
            </button>
          </li>
        )}
      </ol>
    </section>
  );
}
