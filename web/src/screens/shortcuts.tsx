import { X } from "lucide-react";
import { Dialog } from "radix-ui";
import { Button } from "@/ui/button";
import { Keys } from "@/ui/keys";
import { useReturnFocus } from "@/ui/return-focus";
import { words } from "@/words";
import { SHORTCUTS } from "./keyboard";

/** The list of keyboard shortcuts. Loaded when it is opened for the first time. */
export default function Shortcuts({ onClose }: { onClose: () => void }) {
  const returnFocus = useReturnFocus();
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="fade fixed inset-0 z-40 bg-black/40" />
        <Dialog.Content
          aria-describedby={undefined}
          onCloseAutoFocus={returnFocus}
          className="pop fixed top-[12vh] left-1/2 z-50 w-[min(26rem,calc(100vw-1.5rem))] -translate-x-1/2 rounded-xl border border-border bg-popover p-5 text-popover-foreground shadow-2xl outline-none"
        >
          <Dialog.Title className="text-base font-semibold">{words.shortcuts}</Dialog.Title>
          <dl className="mt-3 divide-y divide-border text-sm">
            {SHORTCUTS.map(({ keys, label }) => (
              <div key={keys} className="flex items-center justify-between gap-4 py-2">
                <dt>{label}</dt>
                <dd>
                  <Keys keys={keys} />
                </dd>
              </div>
            ))}
          </dl>
          <Dialog.Close asChild>
            <Button size="icon-sm" aria-label="Close" className="absolute top-3.5 right-3.5">
              <X aria-hidden />
            </Button>
          </Dialog.Close>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
