import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { announce, toast } from "@/state/notices";
import { Button } from "@/ui/button";
import { copyText } from "@/ui/clipboard";
import { Tip } from "@/ui/tip";
import { words } from "@/words";

const SHOWN_MS = 1_500;

export function CopyButton({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async (): Promise<void> => {
    const done = await copyText(text);
    setCopied(done);
    if (done) announce(words.copied);
    else toast(words.copyFailed);
  };
  return (
    <Tip label={copied ? words.copied : words.copy}>
      <Button size="icon-sm" aria-label={words.copy} data-copied={copied} onClick={() => void copy()}>
        {copied ? <Check aria-hidden className="text-live" /> : <Copy aria-hidden />}
      </Button>
    </Tip>
  );
}
