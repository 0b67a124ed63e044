import { Tooltip } from "radix-ui";
import type { ReactNode } from "react";
import { Keys } from "./keys";
import { useLandmark } from "./landmark";

/** A label on hover and focus. The child is a button that has its own accessible name. */
export function Tip({
  label,
  keys,
  side = "bottom",
  children,
}: {
  label: string;
  keys?: string;
  side?: "top" | "bottom" | "right";
  children: ReactNode;
}) {
  const [place, onOpenChange] = useLandmark();
  return (
    <Tooltip.Root onOpenChange={onOpenChange}>
      <Tooltip.Trigger asChild>{children}</Tooltip.Trigger>
      <Tooltip.Portal container={place}>
        <Tooltip.Content
          side={side}
          sideOffset={6}
          collisionPadding={8}
          className="pop z-50 flex items-center gap-2 rounded-md bg-primary px-2 py-1 text-xs text-primary-foreground shadow-md"
        >
          {label}
          {keys && <Keys keys={keys} onDark />}
        </Tooltip.Content>
      </Tooltip.Portal>
    </Tooltip.Root>
  );
}
