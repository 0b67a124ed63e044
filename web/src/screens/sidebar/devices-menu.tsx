import { LogOut, MonitorSmartphone, QrCode } from "lucide-react";
import { useRef } from "react";
import { Button } from "@/ui/button";
import { Menu, MenuItem } from "@/ui/menu";
import { words } from "@/words";

/** Continuing on another device, and signing out. */
export function DevicesMenu({ onLink, onSignOut }: { onLink: () => void; onSignOut: () => void }) {
  const trigger = useRef<HTMLButtonElement>(null);
  const fromHere = (open: () => void) => (): void => {
    trigger.current?.focus(); // where the focus returns when the dialog closes
    open();
  };
  return (
    <Menu
      side="top"
      trigger={
        <Button ref={trigger} size="icon-sm" aria-label={words.devices} title={words.devices}>
          <MonitorSmartphone aria-hidden />
        </Button>
      }
    >
      <MenuItem takesFocus onSelect={fromHere(onLink)}>
        <QrCode aria-hidden />
        {words.continueElsewhere}
      </MenuItem>
      <MenuItem takesFocus onSelect={fromHere(onSignOut)}>
        <LogOut aria-hidden />
        {words.signOut}
      </MenuItem>
    </Menu>
  );
}
