/**
 * The allowed targets of links and images in a model's text.
 *
 * 1. Only http, https and mailto, and only by a click, in a new tab without access to this one.
 * 2. The whole address is the link's title. Where the link's text looks like another address, the
 *    real host is shown beside it.
 * 3. No image is fetched. A remote one is a link that shows its target; only small pictures inline in
 *    the text are shown.
 */
import type { Element, ElementContent, Root, RootContent, Text } from "hast";

/** Characters of a `data:` URL: about 700 KB of picture. */
export const LONGEST_PICTURE = 1_000_000;

const raster = /^data:image\/(?:png|jpe?g|gif|webp|avif);base64,[a-z0-9+/]+={0,2}$/i;

/** Direction marks and invisible characters. */
const hidden = /[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

const addressLike = /(?:^|[\s(<"'@/])((?:[\p{L}\p{N}-]+\.)+\p{L}{2,})(?=$|[\s)>"':/?#,.])/u;

export function rehypeLinks() {
  return (tree: Root) => {
    tree.children = tree.children.flatMap((node): RootContent[] =>
      node.type === "element" ? safe(node, false) : [node],
    );
  };
}

function safe(node: Element, inLink: boolean): ElementContent[] {
  const linked = inLink || node.tagName === "a";
  node.children = node.children.flatMap((child) => {
    if (child.type === "element") return safe(child, linked);
    if (child.type === "text" && linked) child.value = child.value.replace(hidden, "");
    return [child];
  });
  if (node.tagName === "a") return safeLink(node);
  if (node.tagName === "img") return safeImage(node, inLink);
  return [node];
}

function safeLink(node: Element): ElementContent[] {
  const { href } = node.properties;
  if (typeof href === "string" && href.startsWith("#user-content-")) return [node];
  const url = readUrl(href);
  if (!url) return node.children;
  const text = textOf(node);
  node.properties = external(url);
  if (isDeceptive(text, url)) node.children.push(hostNote(url));
  return [node];
}

function safeImage(node: Element, inLink: boolean): ElementContent[] {
  const source = String(node.properties.src ?? "");
  const alt = String(node.properties.alt ?? "").replace(hidden, "").trim();
  if (source.length <= LONGEST_PICTURE && raster.test(source)) {
    node.properties = { src: source, alt, decoding: "async" };
    return [node];
  }
  const url = readUrl(source);
  if (!url || url.protocol === "mailto:" || inLink) return alt ? [text(alt)] : [];
  const name = alt ? `: ${alt}` : "";
  return [
    {
      type: "element",
      tagName: "a",
      properties: { ...external(url), className: ["md-image"] },
      children: [text(`Image from ${url.hostname}${name} — open`)],
    },
  ];
}

function readUrl(address: unknown): URL | null {
  if (typeof address !== "string" || !URL.canParse(address)) return null;
  const url = new URL(address);
  return ["http:", "https:", "mailto:"].includes(url.protocol) ? url : null;
}

const external = (url: URL) => ({
  href: url.href,
  title: url.href,
  target: "_blank",
  rel: ["noopener", "noreferrer", "nofollow"],
});

/** Whether a reader would mistake the text for another address. */
function isDeceptive(shown: string, url: URL): boolean {
  if (url.protocol === "mailto:") return false;
  if (url.username || url.password) return true;
  const named = addressLike.exec(shown.trim().normalize("NFKC"))?.[1];
  if (named === undefined) return false;
  return bare(`http://${named}`) !== bare(url.href);
}

function bare(address: string): string {
  return URL.canParse(address) ? new URL(address).hostname.replace(/^www\./, "") : "";
}

const hostNote = (url: URL): Element => ({
  type: "element",
  tagName: "span",
  properties: { className: ["md-host"] },
  children: [text(` (${url.hostname})`)],
});

const text = (value: string): Text => ({ type: "text", value });

function textOf(node: ElementContent): string {
  if (node.type === "text") return node.value;
  return node.type === "element" ? node.children.map(textOf).join("") : "";
}
