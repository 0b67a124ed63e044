import { ChevronDown, FlaskConical } from "lucide-react";
import { Popover } from "radix-ui";
import { chooseModel, currentModel, models } from "@/state/models";
import { Button } from "@/ui/button";
import { Menu, MenuChoice } from "@/ui/menu";
import { words } from "@/words";
import { useAll } from "./hooks";

export function ModelPicker() {
  const state = useAll(models);
  const current = currentModel(state);
  if (current === undefined) return <span className="h-8" />;
  if (current.demo) return <DemoMark />;
  if (state.offered.length === 1) {
    return (
      <span className="truncate px-2 text-[13px] text-muted-foreground" title={words.model}>
        {current.name}
      </span>
    );
  }
  return (
    <Menu
      side="top"
      trigger={
        <Button size="sm" aria-label={`${words.model}: ${current.name}`} className="min-w-0 px-2 font-normal">
          <span className="truncate">{current.name}</span>
          <ChevronDown aria-hidden className="size-3.5!" />
        </Button>
      }
    >
      <MenuChoice
        value={current.id}
        onChoose={chooseModel}
        choices={state.offered.map((model) => ({ value: model.id, label: model.name }))}
      />
    </Menu>
  );
}

/** The notice that the demo is not a model, with setup instructions. */
function DemoMark() {
  return (
    <Popover.Root>
      <Popover.Trigger asChild>
        <Button size="sm" className="min-w-0 px-2 font-normal" data-testid="demo-mark">
          <FlaskConical aria-hidden className="text-warn" />
          <span className="truncate">
            {words.demo}
            <span className="max-sm:hidden">: {words.demoWhat}.</span>{" "}
            <span className="underline underline-offset-4">{words.demoHow}</span>
          </span>
        </Button>
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content
          side="top"
          align="start"
          sideOffset={8}
          collisionPadding={12}
          aria-label={words.demoHow}
          className="pop z-50 w-96 max-w-[calc(100vw-1.5rem)] rounded-xl border border-border bg-popover p-4 text-sm leading-6 text-popover-foreground shadow-lg"
        >
          <p>
            What answers here is a built-in text that shows how streams survive. For a real model, start the
            server with a key:
          </p>
          <pre
            tabIndex={0}
            aria-label="Commands"
            className="mt-3 overflow-x-auto rounded-lg bg-muted p-3 font-mono text-[12.5px] leading-6"
          >
            {"OPENROUTER_API_KEY=… make run\nOPENAI_API_KEY=… make run"}
          </pre>
          <p className="mt-3 text-muted-foreground">
            <code className="font-mono text-[12.5px]">OPENAI_BASE_URL</code> names any other server with the
            OpenAI API: vLLM, llama.cpp, Ollama.
          </p>
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}
