import { Monitor, Moon, Sun } from "lucide-react";
import { setTheme, type Theme, theme } from "@/state/theme";
import { Button } from "@/ui/button";
import { Menu, MenuChoice } from "@/ui/menu";
import { words } from "@/words";
import { useAll } from "../hooks";

const ICONS = { light: Sun, dark: Moon, system: Monitor } as const;
const THEMES = ["light", "dark", "system"] as const;

export function ThemeMenu() {
  const chosen = useAll(theme);
  const Icon = ICONS[chosen];
  return (
    <Menu
      side="top"
      trigger={
        <Button size="sm" className="font-normal" aria-label={`${words.theme}: ${words[chosen]}`}>
          <Icon aria-hidden />
          {words[chosen]}
        </Button>
      }
    >
      <MenuChoice
        value={chosen}
        onChoose={(value) => setTheme(value as Theme)}
        choices={THEMES.map((value) => ({ value, label: words[value] }))}
      />
    </Menu>
  );
}
