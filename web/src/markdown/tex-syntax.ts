/**
 * Formulas as models write them, beside `$$ … $$` (which remark-math reads): `\( … \)`, `\[ … \]`
 * and `$ … $`. They extend the parser, so code, escapes and links keep their precedence.
 *
 * 1. `\( … \)` and `\[ … \]` between words end in the paragraph in which they begin.
 * 2. A line that is `\[` alone, or `\[` and a TeX command but no `\]`, begins a display like a
 *    fence: nothing inside is markdown, and only `\]` or the end of the container ends it.
 * 3. `$ … $` is pandoc's (tex_math_dollars): no space inside the marks, no digit after the last,
 *    no other dollar between them. "$5 and $10" is text.
 */
import type { CompileContext, Extension as NodeExtension, Token } from "mdast-util-from-markdown";
import type { InlineMath } from "mdast-util-math";
import type {} from "micromark-extension-math"; // The names of its tokens.
import type { Extension } from "micromark-util-types";
import type {} from "remark-parse"; // The names of its data.
import type { Processor } from "unified";
import { texDisplay } from "./tex-display";
import { texBrackets, texDollars } from "./tex-text";

declare module "micromark-util-types" {
  interface TokenTypeMap {
    texInline: "texInline";
    texDisplay: "texDisplay";
    texMark: "texMark";
    texData: "texData";
  }
}

export function remarkTex(this: Processor): void {
  const data = this.data();
  (data.micromarkExtensions ??= []).push(syntax);
  (data.fromMarkdownExtensions ??= []).push(nodes);
}

const DOLLAR = 36;
const BACKSLASH = 92;

const syntax: Extension = {
  flow: { [BACKSLASH]: texDisplay },
  text: { [BACKSLASH]: texBrackets, [DOLLAR]: texDollars },
};

/** Display formulas on their own lines have remark-math's tokens, and so its nodes. */
const nodes: NodeExtension = {
  enter: { texInline: begin("math-inline"), texDisplay: begin("math-display") },
  exit: { texInline: end, texDisplay: end, texData: data },
};

function begin(className: string) {
  return function (this: CompileContext, token: Token): void {
    const data = { hName: "code", hProperties: { className: [className] }, hChildren: [] };
    this.enter({ type: "inlineMath", value: "", data } as InlineMath, token);
    this.buffer();
  };
}

function end(this: CompileContext, token: Token): void {
  const value = this.resume();
  const node = this.stack.at(-1) as InlineMath;
  this.exit(token);
  node.value = value;
  Object.assign(node.data ?? {}, { hChildren: [{ type: "text", value }] });
}

function data(this: CompileContext, token: Token): void {
  this.config.enter.data?.call(this, token);
  this.config.exit.data?.call(this, token);
}
