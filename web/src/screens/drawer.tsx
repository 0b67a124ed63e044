import { Dialog } from "radix-ui";
import type { ReactNode } from "react";
import { useReturnFocus } from "@/ui/return-focus";
import { words } from "@/words";

/** The sidebar of a phone. */
export function Drawer({
  open,
  onOpenChange,
  children,
}: {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  children: ReactNode;
}) {
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay className="fade fixed inset-0 z-40 bg-black/40" />
        <Panel>{children}</Panel>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function Panel({ children }: { children: ReactNode }) {
  const returnFocus = useReturnFocus();
  return (
    <Dialog.Content
      aria-describedby={undefined}
      // The panel itself, not its first button: that would open a tooltip.
      onOpenAutoFocus={(event) => {
        event.preventDefault();
        (event.currentTarget as HTMLElement).focus();
      }}
      onCloseAutoFocus={returnFocus}
      // In a text box, Escape belongs to the box.
      onEscapeKeyDown={(event) => {
        if ((event.target as Element).matches("input")) event.preventDefault();
      }}
      className="drawer fixed inset-y-0 left-0 z-50 w-[min(19rem,86vw)] border-r border-border bg-sidebar outline-none"
    >
      <Dialog.Title className="sr-only">{words.chats}</Dialog.Title>
      {children}
    </Dialog.Content>
  );
}
