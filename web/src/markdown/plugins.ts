import { type BlockProps, defaultRehypePlugins, defaultRemarkPlugins } from "streamdown";
import { rehypeLinks } from "./links";
import type { MathPlugins } from "./math";
import { type Keep, rehypeKeep, remarkLoose } from "./pieces";
import { remarkRawHtml } from "./raw-html";
import { schema } from "./schema";

type Plugins = Required<Pick<BlockProps, "remarkPlugins" | "rehypePlugins">>;

const first = (plugin: unknown) => (Array.isArray(plugin) ? plugin[0] : plugin);

/** A single `~` means "about", not strikethrough: "~100 MB". */
const gfm = [first(defaultRemarkPlugins.gfm), { singleTilde: false }];
const sanitize = [first(defaultRehypePlugins.sanitize), schema];

/**
 * Streamdown caches a processor for each list of plugins, by the plugins' names and options. It
 * renders a block again when its lists are other arrays. So there is one of each.
 */
const made = new Map<string, Plugins>();

export function pluginsFor(math: MathPlugins | null, keep?: Keep, loose = false): Plugins {
  const key = `${math ? "math" : ""} ${keep ?? ""} ${loose}`;
  const plugins = made.get(key) ?? make(math, keep, loose);
  made.set(key, plugins);
  return plugins;
}

function make(math: MathPlugins | null, keep: Keep | undefined, loose: boolean): Plugins {
  const remarkPlugins: unknown[] = [gfm, defaultRemarkPlugins.codeMeta, remarkRawHtml];
  const rehypePlugins: unknown[] = [sanitize, rehypeLinks];
  if (math) {
    remarkPlugins.push(...math.remark);
    rehypePlugins.push(...math.rehype);
  }
  if (keep === "items") remarkPlugins.push([remarkLoose, { loose }]);
  if (keep) rehypePlugins.push([rehypeKeep, { keep }]);
  return { remarkPlugins, rehypePlugins } as Plugins;
}
