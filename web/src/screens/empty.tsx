import { ArrowUpRight } from "lucide-react";

const SUGGESTIONS = [
  { title: "Think about it first", text: "Think about what happens to an answer when its server is killed" },
  { title: "A long answer", text: "Write a long answer about durable streams, with code" },
  { title: "In short", text: "In short: why do answers get lost on a reload?" },
  { title: "Pull the plug", text: "Explain durable streams, while I switch off the network" },
] as const;

/** A chat before its first message. */
export function Empty({ onPick }: { onPick: (text: string) => void }) {
  return (
    <div className="flex min-h-0 flex-1 flex-col items-center justify-end overflow-y-auto px-4 pb-8 md:justify-center">
      <div className="w-full max-w-172">
        <h2 className="text-[26px] leading-tight font-semibold tracking-tight text-balance md:text-3xl">
          Ask. Then pull the plug.
        </h2>
        <p className="mt-3 max-w-136 text-[15px] leading-7 text-balance text-muted-foreground">
          Reload the page, lose the network, restart the server: the answer goes on, and no word of it is lost.
        </p>
        <ul className="mt-8 grid gap-2 sm:grid-cols-2">
          {SUGGESTIONS.map(({ title, text }) => (
            <li key={title}>
              <button
                type="button"
                onClick={() => onPick(text)}
                className="group flex h-full w-full items-start gap-3 rounded-xl border border-border bg-card px-4 py-3 text-left outline-none hover:border-input hover:bg-accent/50 focus-visible:ring-2 focus-visible:ring-ring"
              >
                <span className="min-w-0 flex-1">
                  <span className="block text-sm font-medium">{title}</span>
                  <span className="mt-0.5 block text-[13px] leading-5 text-muted-foreground">{text}</span>
                </span>
                <ArrowUpRight
                  aria-hidden
                  className="mt-0.5 size-4 shrink-0 text-muted-foreground transition-transform group-hover:translate-x-0.5 group-hover:-translate-y-0.5"
                />
              </button>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}
