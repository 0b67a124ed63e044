import clsx from "clsx";
import { Check } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import { createContext, type ReactNode, use, useRef } from "react";
import { flushSync } from "react-dom";
import { useLandmark } from "./landmark";

const ITEM =
  "flex cursor-default items-center gap-2 rounded-md px-2 py-1.5 text-sm outline-none select-none " +
  "data-highlighted:bg-accent data-disabled:opacity-40 max-md:py-2.5 [&_svg]:size-4 [&_svg]:text-muted-foreground";

/** Sets the action that runs once the menu has closed. */
const Successor = createContext<(open: () => void) => void>(() => undefined);

export function Menu({
  trigger,
  children,
  align = "start",
  side = "bottom",
}: {
  trigger: ReactNode;
  children: ReactNode;
  align?: "start" | "end";
  side?: "top" | "bottom";
}) {
  const [place, onOpenChange] = useLandmark();
  const successor = useRef<() => void>(undefined);
  return (
    <DropdownMenu.Root modal={false} onOpenChange={onOpenChange}>
      <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Portal container={place}>
        <DropdownMenu.Content
          align={align}
          side={side}
          sideOffset={6}
          collisionPadding={8}
          // The menu closes: focus returns to its button, or moves to the element that replaces it.
          // That is opened only here, so nothing else competes for the focus.
          onCloseAutoFocus={(event) => {
            const open = successor.current;
            successor.current = undefined;
            const isTaken = document.activeElement?.matches("input, textarea");
            if (open || isTaken) event.preventDefault();
            if (open) flushSync(open); // the opened element has the focus before the next key
          }}
          className="pop z-50 max-h-(--radix-dropdown-menu-content-available-height) min-w-44 overflow-y-auto rounded-lg border border-border bg-popover p-1 text-popover-foreground shadow-lg"
        >
          <Successor value={(open) => (successor.current = open)}>{children}</Successor>
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

/**
 * @param takesFocus - the opened element takes the focus: `onSelect` runs once the menu has closed.
 */
export function MenuItem({
  danger = false,
  takesFocus = false,
  onSelect,
  children,
}: {
  danger?: boolean;
  takesFocus?: boolean;
  onSelect: () => void;
  children: ReactNode;
}) {
  const succeed = use(Successor);
  return (
    <DropdownMenu.Item
      onSelect={() => (takesFocus ? succeed(onSelect) : onSelect())}
      className={clsx(ITEM, danger && "text-destructive [&_svg]:text-destructive")}
    >
      {children}
    </DropdownMenu.Item>
  );
}

export function MenuChoice({
  value,
  onChoose,
  choices,
}: {
  value: string | undefined;
  onChoose: (value: string) => void;
  choices: readonly { value: string; label: ReactNode }[];
}) {
  return (
    <DropdownMenu.RadioGroup value={value} onValueChange={onChoose}>
      {choices.map((choice) => (
        <DropdownMenu.RadioItem key={choice.value} value={choice.value} className={clsx(ITEM, "pr-8 relative")}>
          {choice.label}
          <DropdownMenu.ItemIndicator className="absolute right-2">
            <Check aria-hidden />
          </DropdownMenu.ItemIndicator>
        </DropdownMenu.RadioItem>
      ))}
    </DropdownMenu.RadioGroup>
  );
}
