import { useState } from "react";
import { api } from "@/state/app";
import { beginAgain } from "@/state/devices";
import { Button } from "@/ui/button";
import { words } from "@/words";
import { Failure, Frame } from "./frame";

export function SignOutDialog({ onClose }: { onClose: () => void }) {
  const [failure, setFailure] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const signOut = (everywhere: boolean): void => {
    setBusy(true);
    setFailure(null);
    api.signOut(everywhere).then(beginAgain, (error: Error) => {
      setFailure(words.notDone(error.message));
      setBusy(false);
    });
  };
  return (
    <Frame title={words.signOut} text={words.signOutText} onClose={onClose}>
      <Failure text={failure} />
      <div className="mt-5 flex flex-col gap-2">
        <Button variant="outline" disabled={isBusy} aria-describedby="sign-out-here" onClick={() => signOut(false)}>
          {words.signOutHere}
        </Button>
        <p id="sign-out-here" className="text-[13px] leading-5 text-muted-foreground">
          {words.signOutHereWhat}
        </p>
        <Button
          variant="danger"
          disabled={isBusy}
          aria-describedby="sign-out-everywhere"
          className="mt-3 border border-border"
          onClick={() => signOut(true)}
        >
          {words.signOutEverywhere}
        </Button>
        <p id="sign-out-everywhere" className="text-[13px] leading-5 text-muted-foreground">
          {words.signOutEverywhereWhat}
        </p>
      </div>
    </Frame>
  );
}
