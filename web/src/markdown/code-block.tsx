import { memo, useContext, useEffect, useReducer, useRef } from "react";
import { Colouring, type Coloured, type LineGroup } from "./colouring";
import { CopyButton } from "./copy-button";
import { CopiedContext } from "./copied";
import { useTokenizer } from "./tokenizers";
import type { LineTokenizer, Token } from "./shiki";
import { inTurn } from "./turn";


export interface CodeBlockProps {
  code: string;
  /** As written at the fence; may be empty. */
  language: string;
}

/** Code with its language and a copy button. The text is always complete; colours follow. */
export const CodeBlock = memo(function CodeBlock({ code, language }: CodeBlockProps) {
  const onCopied = useContext(CopiedContext);
  const coloured = useColours(code, useTokenizer(language));
  const body = useRef<HTMLElement>(null);
  const latest = useRef(code);
  const read = useRef(() => latest.current);
  useEffect(() => {
    latest.current = code;
  }, [code]);

  return (
    <div className="md-code" dir="ltr">
      <div className="md-code-head">
        <span>{language || "text"}</span>
        <CopyButton text={read.current} source={body} onCopied={onCopied} />
      </div>
      <pre tabIndex={0} role="group" aria-label={language ? `Code, ${language}` : "Code"}>
        <code ref={body}>
          {coloured?.groups.map((group, index) => (
            <Lines key={index} group={group} />
          ))}
          <span>
            {coloured?.tail ? <Tokens tokens={coloured.tail} /> : code.slice(coloured?.length ?? 0)}
          </span>
        </code>
      </pre>
    </div>
  );
});

function useColours(code: string, tokenizer: LineTokenizer | undefined): Coloured | null {
  const held = useRef<{ colouring: Colouring; tokenizer: LineTokenizer }>(null);
  const [slice, next] = useReducer((count: number) => count + 1, 0);
  if (tokenizer && held.current?.tokenizer !== tokenizer) {
    held.current = { colouring: new Colouring(tokenizer, () => performance.now()), tokenizer };
  }
  const colouring = held.current?.colouring;
  const coloured = colouring ? inTurn((budget) => colouring.advance(code, budget)) : null;
  const unfinished = coloured !== null && coloured.tail === null;
  useEffect(() => {
    if (!unfinished) return undefined;
    const timer = setTimeout(next);
    return () => clearTimeout(timer);
  }, [unfinished, slice, code]);
  return coloured;
}

/** Off screen it is neither styled nor laid out, so it declares its size. */
const Lines = memo(function Lines({ group }: { group: LineGroup }) {
  const size = `auto ${group.columns}ch auto ${group.lines.length}lh`;
  return (
    <span className="md-lines" style={{ containIntrinsicSize: size }}>
      {group.lines.map((tokens, index) => (
        <Line key={index} tokens={tokens} />
      ))}
    </span>
  );
});

const Line = memo(function Line({ tokens }: { tokens: Token[] }) {
  return (
    <>
      <Tokens tokens={tokens} />
      {"\n"}
    </>
  );
});

function Tokens({ tokens }: { tokens: Token[] }) {
  return tokens.map(({ text, colour }, index) =>
    colour === "" ? (
      text
    ) : (
      <span key={index} className={`c-${colour}`}>
        {text}
      </span>
    ),
  );
}
