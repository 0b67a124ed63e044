import { useState } from "react";
import { api } from "@/state/app";
import { chats } from "@/state/chats";
import { beginAgain } from "@/state/devices";
import { Button } from "@/ui/button";
import { words } from "@/words";
import { useAll } from "../hooks";
import { Failure, Frame } from "./frame";

/**
 * Asks before this browser becomes the visitor of a link. Never by itself: a link that somebody else
 * sent would file what is written here under their chats.
 */
export function ArrivalDialog({ token, onClose }: { token: string; onClose: () => void }) {
  const { rows } = useAll(chats);
  const [failure, setFailure] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const go = (): void => {
    setBusy(true);
    setFailure(null);
    api.useLink(token).then(beginAgain, (error: Error) => {
      setFailure(words.notDone(error.message));
      setBusy(false);
    });
  };
  return (
    <Frame title={words.continueHere} text={words.continueHereText} onClose={onClose}>
      {rows.length > 0 && <p className="mt-3 text-sm leading-6 font-medium">{words.continueHereLoses}</p>}
      <Failure text={failure} />
      <div className="mt-5 flex justify-end gap-2">
        <Button variant="outline" onClick={onClose}>
          {words.cancel}
        </Button>
        <Button variant="solid" disabled={isBusy} onClick={go}>
          {words.continueHereNow}
        </Button>
      </div>
    </Frame>
  );
}
