import type { Element, Root } from "hast";
import { useEffect, useState } from "react";
import { persist } from "./persist";
import { remarkTex } from "./tex-syntax";

export interface MathPlugins {
  remark: unknown[];
  rehype: unknown[];
}

/** The limits of a formula: sizes in em, macro expansions. */
const limits = { maxSize: 20, maxExpand: 200, strict: false, errorColor: "inherit" };

let plugins: MathPlugins | null = null;
let loading: Promise<void> | null = null;

/** KaTeX and its styles, loaded when a text needs them; null until then. */
export function useMath(text: string): MathPlugins | null {
  const [, arrived] = useState(plugins);
  const wanted = plugins === null && needsMath(text);
  useEffect(() => {
    if (!wanted) return undefined;
    let mounted = true;
    void loadMath().then(() => mounted && arrived(plugins));
    return () => {
      mounted = false;
    };
  }, [wanted]);
  return plugins;
}

/** Also true for an incomplete formula, unless it looks like a price. */
export const needsMath = (text: string) =>
  /\$\$|\\[([]|\$[a-zA-Z\\([{|]|\$[^\s$](?:[^$\n]*[^\s$])?\$(?!\d)/.test(text);

export const currentMath = () => plugins;

/** Settles when KaTeX is loaded. Until then formulas are shown as source. */
export function loadMath(): Promise<void> {
  loading ??= persist(async () => {
    const [{ math }] = await Promise.all([
      import("@streamdown/math"),
      import("katex/dist/katex.min.css"),
    ]);
    const katex = Array.isArray(math.rehypePlugin) ? math.rehypePlugin[0] : math.rehypePlugin;
    plugins = {
      remark: [math.remarkPlugin, remarkTex],
      rehype: [rehypeDisplay, [katex, limits]],
    };
  });
  return loading;
}

/** `$$ … $$` that is a paragraph of its own is set like one, also if it was written on one line. */
function rehypeDisplay() {
  return (tree: Root) => {
    for (const node of tree.children) {
      if (node.type !== "element" || node.tagName !== "p") continue;
      const [only, ...others] = node.children;
      if (others.length === 0 && only?.type === "element") display(only);
    }
  };
}

function display({ tagName, properties }: Element): void {
  const { className } = properties;
  if (tagName !== "code" || !Array.isArray(className)) return;
  // Only remark-math sets the language, too; `\( … \)` and `$ … $` are never displayed.
  if (!className.includes("language-math")) return;
  properties.className = className.map((name) => (name === "math-inline" ? "math-display" : name));
}
