import { Download, ExternalLink, FileText } from "lucide-react";
import type { ReactNode } from "react";
import type { ShownFile } from "@/state/parts";
import { piecesOf } from "@/state/parts";
import { type Message, reasoningOf } from "@/state/model";
import { words } from "@/words";
import { LazyMarkdown } from "./lazy-markdown";
import { Reasoning } from "./reasoning";

export interface AnswerTextProps {
  message: Message;
  /** Whether it still grows. */
  live: boolean;
  /** Whether the reasoning is unfolded; null: while there is no other text. */
  unfolded: boolean | null;
  onUnfold: (unfolded: boolean) => void;
  /** Shown while there is no text yet. */
  empty?: ReactNode;
}

/** The content of an answer: reasoning, texts and files. */
export function AnswerText({ message, live, unfolded, onUnfold, empty = null }: AnswerTextProps) {
  const reasoning = reasoningOf(message);
  const pieces = piecesOf(message);
  return (
    <>
      {reasoning && (
        <Reasoning
          text={reasoning}
          live={live && pieces.length === 0}
          unfolded={unfolded}
          onUnfold={onUnfold}
        />
      )}
      {pieces.map((piece, index) =>
        "text" in piece ? (
          <LazyMarkdown key={index} text={piece.text} live={live && index === pieces.length - 1} />
        ) : (
          <FilePart key={index} file={piece.file} />
        ),
      )}
      {!reasoning && pieces.length === 0 && empty}
    </>
  );
}

const ROW =
  "my-3 flex w-fit max-w-full items-center gap-2 rounded-lg border border-border bg-card px-3 py-2 text-[13px] [&_svg]:size-4 [&_svg]:shrink-0 [&_svg]:text-muted-foreground";

function FilePart({ file }: { file: ShownFile }) {
  if (file.as === "picture") {
    return (
      <img
        src={file.url}
        alt={words.picture(file.name)}
        decoding="async"
        className="my-3 max-h-112 max-w-full rounded-lg border border-border"
        data-testid="picture"
      />
    );
  }
  const label = (
    <>
      <span className="truncate font-medium">{file.name}</span>
      <span className="shrink-0 text-muted-foreground">{file.host || file.type}</span>
    </>
  );
  if (file.as === "name") {
    return (
      <p className={ROW} data-testid="file">
        <FileText aria-hidden />
        {label}
      </p>
    );
  }
  const target =
    file.as === "download" ? { download: file.name } : { target: "_blank", rel: "noopener noreferrer nofollow" };
  return (
    <a
      href={file.url}
      {...target}
      className={`${ROW} outline-none hover:bg-accent focus-visible:ring-2 focus-visible:ring-ring`}
      data-testid="file"
    >
      {file.as === "download" ? <Download aria-hidden /> : <ExternalLink aria-hidden />}
      {label}
    </a>
  );
}
