import { Copy } from "lucide-react";
import { useCallback, useEffect, useState } from "react";
import { api } from "@/state/app";
import { linkAddress } from "@/state/devices";
import { announce } from "@/state/notices";
import { Button } from "@/ui/button";
import { copyText } from "@/ui/clipboard";
import { words } from "@/words";
import { Code } from "./code";
import { Failure, Frame } from "./frame";

interface Made {
  address: string;
  /** When it ends, in milliseconds of `performance.now`. */
  until: number;
}

/** A one-time link to this visitor's chats, as a QR code and as text. */
export function LinkDialog({ onClose }: { onClose: () => void }) {
  const [made, setMade] = useState<Made | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const seconds = useSecondsLeft(made?.until ?? 0);
  const make = useCallback((): void => {
    setFailure(null);
    const asked = performance.now();
    api.makeLink().then(
      ({ token, seconds }) => setMade({ address: linkAddress(token), until: asked + seconds * 1000 }),
      (error: Error) => setFailure(words.linkFailed(error.message)),
    );
  }, []);
  useEffect(make, [make]);
  const isOver = made !== null && seconds <= 0;
  useEffect(() => {
    if (isOver) announce(words.linkOver);
  }, [isOver]);
  return (
    <Frame title={words.continueElsewhere} text={words.continueElsewhereHow} onClose={onClose}>
      <Failure text={failure} />
      {made !== null && !isOver && (
        <>
          <Code text={made.address} label={words.linkCode} />
          <div className="mt-4 flex gap-2">
            <input
              readOnly
              aria-label={words.link}
              value={made.address}
              onFocus={(event) => event.target.select()}
              className="h-9 w-full min-w-0 rounded-md border border-border bg-background px-2.5 text-[13px] outline-none focus-visible:ring-2 focus-visible:ring-ring max-md:text-base"
            />
            <CopyLink text={made.address} />
          </div>
          <p className="mt-3 text-[13px] leading-5 text-muted-foreground">{words.linkValid(seconds)}</p>
        </>
      )}
      {isOver && <p className="mt-4 text-sm">{words.linkOver}</p>}
      {(isOver || failure !== null) && (
        <Button variant="solid" className="mt-4 w-full" onClick={make}>
          {words.newLink}
        </Button>
      )}
    </Frame>
  );
}

function CopyLink({ text }: { text: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    const done = await copyText(text);
    setCopied(done);
    announce(done ? words.copied : words.copyFailed);
  };
  return (
    <Button variant="outline" onClick={() => void copy()}>
      <Copy aria-hidden />
      {isCopied ? words.copied : words.copyLink}
    </Button>
  );
}

function useSecondsLeft(until: number): number {
  const [now, setNow] = useState(() => performance.now());
  useEffect(() => {
    if (until === 0) return;
    setNow(performance.now());
    const timer = setInterval(() => setNow(performance.now()), 500);
    return () => clearInterval(timer);
  }, [until]);
  return Math.ceil((until - now) / 1000);
}
