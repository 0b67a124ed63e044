import { dismiss, page } from "@/state/notices";
import { words } from "@/words";
import { useAll } from "./hooks";

export function Toasts() {
  const { toasts } = useAll(page);
  return (
    <div
      role="region"
      aria-label={words.notices}
      className="pointer-events-none fixed inset-x-0 bottom-28 z-50 flex flex-col items-center gap-2 px-4"
    >
      {toasts.map(({ id, text, action }) => (
        <div
          key={id}
          data-testid="toast"
          className="rise pointer-events-auto flex items-center gap-4 rounded-lg bg-primary px-4 py-2.5 text-sm text-primary-foreground shadow-lg"
        >
          {text}
          {action && (
            <button
              type="button"
              className="rounded-sm font-medium underline underline-offset-4 outline-none focus-visible:ring-2 focus-visible:ring-current"
              onClick={() => {
                dismiss(id);
                action.run();
              }}
            >
              {action.label}
            </button>
          )}
        </div>
      ))}
    </div>
  );
}
