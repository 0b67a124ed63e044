/**
 * HTML in markdown is never parsed as HTML. A few tags that models write between words are converted
 * to elements; layout tags and comments are dropped; anything else is shown as text.
 */
import type { Break, Html, Node, Parent, Root, RootContent, Text } from "mdast";
import { wordTags } from "./word-tags";

const layout = new Set(["center", "details", "div", "font", "p", "small", "span", "summary"]);

const parts = /<!--[\s\S]*?-->|<\/?[a-z][\w-]*(?:\s[^<>]*)?>|<|[^<]+/gi;
const tag = /^<(\/?)([a-z][\w-]*)(?:\s[^<>]*)?>$/i;

export function remarkRawHtml() {
  return (tree: Root) => readChildren(tree);
}

function readChildren(parent: Parent): void {
  const phrasing = !isFlow(parent);
  parent.children = parent.children.flatMap((child): RootContent[] => {
    if (child.type !== "html") {
      if ("children" in child) readChildren(child);
      return [child];
    }
    const nodes = [...child.value.matchAll(parts)].flatMap(([part]) => readPart(part, phrasing));
    if (phrasing) return nodes;
    const text = nodes.some((node) => node.type !== "text" || node.value.trim() !== "");
    return text ? [{ type: "paragraph", children: trimmed(nodes) }] : [];
  });
  if (phrasing) pair(parent);
}

type Inline = Text | Break | Html;

/** Tags between words stay `html` nodes, for `pair`. */
function readPart(part: string, phrasing: boolean): Inline[] {
  if (part.startsWith("<!--")) return [];
  const name = tag.exec(part)?.[2]?.toLowerCase();
  if (name === "br") return [{ type: "break" }];
  if (name !== undefined && layout.has(name)) return [];
  if (name !== undefined && wordTags.has(name)) {
    return phrasing ? [{ type: "html", value: part }] : [];
  }
  return [{ type: "text", value: part }];
}

/** `<sub>` … `</sub>` among the same children become one element; a lone tag becomes text. */
function pair(parent: Parent): void {
  const done: RootContent[] = [];
  for (const node of parent.children) {
    if (node.type !== "html") {
      done.push(node);
      continue;
    }
    const [, slash, name = ""] = tag.exec(node.value) ?? [];
    const from = slash ? done.findLastIndex((open) => opens(open, name)) : -1;
    if (from === -1) done.push(node);
    else done.push(element(name, done.splice(from).slice(1)));
  }
  parent.children = done.map(asText);
}

const opens = (node: Node, name: string) =>
  node.type === "html" &&
  "value" in node &&
  new RegExp(`^<${name}[\\s>]`, "i").test(String(node.value));

function element(name: string, children: RootContent[]): RootContent {
  const data = { hName: name.toLowerCase() };
  return { type: "emphasis", children: children.map(asText), data } as RootContent;
}

const asText = (node: RootContent): RootContent =>
  node.type === "html" ? { type: "text", value: node.value } : node;

const isFlow = (parent: Parent) =>
  ["root", "blockquote", "listItem", "footnoteDefinition", "list", "table", "tableRow"].includes(
    parent.type,
  );

function trimmed(nodes: Inline[]): (Text | Break)[] {
  const kept = nodes.filter((node) => node.type !== "html");
  const blank = (node?: Text | Break) => node?.type === "break" || node?.value.trim() === "";
  while (blank(kept[0])) kept.shift();
  while (kept.length > 0 && blank(kept.at(-1))) kept.pop();
  return kept;
}
