import { X } from "lucide-react";
import { Dialog } from "radix-ui";
import type { ReactNode } from "react";
import { Button } from "@/ui/button";
import { useReturnFocus } from "@/ui/return-focus";
import { words } from "@/words";

/** The frame of the dialogs: a title, what it means, a way out. */
export function Frame({
  title,
  text,
  onClose,
  children,
}: {
  title: string;
  text: string;
  onClose: () => void;
  children: ReactNode;
}) {
  const returnFocus = useReturnFocus();
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="fade fixed inset-0 z-40 bg-black/40" />
        <Dialog.Content
          // The dialog itself: a key that is still held would press its first button.
          onOpenAutoFocus={(event) => {
            event.preventDefault();
            (event.currentTarget as HTMLElement).focus();
          }}
          onCloseAutoFocus={returnFocus}
          className="pop fixed top-[8vh] left-1/2 z-50 max-h-[84vh] w-[min(24rem,calc(100vw-1.5rem))] -translate-x-1/2 overflow-y-auto rounded-xl border border-border bg-popover p-5 text-popover-foreground shadow-2xl outline-none"
        >
          <Dialog.Title className="pr-10 text-base font-semibold">{title}</Dialog.Title>
          <Dialog.Description className="mt-2 text-sm leading-6 text-muted-foreground">{text}</Dialog.Description>
          {children}
          <Dialog.Close asChild>
            <Button size="icon-sm" aria-label={words.close} className="absolute top-3.5 right-3.5">
              <X aria-hidden />
            </Button>
          </Dialog.Close>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

/** Why something did not work; announced when it appears. */
export function Failure({ text }: { text: string | null }) {
  return (
    <p role="alert" className="mt-3 text-sm text-destructive empty:hidden">
      {text}
    </p>
  );
}
