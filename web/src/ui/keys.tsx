import clsx from "clsx";

const APPLE = /Mac|iPhone|iPad/.test(navigator.platform);
const SYMBOLS: Record<string, string> = APPLE
  ? { mod: "⌘", shift: "⇧", alt: "⌥", enter: "↵", esc: "esc" }
  : { mod: "Ctrl", shift: "Shift", alt: "Alt", enter: "Enter", esc: "Esc" };

/** A shortcut such as `mod+shift+o`, with the key names of the platform. */
export function Keys({ keys, onDark = false }: { keys: string; onDark?: boolean }) {
  const names = keys.split("+").map((key) => SYMBOLS[key] ?? key.toUpperCase());
  return (
    <kbd
      className={clsx(
        "font-sans text-[11px] tracking-wide pointer-coarse:hidden",
        onDark ? "opacity-75" : "text-muted-foreground",
      )}
    >
      {names.join(APPLE ? "" : "+")}
    </kbd>
  );
}
