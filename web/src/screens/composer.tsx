import { ArrowUp, Square } from "lucide-react";
import { forwardRef, useEffect, useImperativeHandle, useRef, useState } from "react";
import { NEW_CHAT, readDraft, writeDraft } from "@/state/drafts";
import { Button } from "@/ui/button";
import { isSend } from "@/ui/is-send";
import { Tip } from "@/ui/tip";
import { words } from "@/words";
import { ModelPicker } from "./model-picker";

const KEEP_MS = 250;

export interface ComposerHandle {
  focus: () => void;
  /** Insert a text at the start of the box. */
  insert: (text: string) => void;
}

export interface ComposerProps {
  /** The chat whose draft it is; null for the one that does not exist yet. */
  chat: string | null;
  busy: boolean;
  stopping: boolean;
  /** Returns whether it was accepted; otherwise it stays in the box. */
  onSend: (text: string) => boolean;
  onStop: () => void;
}

/** The message box. Drafts are stored for each chat and survive a reload. */
export const Composer = forwardRef<ComposerHandle, ComposerProps>(function Composer(props, handle) {
  const { chat, busy, stopping, onSend, onStop } = props;
  const key = chat ?? NEW_CHAT;
  const [value, setValue] = useState(() => readDraft(key));
  const area = useRef<HTMLTextAreaElement>(null);
  useKept(key, value);
  useGrowth(area, value);

  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) area.current?.focus();
  }, []);
  useImperativeHandle(handle, () => ({
    focus: () => area.current?.focus(),
    insert: (text) => {
      setValue((before) => (before.trim() ? `${text}\n${before}` : text));
      area.current?.focus();
    },
  }));

  const submit = (): void => {
    const text = value.trim();
    if (!text || !onSend(text)) return;
    setValue("");
    writeDraft(key, "");
  };

  return (
    <form
      className="mx-auto w-full max-w-184 px-3 pb-[max(0.75rem,env(safe-area-inset-bottom))] md:px-6"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <div className="composer rounded-2xl border border-input bg-card shadow-[0_2px_16px_-8px_rgb(0_0_0/0.18)]">
        <textarea
          id="composer"
          ref={area}
          value={value}
          rows={1}
          aria-label={words.message}
          placeholder={busy ? words.placeholderBusy : words.placeholder}
          enterKeyHint="send"
          className="grow-with-text block max-h-56 w-full resize-none bg-transparent px-4 pt-3.5 pb-1 text-base leading-6 outline-none placeholder:text-muted-foreground md:text-[15px]"
          onChange={(event) => setValue(event.target.value)}
          onKeyDown={(event) => {
            if (!isSend(event)) return;
            event.preventDefault();
            submit();
          }}
        />
        <div className="flex items-center gap-1 px-2 pb-2">
          <ModelPicker />
          <span className="flex-1" />
          {busy && (
            <Tip label={stopping ? words.stopping : words.stop} keys="esc" side="top">
              <Button
                variant="outline"
                size="icon"
                round
                aria-label={words.stop}
                aria-disabled={stopping}
                onClick={onStop}
              >
                <Square aria-hidden className="size-3! fill-current" />
              </Button>
            </Tip>
          )}
          {(!busy || value.trim() !== "") && (
            <Tip label={words.send} keys="enter" side="top">
              <Button
                type="submit"
                variant="solid"
                size="icon"
                round
                aria-label={words.send}
                disabled={!value.trim()}
              >
                <ArrowUp aria-hidden />
              </Button>
            </Tip>
          )}
        </div>
      </div>
    </form>
  );
});

/** Store the draft soon after a change, and at once when the page unloads. */
function useKept(key: string, value: string): void {
  const latest = useRef(value);
  latest.current = value;
  useEffect(() => {
    const timer = setTimeout(() => writeDraft(key, value), KEEP_MS);
    return () => clearTimeout(timer);
  }, [key, value]);
  useEffect(() => {
    const keep = (): void => writeDraft(key, latest.current);
    addEventListener("pagehide", keep);
    return () => {
      removeEventListener("pagehide", keep);
      keep();
    };
  }, [key]);
}

/** As high as its text, where CSS cannot do it (`field-sizing`). */
function useGrowth(area: React.RefObject<HTMLTextAreaElement | null>, value: string): void {
  useEffect(() => {
    const box = area.current;
    if (!box || CSS.supports("field-sizing", "content")) return;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  }, [area, value]);
}
