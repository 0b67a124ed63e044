import { LogOut, MonitorSmartphone, QrCode } from "lucide-react";
import { Button } from "@/ui/button";
import { Menu, MenuItem } from "@/ui/menu";
import { words } from "@/words";

/** Continuing on another device, and signing out. */
export function DevicesMenu({ onLink, onSignOut }: { onLink: () => void; onSignOut: () => void }) {
  return (
    <Menu
      side="top"
      trigger={
        <Button size="icon-sm" aria-label={words.devices} title={words.devices}>
          <MonitorSmartphone aria-hidden />
        </Button>
      }
    >
      <MenuItem takesFocus onSelect={onLink}>
        <QrCode aria-hidden />
        {words.continueElsewhere}
      </MenuItem>
      <MenuItem takesFocus onSelect={onSignOut}>
        <LogOut aria-hidden />
        {words.signOut}
      </MenuItem>
    </Menu>
  );
}
