import { memo, useRef } from "react";
import { Block as Rendered } from "streamdown";
import { type Block, BlockReader, PIECE_LENGTH } from "./blocks";
import { CodeBlock } from "./code-block";
import { elements, TableFrame } from "./elements";
import { closesFence, type Fence } from "./lines";
import type { MathPlugins } from "./math";
import { isLoose, piecesOf, tableHead } from "./pieces";
import { type PieceOf, pluginsFor } from "./plugins";
import { settle, settleCode } from "./settle";

interface BlockViewProps {
  block: Block;
  /** Definitions of links, to be parsed with the block. */
  definitions: string;
  /** Whether the block is the end of a text that still grows. */
  growing: boolean;
  math: MathPlugins | null;
}

export const BlockView = memo(function BlockView(props: BlockViewProps) {
  const { block, growing } = props;
  if (block.fence) return <FencedCode text={block.text} fence={block.fence} growing={growing} />;
  if (block.kind === "quote" && block.text.length > PIECE_LENGTH) return <LongQuote {...props} />;
  if (block.cuts.length === 0) return <Piece {...props} text={block.text} />;
  return block.kind === "table" ? <LongTable {...props} /> : <LongList {...props} />;
}, sameBlock);

function sameBlock(before: BlockViewProps, after: BlockViewProps): boolean {
  const { block: a } = before;
  const { block: b } = after;
  return (
    before.growing === after.growing &&
    before.math === after.math &&
    before.definitions === after.definitions &&
    (a === b || (a.text === b.text && a.kind === b.kind && a.cuts.length === b.cuts.length))
  );
}

/** Blocks one below the other; only the last may grow. */
export function Blocks({ text, growing, math }: BlocksProps) {
  const reader = (useRef<BlockReader>(null).current ??= new BlockReader());
  const blocks = reader.read(text);
  return blocks.map((block, index) => (
    <BlockView
      key={index}
      block={block}
      definitions={reader.definitionsFor(block)}
      growing={growing && index === blocks.length - 1}
      math={math}
    />
  ));
}

interface BlocksProps {
  text: string;
  growing: boolean;
  math: MathPlugins | null;
}

interface PieceProps extends Omit<BlockViewProps, "block"> {
  text: string;
  of?: PieceOf;
}

function Piece({ text, definitions, growing, math, of }: PieceProps) {
  const { remarkPlugins, rehypePlugins } = pluginsFor(math, of);
  const content = (growing ? settle(text) : text).trimEnd();
  if (content === "") return null;
  return (
    <Rendered
      content={definitions + content}
      components={elements}
      remarkPlugins={remarkPlugins}
      rehypePlugins={rehypePlugins}
      index={0}
      isIncomplete={false}
      shouldParseIncompleteMarkdown={false}
      shouldNormalizeHtmlIndentation={false}
    />
  );
}

function FencedCode({ text, fence, growing }: { text: string; fence: Fence; growing: boolean }) {
  const settled = growing ? settleCode(text) : text;
  if (settled === "") return null;
  const language = /^[^\s{]*/.exec(fence.info)?.[0] ?? "";
  return <CodeBlock code={codeOf(settled, fence)} language={language} />;
}

/** What stands between the fences. */
function codeOf(text: string, fence: Fence): string {
  const start = text.indexOf("\n") + 1;
  if (start === 0) return "";
  const last = text.lastIndexOf("\n", text.length - 2) + 1;
  const closed = last >= start && closesFence(text.slice(last).trimEnd(), fence);
  return text.slice(start, closed ? last : text.length).replace(/\n$/, "");
}

function LongList({ block, definitions, growing, math }: BlockViewProps) {
  const pieces = piecesOf(block);
  const of: PieceOf = { keep: "items", loose: isLoose(pieces) };
  const { ordered, start, tasks } = block.list ?? { ordered: false, start: 1, tasks: false };
  const items = pieces.map((text, index) => (
    <Piece
      key={index}
      text={text}
      definitions={definitions}
      growing={growing && index === pieces.length - 1}
      math={math}
      of={of}
    />
  ));
  const className = tasks ? "contains-task-list" : undefined;
  if (!ordered) return <ul className={className}>{items}</ul>;
  return (
    <ol className={className} start={start === 1 ? undefined : start}>
      {items}
    </ol>
  );
}

function LongTable({ block, definitions, growing, math }: BlockViewProps) {
  const head = tableHead(block.text);
  const [first = "", ...rest] = piecesOf(block);
  const pieces = [first, ...rest.map((rows) => head + rows)];
  return (
    <TableFrame>
      <table>
        <thead>
          <Piece
            text={head}
            definitions={definitions}
            growing={false}
            math={math}
            of={{ keep: "head", loose: false }}
          />
        </thead>
        <tbody>
          {pieces.map((text, index) => (
            <Piece
              key={index}
              text={text}
              definitions={definitions}
              growing={growing && index === pieces.length - 1}
              math={math}
              of={{ keep: "rows", loose: false }}
            />
          ))}
        </tbody>
      </table>
    </TableFrame>
  );
}

function LongQuote({ block, growing, math }: BlockViewProps) {
  return (
    <blockquote>
      <Blocks text={block.text.replace(/^> ?/gm, "")} growing={growing} math={math} />
    </blockquote>
  );
}
