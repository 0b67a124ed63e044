/**
 * Renders a model's text as elements: safe for any content, and smooth while it grows.
 *
 * Streamdown parses and renders the blocks. This room decides how text is split into blocks, how an
 * unfinished end and code are shown, and where links may lead.
 */
import "./markdown.css";
import { memo } from "react";
import { Blocks } from "./block-view";
import { CopiedContext } from "./copied";
import { useMath } from "./math";
import { useSmoothText } from "./smooth";

export interface MarkdownProps {
  text: string;
  /** Whether the text still grows. It is then shown at an even pace; do not smooth it before. */
  live: boolean;
  /** A code block was copied. */
  onCopied?: () => void;
}

export const Markdown = memo(function Markdown({ text, live, onCopied }: MarkdownProps) {
  const shown = useSmoothText(text, live);
  const math = useMath(shown);
  return (
    <CopiedContext value={onCopied}>
      <div className="md">
        <Blocks text={shown} growing={live} math={math} />
      </div>
    </CopiedContext>
  );
});

export default Markdown;
