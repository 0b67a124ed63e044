import { memo, useId, useMemo, useRef } from "react";
import { Block as Rendered } from "streamdown";
import { useAffordable } from "./affordable";
import { type Block, BlockReader, PIECE_LENGTH } from "./blocks";
import { CodeBlock } from "./code-block";
import { elements, footnoteElements, TableFrame } from "./elements";
import { closesFence, type Fence } from "./lines";
import type { MathPlugins } from "./math";
import { isLoose, type Keep, piecesOf, tableHead } from "./pieces";
import { pluginsFor } from "./plugins";
import { settle, settleCode } from "./settle";

interface BlockViewProps {
  block: Block;
  /** Definitions of links, to be parsed with the block. */
  definitions: string;
  /** Whether the block is the end of a growing text. */
  growing: boolean;
  math: MathPlugins | null;
}

/** From this length on, in UTF-16 units, the cost of a growing block is measured and bounded. */
const LARGE = 4_000;

export const BlockView = memo(function BlockView(props: BlockViewProps) {
  const { growing } = props;
  const block = useAffordable(props.block, growing && isLarge(props.block));
  if (block.fence) return <FencedCode text={block.text} fence={block.fence} growing={growing} />;
  if (block.kind === "quote" && block.text.length > PIECE_LENGTH) {
    return <LongQuote {...props} block={block} />;
  }
  if (block.cuts.length === 0) {
    return <Piece {...props} text={block.text} footnotes={block.footnotes} />;
  }
  return block.kind === "table" ? (
    <LongTable {...props} block={block} />
  ) : (
    <LongList {...props} block={block} />
  );
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

/** Not a block that bounds its own cost: code by its lines, a long quote by the blocks inside. */
const isLarge = ({ kind, text }: Block) =>
  text.length > LARGE && kind !== "code" && kind !== "quote";

/** A list of blocks; only the last may grow. */
export function Blocks({ text, growing, math }: BlocksProps) {
  const reader = (useRef<BlockReader>(null).current ??= new BlockReader());
  // A finished block ends with a line, which may be a definition.
  const blocks = reader.read(growing || text.endsWith("\n") ? text : `${text}\n`);
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
  /** For a piece: the children of the element that all pieces share. */
  keep?: Keep;
  loose?: boolean;
  footnotes?: boolean | undefined;
}

const Piece = memo(function Piece(props: PieceProps) {
  const { text, definitions, growing, math, keep, loose, footnotes } = props;
  const { remarkPlugins, rehypePlugins } = pluginsFor(math, keep, loose);
  const suffix = useId();
  const components = useMemo(
    () => (footnotes ? footnoteElements(suffix) : elements),
    [footnotes, suffix],
  );
  const content = (growing ? settle(text) : text).trimEnd();
  if (content === "") return null;
  return (
    <Rendered
      content={definitions + content}
      components={components}
      remarkPlugins={remarkPlugins}
      rehypePlugins={rehypePlugins}
      index={0}
      isIncomplete={false}
      shouldParseIncompleteMarkdown={false}
      shouldNormalizeHtmlIndentation={false}
    />
  );
});

function FencedCode({ text, fence, growing }: { text: string; fence: Fence; growing: boolean }) {
  const settled = growing ? settleCode(text) : text;
  if (settled === "") return null;
  const language = /^[^\s{]*/.exec(fence.info)?.[0] ?? "";
  return <CodeBlock code={codeOf(settled, fence)} language={language} />;
}

/** The text between the fences. */
function codeOf(text: string, fence: Fence): string {
  const start = text.indexOf("\n") + 1;
  if (start === 0) return "";
  const last = text.lastIndexOf("\n", text.length - 2) + 1;
  const closed = last >= start && closesFence(text.slice(last).trimEnd(), fence);
  return text.slice(start, closed ? last : text.length).replace(/\n$/, "");
}

function LongList({ block, definitions, growing, math }: BlockViewProps) {
  const pieces = piecesOf(block);
  const loose = isLoose(pieces);
  const { ordered, start, tasks } = block.list ?? { ordered: false, start: 1, tasks: false };
  const items = pieces.map((text, index) => (
    <Piece
      key={index}
      text={text}
      definitions={definitions}
      growing={growing && index === pieces.length - 1}
      math={math}
      keep="items"
      loose={loose}
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
            keep="head"
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
              keep="rows"
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
