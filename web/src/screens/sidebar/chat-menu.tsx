import { Pencil, Trash2 } from "lucide-react";
import { deleteChat } from "@/state/app";
import { MenuItem } from "@/ui/menu";
import { words } from "@/words";

/** The actions of a chat, in its row and in its title bar. */
export function ChatMenuItems({ chat, onRename }: { chat: string; onRename: () => void }) {
  return (
    <>
      <MenuItem takesFocus onSelect={onRename}>
        <Pencil aria-hidden />
        {words.rename}
      </MenuItem>
      <MenuItem danger onSelect={() => deleteChat(chat)}>
        <Trash2 aria-hidden />
        {words.delete}
      </MenuItem>
    </>
  );
}
