import { Command } from "cmdk";
import { Dialog } from "radix-ui";
import { type ReactNode, useState } from "react";
import { chats } from "@/state/chats";
import { go } from "@/state/router";
import { setTheme } from "@/state/theme";
import { Keys } from "@/ui/keys";
import { useReturnFocus } from "@/ui/return-focus";
import { words } from "@/words";
import { useAll } from "./hooks";
import { useSearch } from "./sidebar/search";

const MOST_CHATS = 20;

export interface PaletteProps {
  onClose: () => void;
  onShortcuts: () => void;
  onToggleSidebar: () => void;
}

interface PaletteCommand {
  label: string;
  keys?: string;
  run: () => void;
}

/** Search and commands, by keyboard. */
export default function Palette({ onClose, onShortcuts, onToggleSidebar }: PaletteProps) {
  const [query, setQuery] = useState("");
  const [chosen, setChosen] = useState("");
  const { rows, hidden } = useAll(chats);
  const found = useSearch(query);
  const returnFocus = useReturnFocus();
  const commands: PaletteCommand[] = [
    { label: words.newChat, keys: "mod+shift+o", run: () => go(null) },
    { label: words.toggleSidebar, keys: "mod+b", run: onToggleSidebar },
    { label: `${words.theme}: ${words.light}`, run: () => setTheme("light") },
    { label: `${words.theme}: ${words.dark}`, run: () => setTheme("dark") },
    { label: `${words.theme}: ${words.system}`, run: () => setTheme("system") },
    { label: words.shortcuts, keys: "?", run: onShortcuts },
  ];
  const wanted = query.trim().toLowerCase();
  const offered = commands.filter(({ label }) => label.toLowerCase().includes(wanted));
  const listed = (found?.rows ?? rows).filter((row) => !hidden.has(row.id)).slice(0, MOST_CHATS);
  // The chats arrive after the query: the selection must be among the current rows.
  const values = [...offered.map(({ label }) => label), ...listed.map(({ id }) => id)];
  const selected = values.includes(chosen) ? chosen : (values[0] ?? "");
  const then = (run: () => void) => (): void => {
    onClose();
    run();
  };
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="fade fixed inset-0 z-40 bg-black/40" />
        <Dialog.Content
          aria-describedby={undefined}
          onCloseAutoFocus={returnFocus}
          className="pop fixed top-[12vh] left-1/2 z-50 w-[min(36rem,calc(100vw-1.5rem))] -translate-x-1/2 overflow-hidden rounded-xl border border-border bg-popover text-popover-foreground shadow-2xl outline-none"
        >
          <Dialog.Title className="sr-only">{words.commands}</Dialog.Title>
          {/* The server finds the chats, and in titles only: nothing is left to filter. */}
          <Command
            label={words.commands}
            loop
            shouldFilter={false}
            vimBindings={false}
            value={selected}
            onValueChange={setChosen}
          >
            <Command.Input
              value={query}
              onValueChange={setQuery}
              placeholder={words.commands}
              className="h-13 w-full border-b border-border bg-transparent px-4 text-[15px] outline-none placeholder:text-muted-foreground"
            />
            <Command.List className="max-h-[min(24rem,60vh)] overflow-y-auto p-1.5">
              {found?.rows !== null && (
                <Command.Empty className="px-3 py-8 text-center text-sm text-muted-foreground">
                  {words.nothingFound}
                </Command.Empty>
              )}
              {offered.length > 0 && (
                <Heading name={words.commandsOnly}>
                  {offered.map(({ label, keys, run }) => (
                    <Item key={label} value={label} keys={keys} onSelect={then(run)}>
                      {label}
                    </Item>
                  ))}
                </Heading>
              )}
              {listed.length > 0 && (
                <Heading name={words.chats}>
                  {listed.map((row) => (
                    <Item key={row.id} value={row.id} onSelect={then(() => go(row.id))}>
                      {row.title}
                    </Item>
                  ))}
                </Heading>
              )}
            </Command.List>
          </Command>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function Heading({ name, children }: { name: string; children: ReactNode }) {
  return (
    <Command.Group
      heading={name}
      className="[&_[cmdk-group-heading]]:px-3 [&_[cmdk-group-heading]]:pt-2 [&_[cmdk-group-heading]]:pb-1 [&_[cmdk-group-heading]]:text-xs [&_[cmdk-group-heading]]:text-muted-foreground"
    >
      {children}
    </Command.Group>
  );
}

function Item({
  value,
  keys,
  onSelect,
  children,
}: {
  value: string;
  keys?: string | undefined;
  onSelect: () => void;
  children: string;
}) {
  return (
    <Command.Item
      value={value}
      onSelect={onSelect}
      className="flex cursor-default items-center gap-3 rounded-md px-3 py-2 text-sm data-[selected=true]:bg-accent max-md:py-2.5"
    >
      <span className="min-w-0 flex-1 truncate">{children}</span>
      {keys && <Keys keys={keys} />}
    </Command.Item>
  );
}
