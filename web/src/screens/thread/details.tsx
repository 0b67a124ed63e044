import { Info } from "lucide-react";
import { Popover } from "radix-ui";
import type { AnswerMetadata } from "@/state/model";
import { Button } from "@/ui/button";
import { words } from "@/words";

/** Usage, cost, timing and attempts of an answer, on demand. */
export function Details({ about }: { about: AnswerMetadata }) {
  const facts = factsOf(about);
  const leftOut = leftOutOf(about);
  if (facts.length === 0) return null;
  return (
    <Popover.Root>
      <Popover.Trigger asChild>
        <Button size="icon-sm" aria-label={words.details} title={words.details}>
          <Info aria-hidden />
        </Button>
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content
          side="top"
          align="start"
          sideOffset={6}
          collisionPadding={8}
          aria-label={words.details}
          className="pop z-50 max-h-(--radix-popover-content-available-height) w-68 overflow-y-auto rounded-lg border border-border bg-popover p-3 text-popover-foreground shadow-lg"
        >
          <dl className="grid grid-cols-[1fr_auto] gap-x-4 gap-y-1.5 text-[13px]">
            {facts.map(([name, value], index) => (
              <div key={index} className="contents">
                <dt className="text-muted-foreground">{name}</dt>
                <dd className="max-w-40 truncate text-right tabular-nums" title={value}>
                  {value}
                </dd>
              </div>
            ))}
          </dl>
          {leftOut && (
            <p className="mt-2.5 text-[13px] text-muted-foreground" data-testid="left-out">
              {leftOut}
            </p>
          )}
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

type Fact = [name: string, value: string];

const WAYS: Record<string, string> = {
  first: "from the start",
  reattach: "listened to again",
  prefill: "continued from its text",
  continue: "asked to go on",
  restart: "begun again",
};

const ENDS: Record<string, string> = {
  length: "its length limit",
  "content-filter": "the provider's filter",
};

export function factsOf(about: AnswerMetadata): Fact[] {
  const { model, usage, cost, totalCost, timing, attempts, finishReason = "" } = about;
  const facts: (Fact | null)[] = [
    model === undefined ? null : ["Model", model],
    tokens("Question", usage?.inputTokens),
    tokens("… of it cached", usage?.cachedInputTokens),
    tokens("Answer", usage?.outputTokens),
    tokens("… of it thoughts", usage?.reasoningTokens),
    cost === undefined ? null : ["Cost", dollars(cost)],
    totalCost === undefined ? null : ["… of all attempts", dollars(totalCost)],
    seconds("First words after", timing?.firstTokenMs),
    seconds("Whole answer", timing?.totalMs),
    ENDS[finishReason] === undefined ? null : ["Ended by", ENDS[finishReason]],
    attempts === undefined || attempts < 2 ? null : ["Attempts", String(attempts)],
    ...waysOf(about),
  ];
  return facts.filter((fact) => fact !== null);
}

/** That the beginning of the chat was not sent to the model. */
export function leftOutOf({ context }: AnswerMetadata): string | null {
  return context && context.dropped > 0 ? words.leftOut(context.dropped) : null;
}

/** The attempts, where there was more than one. */
function waysOf({ ladder = [] }: AnswerMetadata): (Fact | null)[] {
  if (ladder.length < 2) return [];
  return ladder.flatMap(({ rung, asked, repeated, held, dropped }, index) => [
    [`Asked, ${index + 1}`, WAYS[asked ?? rung] ?? rung] satisfies Fact,
    asked === undefined ? null : (["… but", WAYS[rung] ?? rung] satisfies Fact),
    characters("… written again", repeated),
    characters("… held back", held),
    characters("… dropped", dropped),
  ]);
}

function characters(name: string, count: number | undefined): Fact | null {
  return count ? [name, `${count.toLocaleString("en")} characters`] : null;
}

function tokens(name: string, count: number | undefined): Fact | null {
  return count ? [name, `${count.toLocaleString("en")} tokens`] : null;
}

function seconds(name: string, ms: number | undefined): Fact | null {
  if (ms === undefined) return null;
  if (ms < 10) return [name, "< 0.01 s"];
  return [name, `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s`];
}

/** Small sums need more digits: an answer often costs less than a cent. */
function dollars(amount: number): string {
  const digits = { minimumFractionDigits: 2, maximumFractionDigits: 8 };
  return amount.toLocaleString("en", { style: "currency", currency: "USD", ...digits });
}
