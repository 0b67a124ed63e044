import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import type { Plugin } from "vite";

const TEXT = /\.(?:css|html|js|json|map|mjs|svg|txt|webmanifest|xml)$/;
/** Below this many bytes a file fits into one packet either way. */
const SMALLEST = 1024;

const VARIANTS = [
  { ending: ".gz", compress: (text: Buffer) => promisify(gzip)(text, { level: 9 }) },
  { ending: ".br", compress: (text: Buffer) => promisify(brotliCompress)(text, brotli(text)) },
];

function brotli(text: Buffer) {
  return {
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: text.length,
    },
  };
}

/**
 * Writes `NAME.gz` and `NAME.br` beside every text file of the build, so that the server compresses
 * nothing. A variant that would be no smaller is left out.
 */
export function precompress(): Plugin {
  let out = "";
  return {
    name: "precompress",
    apply: "build",
    configResolved(config) {
      out = path.resolve(config.root, config.build.outDir);
    },
    // The last step of a build that succeeded; what lies in public/ is in its place by then.
    writeBundle: {
      order: "post",
      sequential: true,
      async handler() {
        const names = await readdir(out, { recursive: true });
        await Promise.all(names.filter((name) => TEXT.test(name)).map(writeVariants));
      },
    },
  };

  async function writeVariants(name: string): Promise<void> {
    const file = path.join(out, name);
    if (!(await stat(file)).isFile()) return;
    const text = await readFile(file);
    if (text.length <= SMALLEST) return;
    for (const { ending, compress } of VARIANTS) {
      const packed = await compress(text);
      if (packed.length < text.length) await writeFile(file + ending, packed);
    }
  }
}
