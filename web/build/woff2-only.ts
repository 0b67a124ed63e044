import type { Plugin } from "vite";

const OTHERS = /,\s*url\([^)]+\.(?:woff|ttf)\)\s*format\(["'](?:woff|truetype)["']\)/g;

/** Leaves out the older forms of KaTeX's fonts: every browser that runs this page reads WOFF2. */
export function woff2Only(): Plugin {
  return {
    name: "woff2-only",
    enforce: "pre",
    transform: {
      filter: { id: /katex[^?]*\.css$/ },
      handler: (code) => ({ code: code.replace(OTHERS, ""), map: null }),
    },
  };
}
