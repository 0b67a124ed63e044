import { ArrivalDialog } from "./arrival";
import { LinkDialog } from "./link";
import { SignOutDialog } from "./sign-out";

export type DevicesDialog = "link" | "arrival" | "signOut";

/** The dialogs about other devices. Loaded when one is opened for the first time. */
export default function Devices({
  dialog,
  token,
  onClose,
}: {
  dialog: DevicesDialog;
  /** Of the link that this page was opened with. */
  token: string | null;
  onClose: () => void;
}) {
  if (dialog === "link") return <LinkDialog onClose={onClose} />;
  if (dialog === "signOut") return <SignOutDialog onClose={onClose} />;
  return token === null ? null : <ArrivalDialog token={token} onClose={onClose} />;
}
