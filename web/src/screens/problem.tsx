import type { ReactNode } from "react";
import { Button } from "@/ui/button";
import { words } from "@/words";

/** A screen for content that cannot be shown, with an action. */
export function ProblemScreen({
  title,
  text,
  children,
}: {
  title: string;
  text?: string;
  children?: ReactNode;
}) {
  return (
    <div className="flex min-h-0 flex-1 items-center justify-center overflow-y-auto px-6 py-10" data-testid="problem-screen">
      <div className="max-w-120">
        <h2 className="text-xl font-semibold tracking-tight">{title}</h2>
        {text && <p className="mt-2 text-[15px] leading-7 text-muted-foreground">{text}</p>}
        <div className="mt-5 flex flex-wrap gap-2">{children}</div>
      </div>
    </div>
  );
}

export function ReloadButton() {
  return (
    <Button variant="solid" onClick={() => location.reload()}>
      {words.reload}
    </Button>
  );
}
